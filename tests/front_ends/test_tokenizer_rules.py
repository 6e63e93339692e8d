"""Tokenizers that would end the process, or make texts grow without end, are refused before the library sees them."""

import copy
import json

import pytest
from tokenizers import Tokenizer

from regard import ModelError
from regard.front_ends.subwords import Subwords, learn_tokenizer
from regard.front_ends.tokenizer_rules import check_tokenizer

OURS = json.loads(learn_tokenizer(["the dog barks"] * 5, size=300).to_str())
PATTERNS = {  # of tokenizers that many use
    "GPT-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "Llama 3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    ),
}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def sequence(*parts):
    return {"type": "Sequence", "normalizers": list(parts)}


def changed(**parts):
    return copy.deepcopy(OURS) | parts


BAD = {
    "a panic: an empty pattern": (changed(normalizer=replace("", "xx")), "Replace has an empty pattern"),
    "a panic: a pattern of nothing": (changed(normalizer=replace("a*", "x", "Regex")), "may find nothing at all"),
    "growth in one step": (changed(normalizer=replace("e", "e" * 100)), "at most 64 characters"),
    "growth step by step": (changed(normalizer=sequence(*[replace("e", "ee")] * 20)), "4,194,304 times as long"),
    "a long text put in": (changed(normalizer={"type": "Prepend", "prepend": "x" * 10**6}), "at most 64 characters"),
    "nested": (changed(normalizer=sequence(sequence(sequence(sequence(sequence()))))), "at most 32 parts in 4 levels"),
    "an endless search": (changed(pre_tokenizer=split("(a+)+$")), "repeats a group"),
    "a slow search": (changed(pre_tokenizer=split("a*a*a*b")), "repeats without end more than twice"),
    "looking back": (changed(pre_tokenizer=split(r"(?<=a)b")), "looks back"),
    "a panic: no length": (changed(pre_tokenizer={"type": "FixedLength", "length": 0}), "is 'FixedLength', only"),
    "a panic: a strange decoder": (
        changed(decoder={"type": "Strip", "content": "o", "start": 3, "stop": 3}),
        "strips at the end",
    ),
    "a panic: a strange prefix": (
        changed(model=OURS["model"] | {"continuing_subword_prefix": "zzzzzzz"}),
        "does not begin with 'zzzzzzz'",
    ),
    "a merge of another kind": (
        changed(model={"type": "BPE", "vocab": {}, "continuing_subword_prefix": "##", "merges": [5]}),
        "a merge ends in ''",
    ),
    "an abort: a table that lies": (
        changed(normalizer={"type": "Precompiled", "precompiled_charsmap": "/////////////////////w=="}),
        "table of characters is damaged",
    ),
    "numbers with gaps": (
        changed(model=OURS["model"] | {"vocab": OURS["model"]["vocab"] | {"zzz": 2**32 - 1}}),
        "numbered up to 4,294,967,295",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case, capfd):
    tokenizer, message = BAD[case]
    with pytest.raises(ModelError, match=message):
        Subwords(tokenizer, dim=8)
    assert capfd.readouterr().err == ""  # where a panic would tell its story


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_that_many_use(name):
    tokenizer = changed(pre_tokenizer=split(PATTERNS[name]))
    assert (
        Subwords(tokenizer, dim=8).tokens("the dog's 123")
        == Tokenizer.from_str(json.dumps(tokenizer)).encode("the dog's 123", add_special_tokens=False).ids
    )


def test_a_failure_of_the_library_while_it_cuts():
    model = {"type": "Unigram", "unk_id": None, "vocab": [[name, -1.0] for name in ("[UNK]", "[CLS]", "[SEP]")]}
    tokenizer = {"version": "1.0", "added_tokens": [], "model": model}
    with pytest.raises(ModelError, match=r"tokenizer: .*`unk_id` is missing"):
        Subwords(tokenizer, dim=8).tokens("a")


def charsmap(units, texts=b"a\0"):
    import base64

    import numpy as np

    table = np.asarray(units, dtype="<u4").tobytes()
    return base64.b64encode(len(table).to_bytes(4, "little") + table + texts).decode()


def trie(leaf):
    """The table in which the letter x becomes a text: the first unit, that of x, and its leaf."""
    units = [0] * 512
    units[0] = 256 << 10  # what follows is 256 places on
    units[256 ^ ord("x")] = ord("x") | 1 << 8 | 1 << 10
    units[(256 ^ ord("x")) ^ 1] = leaf | 1 << 31
    return units


def test_a_table_of_characters():
    def tokenizer(table):
        return changed(normalizer={"type": "Precompiled", "precompiled_charsmap": table})

    sound = tokenizer(charsmap(trie(0)))
    check_tokenizer(sound)
    assert Tokenizer.from_str(json.dumps(sound)).normalizer.normalize_str("xyz") == "ayz"
    for table in (
        charsmap(trie(7)),
        charsmap(trie(0)[:300]),
        charsmap(trie(0), b"\xff"),
        charsmap(trie(0), b"a" * 999 + b"\0"),
        charsmap([]),
        "?",
        None,
    ):
        with pytest.raises(ModelError, match=r"damaged|times as long"):
            check_tokenizer(tokenizer(table))
