"""The goals of learning (labels of items, segments, a mask, one label, a target, nothing): a row and a function each.

What the labels of all examples have in common: one scheme of spans, BIO or IOBES; no label that is unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from regard.data.encodings import checked_delimiter
from regard.data.items import LIST_NAMES, check_strings, check_text
from regard.data.masks import mask
from regard.data.records import GROUP, NOWHERE, Columns, Example, Field, Items, Place, short
from regard.data.segments import OUTSIDE, Segment, segments
from regard.errors import ConfigError, DataError

Scheme = Literal["BIO", "IOBES"]

RECORDING_NAMES = ("audio", "recording", "file", "path", "wav", "audio_filepath", "filename")
IMAGE_NAMES = (
    *("image", "images", "img", "picture", "photo", "file", "path", "filename", "file_name", "pixels"),
    *("x", "data"),  # of arrays
)
PART_NAMES = ("start", "offset", "end", "duration")  # of what tells which part of a recording is meant
TEXT_NAMES = ("text", "sentence", "question", "message", "document", "content", *LIST_NAMES)
_SPAN_LABEL = re.compile(r"([BIES])-(.+)", re.DOTALL)


def labels(value: Any, items: Items, place: Place) -> list[str]:
    """A label for every item.

    Raises:
        DataError: they are not strings, or not as many.
    """
    if value is None:
        raise place.error("labels", "none")
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        hint = "" if place.table is None else f"; {GROUP}"
        raise place.error("a list of labels", short(value) + hint)
    names = value.tolist() if isinstance(value, np.ndarray) else list(value)
    check_strings(names, "label", place)
    if len(names) != len(items):
        raise place.error(f"as many labels as items ({len(items)})", f"{len(names)} labels")
    return names


def label(value: Any, items: Items, place: Place) -> str:
    """One label for the whole sequence; a number counts classes.

    Raises:
        DataError: it is something else, or blank.
    """
    if isinstance(value, int | np.integer | np.bool_):
        return str(value)
    if not isinstance(value, str):
        found = f"{short(value)} ({type(value).__name__})"
        if isinstance(value, float | np.floating) and float(value).is_integer():
            found += "; make it whole again with astype(int)"
        raise place.error("a label that is a string or a whole number", found)
    return _shown(check_text(value, "label", place), "label", place)


def target(value: Any, items: Items, place: Place) -> str:
    """The text that the sequence is to become.

    Raises:
        DataError: it is something else, or blank.
    """
    if not isinstance(value, str):
        raise place.error("a target that is a string", f"{short(value)} ({type(value).__name__})")
    return _shown(check_text(value, "target", place), "target", place)


def nothing(value: Any, items: Items, place: Place) -> None:
    """The sequence alone."""


def check_not_blank(items: Items, place: Place) -> None:
    """Refuses a sequence of which there is nothing to learn.

    Raises:
        DataError: no items, or a text that shows nothing.
    """
    if isinstance(items, str):
        _shown(items, "text", place)
    elif not len(items):
        raise place.error("at least one item", "an empty sequence")


def _shown(text: str, kind: str, place: Place) -> str:
    if not text.strip():
        raise place.error(f"a {kind} of at least one character", "only white space" if text else "an empty one")
    return text


@dataclass(frozen=True)
class Goal:
    """What is learned of a sequence.

    Arguments:
        make: the goal of a record's value, checked.
        article: the goal in messages.
        names, item_names: of goal and items: the default, and others that may stand for it.
        of_files: of the goal where items are recordings or images, if it is called otherwise there.
        blank: what becomes of a sequence without items: "kept", "refused" or "skipped".
        per_item: whether it is a list with one for every item.
        goal_first: whether it stands first in a table without a header.
    """

    make: Callable[[Any, Items, Place], Any]
    article: str
    names: tuple[str, ...]
    item_names: tuple[str, ...]
    blank: str
    per_item: bool = False
    goal_first: bool = False
    of_files: tuple[str, ...] = ()


FILE_NAMES = {"recordings": RECORDING_NAMES, "images": IMAGE_NAMES}  # of items that are files, by their kind

GOALS: dict[str, Goal] = {
    "labels": Goal(
        make=labels,
        article="labels",
        names=("upos", "labels", "tags", "ner_tags", "pos_tags"),
        item_names=(*LIST_NAMES, "text", "sentence"),
        blank="kept",
        per_item=True,
    ),
    "segments": Goal(
        make=segments, article="segments", names=("segments",), item_names=RECORDING_NAMES, blank="refused"
    ),
    "mask": Goal(
        make=mask,
        article="a mask",
        names=("mask", "masks", "segmentation", "annotation", "label", "labels", "y"),
        item_names=IMAGE_NAMES,
        blank="refused",
    ),
    "label": Goal(
        make=label,
        article="a label",
        names=("label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "spam", "y"),
        item_names=TEXT_NAMES,
        blank="refused",
        goal_first=True,
    ),
    "target": Goal(
        make=target,
        article="a target",
        names=("target",),
        item_names=("source", *LIST_NAMES, *TEXT_NAMES[:6]),
        blank="refused",
        of_files=("text", "target", "transcript", "transcription", "sentence", "caption"),
    ),
    "nothing": Goal(make=nothing, article="nothing", names=("",), item_names=TEXT_NAMES, blank="skipped"),
}


def columns_of(
    goal: str,
    column: str | None,
    item_column: str | None,
    *,
    labelled: bool,
    items: str | None = None,
    delimiter: str | None = None,
) -> Columns:
    """Where a goal and its items stand, by the names that were given; None stands for the usual ones of such items.

    Raises:
        ConfigError: a goal that does not exist.
    """
    if goal not in GOALS:
        raise ConfigError(f"goal must be {', '.join(GOALS)}, got '{goal}'")
    row = GOALS[goal]
    item_names, names = row.item_names, row.names
    if items is not None and items in FILE_NAMES:
        item_names, names = FILE_NAMES[items], row.of_files or row.names
    return Columns(
        items=Field(item_names[0] if item_column is None else item_column, item_names),
        goal=Field(names[0] if column is None else column, names),
        key=goal,
        labelled=labelled and goal != "nothing",
        per_item=row.per_item,
        goal_first=row.goal_first,
        beside=PART_NAMES if items == "recordings" else (),
        files=items in FILE_NAMES,
        pixels=items == "images",
        delimiter=None if delimiter is None else checked_delimiter(delimiter),
    )


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
    strangers = known - parts.keys() - {OUTSIDE}
    if not parts or (strangers and OUTSIDE not in known):
        return None
    _refuse(strangers, examples, min(parts))
    parts[OUTSIDE] = (OUTSIDE, "")
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
        for item, (label, after) in enumerate(pairwise([OUTSIDE, *labels, OUTSIDE]), -1):
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
            continue
        found = [part.label if isinstance(part, Segment) else part for part in example.goal]
        if not known.issuperset(found):
            item = next(item for item, label in enumerate(found) if label not in known)
            raise _unknown(repr(found[item]), labels, example, item)


def _unknown(found: str, labels: Sequence[str], example: Example, item: int | None = None) -> DataError:
    expected = f"one of the {len(labels)} labels of the training data (or unseen_labels=count-wrong)"
    return example.place.error(expected, found, item=item)
