"""What there is in data, and what looks wrong: sizes, labels, repetitions, what dev shares with train.

Each example is looked at once and none is held, only some numbers about it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regard.data.doubts import Found, Lengths, Part, doubts
from regard.data.items import identity_of
from regard.data.keys import Keys, as_keys, goal_key, key_of, source_of, whole_key
from regard.data.records import Example, Items
from regard.data.segments import OUTSIDE, has_outside
from regard.image import Image
from regard.recording import Recording

__all__ = ["Lengths", "Part", "Report", "labels_of", "look"]

BROKEN = "\ufffd"  # stands where bytes were read in a wrong encoding


@dataclass(frozen=True)
class Report:
    """What there is in training and dev data.

    Arguments:
        repeated: examples of train whose items stood before.
        contradicted: examples of train whose items have another goal elsewhere in train.
        shared: examples of dev whose items are in train too.
        shared_files: examples of dev that are another part of a recording of train.
        warnings: a sentence for everything that looks wrong, with what to do.
    """

    train: Part
    dev: Part | None
    repeated: int
    contradicted: int
    shared: int
    shared_files: int
    warnings: list[str]


def look(
    train: Sequence[Example],
    dev: Sequence[Example] | None = None,
    *,
    goal: str,
    names: tuple[str, str] = ("text_column", "column"),
    masks: bool = False,
) -> Report:
    """Looks through examples.

    Arguments:
        goal: a name of :data:`regard.data.goals.GOALS`.
        names: of the options that say what items and goals are called in a file, for messages.
        masks: whether masks are unpacked, to count in how many of them each number is.

    >>> report = look([Example("good", "+"), Example("bad", "-"), Example("good", "-")], goal="label")
    >>> report.train.labels, report.repeated, report.contradicted
    ({'-': 2, '+': 1}, 1, 2)
    """
    seen = _Seen(goal, masks)
    seen.take(train)
    of_dev = None
    if dev is not None:
        of_dev = _Seen(goal, masks)
        of_dev.take(dev)
    keys, dev_keys = _certain(train, seen, dev, of_dev)
    first, group = np.unique(keys, return_index=True, return_inverse=True)[1:]
    differ = as_keys(seen.goals) != as_keys(seen.goals)[first][group]
    found = Found(
        goal=goal,
        names=names,
        train=train,
        dev=dev,
        part=seen.part(),
        dev_part=None if of_dev is None else of_dev.part(),
        repeated=np.setdiff1d(np.arange(len(keys)), first),
        contradicted=np.flatnonzero(np.isin(group, group[differ])),
        shared=np.flatnonzero(np.isin(dev_keys, keys)),
        shared_files=_shared_files(seen, of_dev, np.isin(dev_keys, keys)),
        broken=np.array(seen.broken, dtype=np.int64),
        sizes=np.frombuffer(seen.sizes) if seen.sizes else np.zeros(0),
        ratios=np.frombuffer(seen.ratios) if seen.ratios else np.zeros(0),
    )
    return Report(
        train=found.part,
        dev=found.dev_part,
        repeated=len(found.repeated),
        contradicted=len(found.contradicted),
        shared=len(found.shared),
        shared_files=len(found.shared_files),
        warnings=list(doubts(found)),
    )


def labels_of(example: Example, goal: str, *, masks: bool = True) -> list[str]:
    """What of its goal are labels: one, one for each item or segment, each number in a mask; none of a target.

    Arguments:
        masks: whether a mask is unpacked.
    """
    made, items = example.goal, example.items
    if goal == "label":
        return [made]
    if goal == "labels":
        return list(made)
    if goal == "segments" and isinstance(items, Recording):
        return [part.label for part in made] + ([OUTSIDE] if has_outside(made, items.seconds) else [])
    if goal == "mask" and masks and isinstance(made, Image):
        return [str(number) for number in np.unique(made.numbers()).tolist()]
    return []


@dataclass
class _Seen:
    """Numbers about examples, taken down one after another."""

    goal: str
    masks: bool
    items: array[int] = field(default_factory=lambda: array("Q"))  # a key of each
    goals: array[int] = field(default_factory=lambda: array("Q"))
    sources: array[int] = field(default_factory=lambda: array("Q"))  # of recordings
    sizes: array[float] = field(default_factory=lambda: array("d"))  # samples, pixels, characters, ...
    ratios: array[float] = field(default_factory=lambda: array("d"))  # characters of a target for each of them
    lengths: dict[str, array[float]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)

    def take(self, examples: Sequence[Example]) -> None:
        for number, example in enumerate(examples):
            items = example.items
            self.items.append(key_of(identity_of(items)))
            self.goals.append(goal_key(example))
            self.sizes.append(len(items))
            for name, length in _lengths(items):
                self._measure(name, length)
            if isinstance(items, Recording):
                self.sources.append(key_of(identity_of(source_of(items))))
            if isinstance(items, str) and BROKEN in items:
                self.broken.append(number)
            if self.goal == "target":
                self.ratios.append(len(example.goal) / max(1, len(items)))
                for name, length in _lengths(example.goal):
                    self._measure(f"target {name}", length)
            self.labels.update(labels_of(example, self.goal, masks=self.masks))

    def _measure(self, name: str, length: float) -> None:
        self.lengths.setdefault(name, array("d")).append(length)

    def part(self) -> Part:
        counts = sorted(self.labels.items(), key=lambda pair: (-pair[1], pair[0]))
        lengths = {name: _summary(np.frombuffer(numbers)) for name, numbers in self.lengths.items()}
        return Part(len(self.items), lengths, dict(counts))


def _lengths(items: Items) -> Iterator[tuple[str, float]]:
    if isinstance(items, Recording):
        yield "seconds", items.seconds
    elif isinstance(items, Image):
        yield "rows", items.rows
        yield "columns", items.columns
    elif isinstance(items, str):
        yield "words", len(items.split())
        yield "characters", len(items)
    else:
        yield "words" if isinstance(items, list) else "vectors", len(items)


def _summary(lengths: NDArray[np.float64]) -> Lengths:
    found = np.quantile(lengths, [0, 0.5, 0.95, 1], method="nearest").tolist()
    return Lengths(*(round(value, 2) if value % 1 else int(value) for value in found))


def _certain(
    train: Sequence[Example], seen: _Seen, dev: Sequence[Example] | None, of_dev: _Seen | None
) -> tuple[Keys, Keys]:
    """The keys of both; files of sound that look the same at their ends are read to tell whether they are."""
    keys, dev_keys = as_keys(seen.items).copy(), as_keys(array("Q") if of_dev is None else of_dev.items).copy()
    if seen.sources:
        both, counts = np.unique(np.concatenate([keys, dev_keys]), return_counts=True)
        for examples, own in ((train, keys), (dev or (), dev_keys)):
            for number in np.flatnonzero(np.isin(own, both[counts > 1])).tolist():
                own[number] = whole_key(examples[number].items)
    return keys, dev_keys


def _shared_files(seen: _Seen, of_dev: _Seen | None, is_shared: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The numbers of those of dev that are parts of recordings of train."""
    if of_dev is None or not of_dev.sources:
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.isin(as_keys(of_dev.sources), as_keys(seen.sources)) & ~is_shared)
