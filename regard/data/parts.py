"""A part of the examples that is held out, and folds: chosen by a seed, as even by label as can be.

What belongs together stays on one side: the same items, and parts of one recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regard.data.chosen import Chosen
from regard.data.keys import source_keys
from regard.data.records import Example
from regard.data.report import labels_of
from regard.errors import DataError

Numbers = NDArray[np.int64]  # of examples
TOGETHER = "the same items, and parts of one recording,"


def held_out(
    examples: Sequence[Example], share: float, *, goal: str, seed: int
) -> tuple[Sequence[Example], Sequence[Example]]:
    """The examples without a part, and that part, each in its order.

    The last examples of a label are never held out, as nothing could be learned of it.

    Arguments:
        share: of the examples, from 0 to 1.
        goal: a name of :data:`regard.data.goals.GOALS`; of "label" the part has about that share of each label.

    Raises:
        DataError: nothing would be left on one side.
    """
    groups, order = _groups(examples, goal, seed)
    labels = [{label for number in group.tolist() for label in labels_of(examples[number], goal)} for group in groups]
    left = Counter(label for some in labels for label in some)
    owed, held = 0.0, np.zeros(len(examples), dtype=np.bool_)
    for place in order:
        size = len(groups[place])
        owed += share * size
        if owed >= size / 2 and all(left[label] > 1 for label in labels[place]):
            held[groups[place]] = True
            owed -= size
            left.subtract(labels[place])
    if not held.any() or held.all():
        expected = f"training data of which dev={share:g} leaves something on both sides (give more, or a file)"
        raise DataError(expected, f"{len(groups):,} examples, where {TOGETHER} count once")
    return without(examples, np.flatnonzero(held))


def folds(examples: Sequence[Example], count: int, *, goal: str, seed: int) -> list[Numbers]:
    """The numbers of the examples of each fold, which are about as many, of each label where the goal is "label".

    Raises:
        DataError: fewer groups of examples than folds.
    """
    groups, order = _groups(examples, goal, seed)
    if len(groups) < count:
        expected = f"at least {count} training examples, one for each of folds={count}"
        raise DataError(expected, f"{len(groups):,}, where {TOGETHER} count once")
    dealt: list[list[Numbers]] = [[] for _ in range(count)]
    sizes = [0] * count
    of_label: dict[str | None, list[int]] = {}
    for place in order:
        group = groups[place]
        own = of_label.setdefault(_label(examples, group, goal), [0] * count)
        fold = min(range(count), key=lambda fold: (own[fold], sizes[fold]))
        dealt[fold].append(group)
        own[fold] += len(group)
        sizes[fold] += len(group)
    return [np.sort(np.concatenate(some)) for some in dealt]


def without(examples: Sequence[Example], numbers: Numbers) -> tuple[Sequence[Example], Sequence[Example]]:
    """The examples without those of these numbers, and those."""
    return Chosen(examples, np.setdiff1d(np.arange(len(examples)), numbers)), Chosen(examples, numbers)


def _groups(examples: Sequence[Example], goal: str, seed: int) -> tuple[list[Numbers], list[int]]:
    """The numbers of the examples that belong together, and the places of these groups: by label, else shuffled."""
    _, group, counts = np.unique(source_keys(examples), return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(group, kind="stable"), np.cumsum(counts)[:-1])
    order: list[int] = np.random.default_rng(seed).permutation(len(groups)).tolist()
    if goal == "label":
        order.sort(key=lambda place: str(_label(examples, groups[place], goal)))
    return groups, order


def _label(examples: Sequence[Example], group: Numbers, goal: str) -> str | None:
    return examples[int(group[0])].goal if goal == "label" else None
