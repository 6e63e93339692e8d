"""What looks wrong in data: a sentence each, with how often, where, and what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.data.records import Example, short
from regard.data.segments import OUTSIDE
from regard.image import Image
from regard.recording import Recording

SHOWN, MOST_NAMES = 3, 10  # places, and labels, in a sentence
FEW = 10  # examples, below which all labels may differ by chance
FAR, LEAST_FAR = 10, 100  # times as long as nearly all others; items that what is called long has at least
MANY = 0.1  # share of repetitions that is told
MISSING = ("nan", "null", "<na>", "#n/a")  # what programs write where there is nothing
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Lengths:
    """Of all examples; 95 % of them have ``most`` at most."""

    shortest: float
    median: float
    most: float
    longest: float


@dataclass(frozen=True)
class Part:
    """What there is in train, or in dev.

    Arguments:
        lengths: by what is counted: ``words``, ``characters``, ``vectors``, ``seconds``, ``rows`` and ``columns`` of
            pixels; of targets ``target words`` and ``target characters``.
        labels: how often there is each, the most frequent first; of items, segments or masks where those have labels.
    """

    examples: int
    lengths: dict[str, Lengths]
    labels: dict[str, int]


@dataclass(frozen=True)
class Found:
    """What was found in data, for those who doubt; arrays hold numbers of examples, see :class:`Report`.

    Arguments:
        broken: those with a character that stands for what could not be read.
        sizes: items of each; ``ratios``: characters of its target for each of them.
    """

    goal: str
    names: tuple[str, str]
    train: Sequence[Example]
    dev: Sequence[Example] | None
    part: Part
    dev_part: Part | None
    repeated: Numbers
    contradicted: Numbers
    shared: Numbers
    shared_files: Numbers
    broken: Numbers
    sizes: NDArray[np.float64]
    ratios: NDArray[np.float64]


def doubts(found: Found) -> Iterator[str]:
    """A sentence for everything that looks wrong."""
    unlike = list(_nearly_all_differ(found))  # after which nothing else about labels need be said
    yield from unlike
    if not unlike:
        yield from _counts(found)
        yield from _spellings(found)
        yield from _repetitions(found)
    yield from _leaks(found)
    yield from _odd(found)


def _nearly_all_differ(found: Found) -> Iterator[str]:
    labels, count = len(found.part.labels), found.part.examples
    if found.goal != "label" or count < FEW or labels <= count / 2:
        return
    items, goal = found.names
    told = f"{labels:,} different labels for {count:,} examples"
    if 2 * (different := count - len(found.repeated)) < labels:
        yield (
            f"{told}, and only {different:,} different {_kind(found)}s: label and {_kind(found)} are likely swapped; "
            f"tell them apart with `{items}` and `{goal}`"
        )
    else:
        yield (
            f"{told}: nearly each has its own, from which nothing can be learned; is that the label (`{goal}`), "
            "and not an id, a number or a text?"
        )


def _counts(found: Found) -> Iterator[str]:
    counts = found.part.labels
    if len(counts) == 1:
        yield (
            f"all training data has one label, '{min(counts)}', which every prediction will be: add examples of another"
        )
    if rare := sorted(label for label, count in counts.items() if count == 1 and label != OUTSIDE):
        of = {"label": "example", "labels": "item", "segments": "segment", "mask": "mask"}[found.goal]
        yield (
            f"{len(rare):,} of {len(counts):,} labels {_have(rare)} one training {of}, from which little can be "
            f"learned: {_names(rare)}"
        )
    if found.dev_part is not None and (new := sorted(found.dev_part.labels.keys() - counts.keys())):
        yield f"labels of dev that are not in train, and cannot be predicted: {_names(new)}"


def _spellings(found: Found) -> Iterator[str]:
    """Labels that are one but for how they are written, or numbers."""
    counts = found.part.labels
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for label in counts:
        alike[" ".join(label.split()).casefold()].append(label)
    groups = [some for some in alike.values() if len(some) > 1]
    pairs = [" and ".join(f"{short(label)} ({counts[label]:,})" for label in some) for some in groups]
    if pairs:
        more = f", and {len(pairs) - SHOWN:,} more" if len(pairs) > SHOWN else ""
        yield (
            f"labels that differ by case or blanks alone are learned as different ones: {'; '.join(pairs[:SHOWN])}"
            f"{more}; write them alike"
        )
    if missing := sorted(label for label in counts if label.strip().casefold() in MISSING):
        number = sum(counts[label] for label in missing)
        yield f"{number:,} labels are {_names(missing)}, which looks like none at all; leave these examples out"
    if fractions := _fractions(counts):
        yield (
            f"labels are numbers with fractions, {_names(fractions[:SHOWN])} say, each of which is a class of its own: "
            "round them, or make a few ranges of them, as the order of numbers is not learned"
        )


def _fractions(labels: Iterable[str]) -> list[str]:
    """Those with a fraction, where all are numbers."""
    found = []
    for label in labels:
        try:
            if not float(label.replace(",", ".")).is_integer():
                found.append(label)
        except (ValueError, OverflowError):
            return []
    return found


def _repetitions(found: Found) -> Iterator[str]:
    count = found.part.examples
    if found.goal == "label" and len(found.contradicted):
        yield (
            f"{len(found.contradicted):,} of {count:,} training examples have the {_kind(found)} of another one, and "
            f"another label: {_places(found.train, found.contradicted)}; keep those that are right"
        )
    if len(found.repeated) > MANY * count and found.goal in ("label", "target"):
        yield (
            f"{len(found.repeated):,} of {count:,} training examples stand there before: "
            f"{_places(found.train, found.repeated)}; leave out what came in twice"
        )


def _leaks(found: Found) -> Iterator[str]:
    if found.dev is None:
        return
    count = len(found.dev)
    for numbers, what in ((found.shared, ""), (found.shared_files, "other parts of the recordings of ")):
        if len(numbers):
            share = f"{len(numbers):,} of its {count:,} examples ({100 * len(numbers) / count:.1f} %)"
            yield (
                f"dev shares {what}{share} with train, which makes its scores too good: "
                f"{_places(found.dev, numbers)}; leave them out of one of the two"
            )


def _odd(found: Found) -> Iterator[str]:
    """Records that are unlike the others."""
    if len(found.broken):
        yield (
            f"texts that hold '\ufffd', which stands where characters were read in a wrong encoding: "
            f"{_places(found.train, found.broken)}; make the file again from where it came from"
        )
    if len(found.sizes) >= FEW:
        most = float(np.quantile(found.sizes, 0.95))
        long = np.flatnonzero(found.sizes > max(LEAST_FAR, FAR * most))
        if len(long) and not isinstance(found.train[0].items, Image):
            hint = "; a quote that is not closed?" if isinstance(found.train[0].items, str) else ""
            yield (
                f"{len(long):,} of {found.part.examples:,} training examples {_have(long)} more than {FAR} times the "
                f"length that 95 % have at most: {_places(found.train, long)}{hint}"
            )
    ratios = found.ratios[found.ratios > 0]
    if len(ratios) >= FEW:
        usual = float(np.median(ratios))
        odd = np.flatnonzero((found.ratios > FAR * usual) | (found.ratios < usual / FAR))
        if len(odd):
            yield (
                f"{len(odd):,} of {found.part.examples:,} targets {_have(odd)} more than {FAR} times the usual length "
                f"for their source, or less than a tenth of it: "
                f"{_places(found.train, odd)}; do they belong together?"
            )


def _kind(found: Found) -> str:
    items = found.train[0].items
    if isinstance(items, Recording | Image):
        return "recording" if isinstance(items, Recording) else "image"
    return "text" if isinstance(items, str | list) else "array"


def _have(some: Sequence[object] | Numbers) -> str:
    return "has" if len(some) == 1 else "have"


def _names(labels: Sequence[str]) -> str:
    more = ", ..." if len(labels) > MOST_NAMES else ""
    return ", ".join(f"'{label}'" for label in labels[:MOST_NAMES]) + more


def _places(examples: Sequence[Example], numbers: Numbers) -> str:
    """Where the first of them stand."""
    shown = [(number, examples[number]) for number in numbers[:SHOWN].tolist()]
    more = f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    places = [example.place for _, example in shown]
    if all(place.line is not None and place.source == places[0].source for place in places):
        lines = ", ".join(f"{place.line}" for place in places)
        return f"{places[0].source}, line{'s' if len(numbers) > 1 else ''} {lines}{more}"
    return ", ".join(_name_of(example, number) for number, example in shown) + more


def _name_of(example: Example, number: int) -> str:
    """The file of a recording or an image, else where it stands, or which one it is, from 1."""
    place = example.place
    if place.line is not None:
        return f"{place.source}, line {place.line}"
    if isinstance(example.items, Recording | Image) and example.items.path is not None:
        return example.items.path
    if place.number is None and place.source is not None:
        return place.source
    return f"example {number + 1 if place.number is None else place.number}"
