"""Which tokenizers of the `tokenizers` library are taken: those whose parts neither end the process nor grow a text.

The library checks little: an empty pattern, a table that lies or a strange prefix is a panic, which tells its story on
stderr, or the end of the process; and what normalizers make of a text has no bound.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from regard.errors import ModelError

KNOWN = {
    "normalizer": (
        *("NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "Lowercase", "Strip", "BertNormalizer", "ByteLevel"),
        *("Prepend", "Replace", "Precompiled"),
    ),
    "pre_tokenizer": (
        *("BertPreTokenizer", "ByteLevel", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "Metaspace"),
        *("CharDelimiterSplit", "UnicodeScripts", "Split"),
    ),
    "post_processor": ("BertProcessing", "RobertaProcessing", "ByteLevel", "TemplateProcessing"),
    "decoder": ("BPEDecoder", "ByteLevel", "WordPiece", "Metaspace", "CTC", "ByteFallback", "Fuse", "Strip", "Replace"),
}
MOST_PARTS, DEEPEST = 32, 4
LARGEST_GROWTH = 128  # characters that all parts together may make of one
LONGEST_CONTENT = 64  # characters that are put in at a place


def check_tokenizer(tokenizer: Any) -> None:
    """Refuses the JSON of a tokenizer before the library sees it.

    Raises:
        ModelError: the part, and the rule that it breaks.
    """
    if not isinstance(tokenizer, dict) or not isinstance(tokenizer.get("model"), dict):
        raise _error("not one of the `tokenizers` library, which is an object with a model")
    growth = 1.0
    for kind in KNOWN:
        for part in parts_of(tokenizer.get(kind), kind):
            growth *= _growth(part, kind)
    if growth > LARGEST_GROWTH:
        raise _error(f"its parts may make a text {growth:,.0f} times as long, at most {LARGEST_GROWTH} is taken")
    _check_merges(tokenizer["model"])


def check_numbers(numbers: dict[str, int]) -> None:
    """Refuses tokens whose numbers ask for a table with far more rows than there are tokens.

    Raises:
        ModelError: what there is.
    """
    most = max(numbers.values(), default=0)
    if most >= 2 * len(numbers) + 1000:
        raise _error(f"its {len(numbers):,} tokens are numbered up to {most:,}, with most numbers left out")


@contextmanager
def named_failures() -> Iterator[None]:
    """Turns whatever the library raises within, errors without a name and panics, into a ModelError."""
    try:
        yield
    except Exception as error:
        raise _error(f"not one of the `tokenizers` library ({error})") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # which is no Exception, and cannot be imported
            raise
        raise _error(f"it fails in the `tokenizers` library ({error})") from None


def _error(what: str) -> ModelError:
    return ModelError(f"tokenizer: {what}; copy it again, or name another")


def parts_of(part: Any, kind: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The parts of a chain, a "normalizer", "pre_tokenizer", ..., those of sequences one by one."""
    if part is None:
        return
    inner = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors"}
    if not isinstance(part, dict):
        raise _error(f"its {kind} is no object")
    if part.get("type") == "Sequence":
        members = part.get(inner.get(kind, "decoders"))
        if not isinstance(members, list) or len(members) > MOST_PARTS or depth == DEEPEST:
            raise _error(f"its {kind} is no list of at most {MOST_PARTS} parts in {DEEPEST} levels")
        for member in members:
            yield from parts_of(member, kind, depth + 1)
        return
    if part.get("type") not in KNOWN[kind]:
        raise _error(f"its {kind} is {str(part.get('type'))[:40]!r}, only {', '.join(KNOWN[kind])} can be read")
    yield part


def _growth(part: dict[str, Any], kind: str) -> float:
    """How many times as long a part may make a text."""
    name = part["type"]
    if name == "Prepend":
        _check_content(part.get("prepend"), name)
    elif name in ("Replace", "Split"):
        pattern = part.get("pattern")
        plain, regex = (pattern.get("String"), pattern.get("Regex")) if isinstance(pattern, dict) else (None, None)
        if isinstance(regex, str):
            _check_regex(regex, may_be_empty=name == "Split")
        elif not isinstance(plain, str) or not plain:
            raise _error(f"its {name} has an empty pattern")
        if name == "Replace":
            return max(1.0, _check_content(part.get("content"), name) / len(plain or " "))
    elif name == "Precompiled":
        return _check_charsmap(part.get("precompiled_charsmap"))
    elif name == "Strip" and kind == "decoder" and part.get("stop") != 0:
        raise _error("its decoder strips at the end of tokens")
    elif name == "ByteLevel" and kind in ("normalizer", "pre_tokenizer"):
        return 4.0
    return 1.0


def _check_content(content: Any, name: str) -> int:
    if not isinstance(content, str) or len(content) > LONGEST_CONTENT:
        raise _error(f"its {name} puts in no text of at most {LONGEST_CONTENT} characters")
    return len(content)


