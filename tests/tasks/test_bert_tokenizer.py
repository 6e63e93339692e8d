"""Tokenizers of BERT and ours: the same tokens in `transformers`."""

import json
from itertools import chain

import pytest
from small_bert import (
    LIKE_BERT,
    ODD_TEXTS,
    TEXTS,
    save_bert,
    write_whole,
)
from transformers import (
    AutoTokenizer,
    BertModel,
    BertTokenizerFast,
)

from regard.formats.huggingface.read import read_bert
from regard.front_ends.subwords import Subwords, learn_tokenizer
from regard.tasks.fitting import make_encoder
from regard.tasks.label.options import LabelConfig
from regard.training.config import make_config


@pytest.mark.parametrize(
    "settings",
    [
        None,
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "tokenize_chinese_chars": False, "tokenizer_class": "BertTokenizer"},
    ],
)
@pytest.mark.parametrize("saved", ["vocab.txt", "tokenizer.json", "both"])
def test_tokens_are_those_of_transformers(tmp_path, settings, saved):
    save_bert(tmp_path, BertModel, settings, num_hidden_layers=0)
    theirs = BertTokenizerFast.from_pretrained(tmp_path)
    if saved != "vocab.txt":
        theirs.save_pretrained(tmp_path)
        (tmp_path / "vocab.txt").unlink(missing_ok=True)
    if saved == "both":  # the settings count, and the file that transformers saves says otherwise
        path = tmp_path / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        tokenizer["normalizer"] |= {"lowercase": not tokenizer["normalizer"]["lowercase"], "strip_accents": True}
        path.write_text(json.dumps(tokenizer))
        theirs = BertTokenizerFast.from_pretrained(tmp_path)
    front_end = Subwords(read_bert(tmp_path).tokenizer, dim=2)
    assert [front_end.encode([text]).tokens.tolist() for text in ODD_TEXTS] == theirs(ODD_TEXTS)["input_ids"]


def test_a_tokenizer_of_no_class_is_read_as_it_is(tmp_path):
    save_bert(tmp_path, BertModel, {"do_lower_case": False}, num_hidden_layers=0)
    BertTokenizerFast.from_pretrained(tmp_path).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True})
    )
    tokens = Subwords(read_bert(tmp_path).tokenizer, dim=2).encode(ODD_TEXTS).tokens.tolist()
    assert tokens == list(chain(*AutoTokenizer.from_pretrained(tmp_path)(ODD_TEXTS)["input_ids"]))
    assert read_bert(tmp_path).options["lowercase"] is False


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_a_learned_tokenizer_is_the_same_in_transformers(tmp_path, kind, lowercase):
    tokenizer = json.loads(learn_tokenizer(TEXTS * 3, kind=kind, size=400, lowercase=lowercase).to_str())
    front_end = Subwords(tokenizer, dim=12)
    options = LIKE_BERT | {"subword_model": kind}
    encoder = make_encoder(make_config(LabelConfig, options))
    write_whole("encoder", tmp_path, tokenizer, front_end, encoder)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [front_end.encode([text]).tokens.tolist() for text in ODD_TEXTS] == theirs(ODD_TEXTS)["input_ids"]
    assert (theirs.model_max_length, theirs.pad_token_id, theirs.mask_token) == (40, 0, "[MASK]")
    assert theirs("a", "b")["token_type_ids"][-1] == 1
    again = read_bert(tmp_path)
    assert (again.options["subword_model"], again.options["lowercase"]) == (kind, lowercase)
    assert (
        Subwords(again.tokenizer, dim=12).encode(ODD_TEXTS).tokens.tolist()
        == front_end.encode(ODD_TEXTS).tokens.tolist()
    )


def keep_control_characters(tokenizer):
    tokenizer["normalizer"]["clean_text"] = False


def add_token(tokenizer):
    token = tokenizer["added_tokens"][-1] | {
        "id": len(tokenizer["model"]["vocab"]),
        "content": "don't",
        "special": False,
    }
    tokenizer["added_tokens"].append(token)


def lose_mask(tokenizer):
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["<mask>"] = vocabulary.pop("[MASK]")
    tokenizer["added_tokens"][vocabulary["<mask>"]]["content"] = "<mask>"


@pytest.mark.parametrize("change", [keep_control_characters, add_token, lose_mask])
def test_a_tokenizer_beyond_berts_is_the_same_in_transformers(tmp_path, change):
    tokenizer = json.loads(learn_tokenizer(TEXTS * 3, kind="wordpiece", size=80).to_str())
    plain = Subwords(tokenizer, dim=12).encode(ODD_TEXTS).tokens.tolist()
    change(tokenizer)
    front_end = Subwords(tokenizer, dim=12)
    assert front_end.encode(ODD_TEXTS).tokens.tolist() != plain
    write_whole("encoder", tmp_path, tokenizer, front_end, make_encoder(make_config(LabelConfig, LIKE_BERT)))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [front_end.encode([text]).tokens.tolist() for text in ODD_TEXTS] == theirs(ODD_TEXTS)["input_ids"]
    assert len(theirs) == len(front_end.embedding.weight)
