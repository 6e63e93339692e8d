"""What the labels of all examples have in common: one scheme of spans, BIO or IOBES; no label that is unknown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from regard.data.records import NOWHERE, Example
from regard.errors import DataError

Scheme = Literal["BIO", "IOBES"]

_OUTSIDE = "O"
_SPAN_LABEL = re.compile(r"([BIES])-(.+)", re.DOTALL)


def span_scheme(labels: Iterable[Sequence[str]]) -> Scheme | None:
    """The one scheme that these labels follow; None where they do not mark spans.

    BIO: a span is ``B-X I-X I-X``. IOB1, which counts as BIO: a span begins with ``I-X``, and with ``B-X`` only right
    after another of its type. IOBES: ``B-X I-X E-X``, alone ``S-X``. Outside of spans stands ``O``.

    Labels mark spans where every one is ``O`` or one of these, or where ``O`` stands beside at least one of these.

    >>> span_scheme([["B-PER", "I-PER", "O"]]), span_scheme([["S-PER", "O"]]), span_scheme([["DET", "NOUN"]])
    ('BIO', 'IOBES', None)

    Raises:
        DataError: labels of several schemes, or of none beside those of one.
    """
    return check_spans([Example([], list(sequence)) for sequence in labels])


def check_spans(examples: Sequence[Example]) -> Scheme | None:
    """:func:`span_scheme` of labelled examples; its errors name file and line."""
    known: set[str] = set()
    for example in examples:
        known.update(example.goal or ())
    parts = {label: (match[1], match[2]) for label in known if (match := _SPAN_LABEL.fullmatch(label))}
    strangers = known - parts.keys() - {_OUTSIDE}
    if not parts or (strangers and _OUTSIDE not in known):
        return None
    _refuse(strangers, examples, min(parts))
    parts[_OUTSIDE] = (_OUTSIDE, "")
    if any(prefix in "ES" for prefix, _ in parts.values()):
        _check_iobes(examples, parts)
        return "IOBES"
    _check_bio(examples, parts)
    return "BIO"


def _refuse(strangers: set[str], examples: Sequence[Example], normal: str) -> None:
    for index, example in enumerate(examples):
        for item, label in enumerate(example.goal or ()):
            if label in strangers:
                hint = " (BILOU? write L- as E- and U- as S-)" if label[:2] in ("L-", "U-") else ""
                expected = f"span labels B-X, I-X, O (or E-X, S-X too), since there is '{normal}'"
                raise _error(expected, f"'{label}'{hint}", example, index, item)


def _check_bio(examples: Sequence[Example], parts: dict[str, tuple[str, str]]) -> None:
    """All spans that do not touch another of their type begin alike: with B- (BIO) or with I- (IOB1)."""
    counts: Counter[str] = Counter()
    first: dict[str, tuple[int, int]] = {}
    for index, example in enumerate(examples):
        before = ""
        for item, label in enumerate(example.goal or ()):
            prefix, kind = parts[label]
            if kind and kind != before:
                counts[prefix] += 1
                first.setdefault(prefix, (index, item))
            before = kind
    if len(counts) > 1:
        (usual, often), (rare, seldom) = counts.most_common()
        index, item = first[rare]
        labels = examples[index].goal or []
        found = f"'{labels[item]}' where a span begins ({often} spans begin with {usual}-, {seldom} with {rare}-)"
        raise _error("spans that all begin with B- (BIO) or all with I- (IOB1)", found, examples[index], index, item)


def _check_iobes(examples: Sequence[Example], parts: dict[str, tuple[str, str]]) -> None:
    """Every span is B- I- ... E- of one type, or S- alone."""
    witness = min(label for label, (prefix, _) in parts.items() if prefix in "ES")
    for index, example in enumerate(examples):
        labels = example.goal or []
        for item, (label, after) in enumerate(pairwise([_OUTSIDE, *labels, _OUTSIDE]), -1):
            goes_on = parts[label][1] if parts[label][0] in "BI" else ""
            comes_from = parts[after][1] if parts[after][0] in "IE" else ""
            if goes_on != comes_from:
                expected = f"IOBES labels (B- I- E-, or S- alone) throughout, since there is '{witness}'"
                raise _error(expected, _describe(labels, item), example, index, max(item, 0))


def _describe(labels: Sequence[str], item: int) -> str:
    """The pair of labels that breaks the scheme, at a seam between ``item`` and the next."""
    if item < 0:
        return f"'{labels[0]}' at the beginning of a sequence"
    if item + 1 == len(labels):
        return f"'{labels[item]}' at the end of a sequence"
    return f"'{labels[item]}' followed by '{labels[item + 1]}'"


def _error(expected: str, found: str, example: Example, index: int, item: int) -> DataError:
    if example.place == NOWHERE:
        return DataError(expected, f"{found} (item {item + 1} of sequence {index + 1})")
    return example.place.error(expected, found, item=item)


def check_known(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """Every label, of an item or of a sequence, must be one that training had, unless ``unseen`` is "count-wrong".

    Raises:
        DataError: the first that is not.
    """
    if unseen != "refuse":
        return
    known = set(labels)
    for example in examples:
        if isinstance(example.goal, str):
            if example.goal not in known:
                raise _unknown(repr(example.goal), labels, example)
        elif not known.issuperset(example.goal):
            item = next(item for item, label in enumerate(example.goal) if label not in known)
            raise _unknown(repr(example.goal[item]), labels, example, item)


def _unknown(found: str, labels: Sequence[str], example: Example, item: int | None = None) -> DataError:
    expected = f"one of the {len(labels)} labels of the training data (or unseen_labels=count-wrong)"
    return example.place.error(expected, found, item=item)
