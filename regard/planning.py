"""Which sequences go together in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError

BLUR = 0.02  # lengths up to so much apart may share a step; few lengths make large products of matrices


def plan_epoch(lengths: Sequence[int], *, budget: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The steps of one epoch, each an array of sequence numbers; the same arguments give the same plan.

    Every sequence that is not empty comes exactly once. A step holds sequences of about one length and at most
    ``budget`` items in all; a sequence longer than that stands alone. The steps come in random order.

    >>> plan = plan_epoch([3, 9, 0, 3, 9, 4], budget=10, seed=1, epoch=0)
    >>> sorted(sorted(step.tolist()) for step in plan)
    [[0, 3, 5], [1], [4]]

    Raises:
        DataError: there is nothing but empty sequences.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(np.flatnonzero(sizes))
    if len(order) == 0:
        raise DataError("at least one sequence that is not empty to train on", f"{len(sizes)} empty ones")
    blurred = sizes[order] * rng.uniform(1 - BLUR, 1 + BLUR, len(order))
    order = order[np.argsort(blurred, kind="stable")]
    steps = fill(order, sizes, budget)
    return [steps[place] for place in rng.permutation(len(steps))]


def split_step(step: Sequence[int] | NDArray[np.int64], lengths: Sequence[int], parts: int) -> list[list[int]]:
    """The sequences of a step in ``parts`` micro-batches with about equally many items, longest sequences first.

    Where there are fewer sequences than parts the last micro-batches are empty.

    >>> split_step([0, 1, 2, 3], [5, 1, 3, 2], parts=2)
    [[0, 1], [2, 3]]
    """
    shares: list[list[int]] = [[] for _ in range(parts)]
    lightest = [(0, part) for part in range(parts)]
    heapify(lightest)
    for index in sorted((int(index) for index in step), key=lambda index: -lengths[index]):
        items, part = heappop(lightest)
        shares[part].append(index)
        heappush(lightest, (items + lengths[index], part))
    return shares


def fill(order: NDArray[np.int64], lengths: Sequence[int] | NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Sequence numbers, in ``order``, in batches of at most ``budget`` items; a longer sequence stands alone.

    >>> [batch.tolist() for batch in fill(np.array([2, 0, 1]), [3, 9, 2], 5)]
    [[2, 0], [1]]
    """
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64)[order])
    steps, start, taken = [], 0, 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(ends, taken + budget, side="right")))
        steps.append(order[start:stop])
        start, taken = stop, int(ends[stop - 1])
    return steps
