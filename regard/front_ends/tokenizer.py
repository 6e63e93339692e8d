"""Tokenizers of others, read and written as `transformers` does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from regard.errors import ModelError
from regard.files import atomic_write, read_json, write_json
from regard.front_ends.tokenizer_rules import check_numbers, check_tokenizer, named_failures, parts_of
from regard.front_ends.tokens import END, MASK, PAD, SPECIAL, START, UNKNOWN, special_names

TOKENIZER, VOCABULARY, SETTINGS = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
PAIRS, MERGES = "vocab.json", "merges.txt"
MODELS = ("WordPiece", "BPE", "Unigram")
SUBWORD_MODELS = {"WordPiece": "wordpiece", "BPE": "bpe"}  # those that are learned here too
BERT_CLASSES = ("Bert", "DistilBert", "Electra")  # how the names of their tokenizers begin
ROLES = {"pad_token": PAD, "unk_token": UNKNOWN, "cls_token": START, "sep_token": END, "mask_token": MASK}
FLAGS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")  # of the settings
BERT_MODEL = {
    "type": "WordPiece",
    "unk_token": UNKNOWN,
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}


def read_tokenizer(path: Path, *, rows: int | None = None) -> Tokenizer:
    """The tokenizer of a file, or of a folder that holds one.

    That is ``tokenizer.json``, BERT's ``vocab.txt``, or RoBERTa's ``vocab.json`` beside ``merges.txt``.

    What ``tokenizer_config.json`` beside it says of lower case, accents and Chinese characters, and of a blank before
    the first word, counts, as in `transformers`.

    Arguments:
        rows: of the table that its tokens are; None where there is none yet.

    Raises:
        ModelError: it is missing or damaged, or its tokens are not those of the table.
    """
    path = _file_of(path)
    settings = _read_settings(path.with_name(SETTINGS))
    pairs = path.name == PAIRS and (path.parent / MERGES).is_file()
    stored = read_json(path) if path.suffix == ".json" and not pairs else None
    try:
        tokenizer = _from_lists(path) if stored is None else _from_json(stored)
        check_numbers(tokenizer.get_vocab())
    except ModelError as error:
        raise ModelError(f"{path}: {str(error).removeprefix('tokenizer: ')}") from None
    name = str(settings.get("tokenizer_class", BERT_CLASSES[0]))
    if name.startswith(BERT_CLASSES):
        tokenizer.normalizer = _normalizer(tokenizer.normalizer, settings)
    if name.startswith("Roberta") and isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(bool(settings.get("add_prefix_space")))
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
    names = (TOKENIZER, VOCABULARY, *([PAIRS] if (path / MERGES).is_file() else []))
    found = next((path / name for name in names if (path / name).is_file()), None)
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


def _from_lists(path: Path) -> Tokenizer:
    return _from_pairs(path) if path.name == PAIRS else _from_vocabulary(path)


def _from_vocabulary(path: Path) -> Tokenizer:
    with named_failures():
        tokens = models.WordPiece.read_file(str(path))
        tokenizer = Tokenizer(models.WordPiece(tokens, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([name for name in SPECIAL if name in tokens])
    return tokenizer


def _from_pairs(path: Path) -> Tokenizer:
    """RoBERTa's, of tokens by number and the pairs of which they are made."""
    with named_failures():
        tokens, pairs = models.BPE.read_file(str(path), str(path.parent / MERGES))
        tokenizer = Tokenizer(models.BPE(tokens, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = special_names(tokens)
    special = [AddedToken(name, normalized=False, lstrip=name == names[MASK]) for name in names.values()]
    tokenizer.add_special_tokens([token for token in special if token.content in tokens])
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
    if kind not in MODELS:
        raise ModelError(f"{path}: its model must be one of {', '.join(MODELS)}, got {kind}; name another BERT")
    tokens = tokenizer.get_vocab()
    names = special_names(tokens)
    missing = [names[name] for name in (UNKNOWN, START, END) if names[name] not in tokens]
    if missing:
        raise ModelError(f"{path}: it lacks {', '.join(missing)}; only one with BERT's special tokens is taken")
    if sorted(tokens.values()) != list(range(rows)):
        raise ModelError(
            f"{path}: its {len(tokens)} tokens are numbered up to {max(tokens.values())}, and the table of vectors has "
            f"{rows} rows, one for each token from 0; copy tokenizer and weights from one place"
        )


def subword_models(tokenizer: dict[str, Any]) -> dict[str, str]:
    """Its kind as the option ``subword_model``, if that has it."""
    kind = tokenizer["model"]["type"]
    return {"subword_model": SUBWORD_MODELS[kind]} if kind in SUBWORD_MODELS else {}


def padding_of(tokenizer: dict[str, Any]) -> int | None:
    """The number of the token that fills up a batch; None where there is none."""
    tokens = Tokenizer.from_str(json.dumps(tokenizer)).get_vocab()
    return tokens.get(special_names(tokens)[PAD])


def needs_blank(tokenizer: dict[str, Any], names: dict[str, str]) -> bool:
    """Whether words are to be cut with a blank before each, as RoBERTa's begin with one unless they begin a text.

    Arguments:
        names: of its special tokens.
    """
    return names[START] != START and any(not part.get("add_prefix_space", True) for part in _bytes(tokenizer))


def _bytes(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts that cut a text into words of bytes."""
    parts = parts_of(tokenizer.get("pre_tokenizer"), "pre_tokenizer")
    return [part for part in parts if part["type"] == "ByteLevel"]


def is_lowercase(tokenizer: dict[str, Any]) -> bool:
    """Whether it reads text in lower case."""

    def lowers(part: dict[str, Any]) -> bool:
        if part["type"] == "Sequence":
            return any(map(lowers, part["normalizers"]))
        return part["type"] == "Lowercase" or bool(part.get("lowercase"))

    return tokenizer["normalizer"] is not None and lowers(tokenizer["normalizer"])


def write_tokenizer(
    folder: Path, tokenizer: dict[str, Any], *, rows: int, longest: int, types: bool = True, of_words: bool = False
) -> Tokenizer:
    """Writes what `transformers` makes a tokenizer of, that puts texts between [CLS] and [SEP], or <s> and </s>.

    Arguments:
        folder: which is there.
        tokenizer: as the JSON of a `tokenizers.Tokenizer`.
        rows: of the table that its tokens are.
        longest: tokens of a text with those two.
        types: whether the model tells a second segment from the first.
        of_words: whether it is for sentences of words, which it then cuts as they are cut here.

    Raises:
        ModelError: its tokens are not those of the table.
    """
    names = special_names(Tokenizer.from_str(json.dumps(tokenizer)).get_vocab())
    if of_words and needs_blank(tokenizer, names):
        tokenizer = copy.deepcopy(tokenizer)
        for part in _bytes(tokenizer):
            part["add_prefix_space"] = True
    ours = Tokenizer.from_str(json.dumps(tokenizer))
    _check(folder / TOKENIZER, ours, rows)
    ours.post_processor = _between(names, ours, types=types, trims=bool(_bytes(tokenizer)))
    roles = {role: names[name] for role, name in ROLES.items() if ours.token_to_id(names[name]) is not None}
    inputs = ["input_ids", *["token_type_ids"] * types, "attention_mask"]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": inputs,
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


def _between(names: dict[str, str], tokenizer: Tokenizer, *, types: bool, trims: bool) -> Any:
    """What puts a text between its start and its end, and two as BERT or RoBERTa has them.

    Arguments:
        trims: whether blanks are no part of where a token stands.
    """
    start, end = names[START], names[END]
    second = int(types and end == END)
    template = processors.TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0",
        pair=f"{start}:0 $A:0 {end}:0 {'' if end == END else f'{end}:0 '}$B:{second} {end}:{second}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (start, end)],
    )
    return processors.Sequence([processors.ByteLevel(trim_offsets=True), template]) if trims else template


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
