"""Tokenizers of others, read and written as `transformers` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from regard.errors import ModelError
from regard.files import atomic_write, read_json, write_json
from regard.front_ends.tokenizer_rules import check_numbers, check_tokenizer, named_failures
from regard.front_ends.tokens import END, MASK, PAD, SPECIAL, START, UNKNOWN

TOKENIZER, VOCABULARY, SETTINGS = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
SUBWORD_MODELS = {"WordPiece": "wordpiece", "BPE": "bpe"}
ROLES = {"pad_token": PAD, "unk_token": UNKNOWN, "cls_token": START, "sep_token": END, "mask_token": MASK}
FLAGS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")  # of the settings
BERT_MODEL = {
    "type": "WordPiece",
    "unk_token": UNKNOWN,
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}


def read_tokenizer(path: Path, *, rows: int | None = None) -> Tokenizer:
    """The tokenizer of a file, or of a folder that holds ``tokenizer.json`` or ``vocab.txt``.

    What ``tokenizer_config.json`` beside it says of lower case, accents and Chinese characters counts, as in
    `transformers`.

    Arguments:
        rows: of the table that its tokens are; None where there is none yet.

    Raises:
        ModelError: it is missing or damaged, or its tokens are not those of the table.
    """
    path = _file_of(path)
    settings = _read_settings(path.with_name(SETTINGS))
    stored = read_json(path) if path.suffix == ".json" else None
    try:
        tokenizer = _from_vocabulary(path) if stored is None else _from_json(stored)
        check_numbers(tokenizer.get_vocab())
    except ModelError as error:
        raise ModelError(f"{path}: {str(error).removeprefix('tokenizer: ')}") from None
    if str(settings.get("tokenizer_class", "Bert")).startswith("Bert"):
        tokenizer.normalizer = _normalizer(tokenizer.normalizer, settings)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if rows is not None:
        _check(path, tokenizer, rows)
    return tokenizer


def _file_of(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.exists():
        raise ModelError(f"{path}: no such file or folder; name a {TOKENIZER} or a {VOCABULARY}")
    found = next((path / name for name in (TOKENIZER, VOCABULARY) if (path / name).is_file()), None)
    if found is None:
        raise ModelError(
            f"{path}: holds neither {TOKENIZER} nor {VOCABULARY}; copy one of them there, "
            "or call tokenizer.save_pretrained(FOLDER) of `transformers`"
        )
    return found


def _read_settings(path: Path) -> dict[str, Any]:
    settings = read_json(path) if path.is_file() else {}
    for name in FLAGS:
        if settings.get(name) not in (True, False, None):
            raise ModelError(f"{path}: {name} must be true or false, got {settings[name]!r}; copy it again")
    return settings


def _from_json(stored: dict[str, Any]) -> Tokenizer:
    check_tokenizer(stored)
    with named_failures():
        return Tokenizer.from_str(json.dumps(stored))


def _from_vocabulary(path: Path) -> Tokenizer:
    with named_failures():
        tokens = models.WordPiece.read_file(str(path))
        tokenizer = Tokenizer(models.WordPiece(tokens, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([name for name in SPECIAL if name in tokens])
    return tokenizer


def _normalizer(normalizer: Any, settings: dict[str, Any]) -> Any:
    """With what the settings say of it."""
    if not isinstance(normalizer, normalizers.BertNormalizer):
        return normalizer
    chinese, lowercase = settings.get("tokenize_chinese_chars"), settings.get("do_lower_case")
    accents = settings.get("strip_accents", normalizer.strip_accents)
    return normalizers.BertNormalizer(
        clean_text=normalizer.clean_text,
        handle_chinese_chars=normalizer.handle_chinese_chars if chinese is None else bool(chinese),
        strip_accents=None if accents is None else bool(accents),
        lowercase=normalizer.lowercase if lowercase is None else bool(lowercase),
    )


def _check(path: Path, tokenizer: Tokenizer, rows: int) -> None:
    kind = type(tokenizer.model).__name__
    if kind not in SUBWORD_MODELS:
        raise ModelError(f"{path}: its model must be one of {', '.join(SUBWORD_MODELS)}, got {kind}; name another BERT")
    tokens = tokenizer.get_vocab()
    missing = [name for name in (UNKNOWN, START, END) if name not in tokens]
    if missing:
        raise ModelError(f"{path}: it lacks {', '.join(missing)}; only one with BERT's special tokens is taken")
    if sorted(tokens.values()) != list(range(rows)):
        raise ModelError(
            f"{path}: its {len(tokens)} tokens are numbered up to {max(tokens.values())}, and the table of vectors has "
            f"{rows} rows, one for each token from 0; copy tokenizer and weights from one place"
        )


def subword_model(tokenizer: dict[str, Any]) -> str:
    """ "bpe" or "wordpiece", as the option is called."""
    return SUBWORD_MODELS[tokenizer["model"]["type"]]


def is_lowercase(tokenizer: dict[str, Any]) -> bool:
    """Whether it reads text in lower case."""

    def lowers(part: dict[str, Any]) -> bool:
        if part["type"] == "Sequence":
            return any(map(lowers, part["normalizers"]))
        return part["type"] == "Lowercase" or bool(part.get("lowercase"))

    return tokenizer["normalizer"] is not None and lowers(tokenizer["normalizer"])


def write_tokenizer(folder: Path, tokenizer: dict[str, Any], *, rows: int, longest: int) -> Tokenizer:
    """Writes what `transformers` makes a tokenizer of, that puts texts between [CLS] and [SEP].

    Arguments:
        folder: which is there.
        tokenizer: as the JSON of a `tokenizers.Tokenizer`.
        rows: of the table that its tokens are.
        longest: tokens of a text with those two.

    Raises:
        ModelError: its tokens are not those of the table.
    """
    ours = Tokenizer.from_str(json.dumps(tokenizer))
    _check(folder / TOKENIZER, ours, rows)
    ours.post_processor = processors.TemplateProcessing(
        single=f"{START}:0 $A:0 {END}:0",
        pair=f"{START}:0 $A:0 {END}:0 $B:1 {END}:1",
        special_tokens=[(name, ours.token_to_id(name)) for name in (START, END)],
    )
    roles = {role: name for role, name in ROLES.items() if ours.token_to_id(name) is not None}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "model_max_length": longest,
        **roles,
    }
    if _is_berts(tokenizer):
        normalizer = tokenizer["normalizer"]
        settings |= {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": normalizer["lowercase"],
            "strip_accents": normalizer["strip_accents"],
            "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        }
    with atomic_write(folder / TOKENIZER) as file:
        file.write(ours.to_str(pretty=True))
    write_json(settings, folder / SETTINGS)
    return ours


def _is_berts(tokenizer: dict[str, Any]) -> bool:
    """Whether its vocabulary and the settings say all, since that is what `transformers` makes a BertTokenizer of."""
    model = {key: value for key, value in tokenizer["model"].items() if key != "vocab"}
    normalizer, pre_tokenizer = tokenizer["normalizer"] or {}, tokenizer["pre_tokenizer"] or {}
    return (
        model == BERT_MODEL
        and normalizer.get("type") == "BertNormalizer"
        and normalizer.get("clean_text") is True
        and pre_tokenizer.get("type") == "BertPreTokenizer"
        and {token["content"] for token in tokenizer["added_tokens"]} == set(SPECIAL)
    )