_ATOM = re.compile(r"\\[pPxu]\{[^}]*\}|\\.|\[(?:[^\]\\]|\\.)+\]|\(\?[a-z-]*:|\(\?[=!]|[()|]|.", re.DOTALL)
_QUANTIFIER = re.compile(r"[*+]|\{(\d{0,6})(,?)(\d{0,6})\}|\?")
_NO_WIDTH = ("^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z", r"\G")


def _check_regex(pattern: str, *, may_be_empty: bool) -> None:
    """Refuses what could take a time without bound: repeated groups, and more than two endless repeats in a choice."""
    place = depth = endless = needed = 0
    choices: list[int] = []
    while place < len(pattern):
        atom = _ATOM.match(pattern, place)
        assert atom is not None
        text, place = atom[0], atom.end()
        if (text == "(" and pattern[place : place + 1] in ("?", "*")) or re.fullmatch(r"\\[1-9kgK]", text):
            raise _error(f"its pattern {pattern[:60]!r} has a group that is not plain, or looks back")
        if text.startswith("("):
            depth += 1
            continue
        if text == "|":
            if depth == 0:
                choices.append(needed)
                endless = needed = 0
            continue
        depth -= text == ")"
        optional = False
        while repeat := _QUANTIFIER.match(pattern, place):
            place = repeat.end()
            unbounded = repeat[0] in "*+" or (repeat[0] != "?" and not (repeat[3] or (repeat[1] and not repeat[2])))
            if repeat[0] != "?" and text == ")":
                raise _error(f"its pattern {pattern[:60]!r} repeats a group")
            if repeat[0].startswith("{") and max(int(repeat[1] or 0), int(repeat[3] or 0)) > 100:
                raise _error(f"its pattern {pattern[:60]!r} repeats more than 100 times")
            endless += unbounded
            optional = optional or repeat[0] in "*?" or repeat[1] in ("", "0")
        needed += depth == 0 and text != ")" and text not in _NO_WIDTH and not optional
        if endless > 2:
            raise _error(f"its pattern {pattern[:60]!r} repeats without end more than twice")
    if not may_be_empty and not all([*choices, needed]):
        raise _error(f"its pattern {pattern[:60]!r} may find nothing at all")


def _check_merges(model: dict[str, Any]) -> None:
    """In BPE the second part of every merge begins with the prefix of pieces within a word."""
    prefix, merges = model.get("continuing_subword_prefix"), model.get("merges")
    if model.get("type") in ("BPE", None) and isinstance(prefix, str) and prefix and isinstance(merges, list):
        for merge in merges:
            pieces = merge.split(" ") if isinstance(merge, str) else merge
            second = pieces[-1] if isinstance(pieces, list) and pieces else ""
            if not str(second).startswith(prefix):
                raise _error(f"a merge ends in {str(second)[:40]!r}, which does not begin with {prefix[:40]!r}")


def _check_charsmap(text: Any) -> float:
    """The table of SentencePiece: a trie, a double array of units, and texts that its leaves point to.

    Every unit that can be reached from the first must be there, and every leaf point to the beginning of a short text.
    """
    try:
        table = base64.b64decode(text, validate=True)
        size = int.from_bytes(table[:4], "little")
        units = np.frombuffer(table[4 : 4 + size], dtype="<u4").astype(np.int64)
        texts = table[4 + size :]
        texts.decode()
        sound = len(table) > 4 + size and len(units) > 0 and _is_sound(units, texts)
    except (TypeError, ValueError, binascii.Error):
        sound = False
    if not sound:
        raise _error("its precompiled table of characters is damaged")
    return float(max(1, max(map(len, texts.decode().split("\0")))))


def _is_sound(units: Any, texts: bytes) -> bool:
    below = (units >> 10) << ((units & (1 << 9)) >> 6)  # from a unit's place to the places below it
    reached = np.zeros(len(units), dtype=bool)
    bytes_ = np.arange(1, 256)
    places = np.array([below[0]])
    while len(places):
        if places.max() >= len(units):
            return False
        reached[places] = True
        tried = places[:, None] ^ bytes_  # [places, 255]
        if tried.max() >= len(units):
            return False
        found = tried[(units[tried] & ((1 << 31) | 0xFF)) == bytes_]
        after = found ^ below[found]
        has_leaf = (units[found] >> 8) & 1 == 1
        if len(after) and after.max() >= len(units):
            return False
        leaves = units[after[has_leaf]] & ((1 << 31) - 1)
        if len(leaves) and (leaves.max() >= len(texts) or any(texts[at] & 0xC0 == 0x80 for at in leaves.tolist())):
            return False
        places = np.unique(after)
        places = places[~reached[places]]
    return True
