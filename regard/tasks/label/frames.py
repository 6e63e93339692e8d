"""Between segments, in seconds, and a label for each vector of a recording; what smooths those labels."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regard.data.segments import OUTSIDE, Segment

DIGITS = 3  # of seconds that are told: ms
Rows = NDArray[np.int64]


def middles(count: int, step: float, seconds: float) -> NDArray[np.float64]:
    """The middle of what each of ``count`` vectors stands for, in seconds.

    Vector t stands for what lies from ``t · step`` to ``(t + 1) · step``, the last for no more than there is.
    """
    starts = np.arange(count) * step
    ends = np.minimum(starts + step, seconds)
    found: NDArray[np.float64] = np.minimum((starts + ends) / 2, np.nextafter(seconds, 0))
    return found


def labels_at(times: NDArray[np.float64], segments: Sequence[Segment]) -> list[str]:
    """The label of the segment that each time lies in; segments are in order, and hold their start but not their end.

    >>> labels_at(np.array([0.5, 1.5, 2.0]), [Segment(1.0, 2.0, "anna")])
    ['O', 'anna', 'O']
    """
    if not segments:
        return [OUTSIDE] * len(times)
    last = np.searchsorted([part.start for part in segments], times, side="right") - 1
    inside = (last >= 0) & (times < np.array([part.end for part in segments])[last])
    return [segments[row].label if held else OUTSIDE for row, held in zip(last.tolist(), inside.tolist(), strict=True)]


def runs_of(rows: Rows) -> list[tuple[int, int]]:
    """Where each run of one value begins, and the place after its end.

    >>> runs_of(np.array([3, 3, 1]))
    [(0, 2), (2, 3)]
    """
    if not len(rows):
        return []
    bounds = [0, *(np.flatnonzero(rows[1:] != rows[:-1]) + 1).tolist(), len(rows)]
    return list(pairwise(bounds))


def as_segments(labels: Sequence[str], rows: Rows, step: float, seconds: float) -> list[Segment]:
    """A segment for each run of one label; ``rows`` ``[N]`` are rows of ``labels``. None is shorter than 1 ms.

    >>> as_segments(["O", "anna"], np.array([0, 1, 1, 0]), 0.5, 1.8)
    [Segment(start=0.5, end=1.5, label='anna')]
    """
    least = 10.0**-DIGITS  # of a recording of a sample
    return [
        Segment(
            round(first * step, DIGITS),
            round(max(first * step + least, min(last * step, seconds)), DIGITS),
            labels[rows[first]],
        )
        for first, last in runs_of(rows)
        if labels[rows[first]] != OUTSIDE
    ]


def smoothed(rows: Rows, width: int) -> Rows:
    """The most frequent of the ``width`` labels around each, ``[N]``; of two the one that stands there, if it is one.

    The width is odd; at the ends fewer are counted. With two labels it is their median.

    >>> smoothed(np.array([0, 0, 1, 0, 1, 1]), 3)
    array([0, 0, 0, 1, 1, 1])
    """
    reach = width // 2
    if reach < 1 or not len(rows):
        return rows
    known, places = np.unique(rows, return_inverse=True)
    first = np.maximum(np.arange(len(rows)) - reach, 0)
    last = np.minimum(np.arange(len(rows)) + reach + 1, len(rows))
    best, most = places.copy(), np.zeros(len(rows), np.int64)
    for place in range(len(known)):
        sums = np.concatenate([[0], np.cumsum(places == place)])
        count = sums[last] - sums[first]
        wins = (count > most) | ((count == most) & (places == place))
        best[wins], most[wins] = place, count[wins]
    return known[best]


def without_short(rows: Rows, shortest: int) -> Rows:
    """With each run of fewer than ``shortest`` labels given to the longer of its neighbours, the shortest run first.

    Two neighbours of one label become one run with it. A sequence that is one run stays as it is.

    >>> without_short(np.array([0, 0, 0, 1, 0, 2, 2, 2]), 2)
    array([0, 0, 0, 0, 0, 2, 2, 2])
    """
    runs = dict(runs_of(rows))  # start → end
    value = {start: int(rows[start]) for start in runs}
    before = {end: start for start, end in runs.items()}  # end → start
    queue = [(end - start, start) for start, end in runs.items() if end - start < shortest]
    heapq.heapify(queue)
    while queue and len(runs) > 1:
        length, start = heapq.heappop(queue)
        if start not in runs or runs[start] - start != length:
            continue  # it grew, or is part of another
        end = runs[start]
        left, right = before.get(start), end if end in runs else None
        longer = max((run for run in (left, right) if run is not None), key=lambda run: (runs[run] - run, -run))
        value[start] = value[longer]
        for first in (left, start):  # joined with what follows it, where that has the same label now
            if first is None or first not in runs:
                continue
            while (then := runs[first]) in runs and value[then] == value[first]:
                runs[first] = runs.pop(then)
                before[runs[first]] = first
        grown = left if left is not None and left in runs and runs[left] > start else start
        if runs[grown] - grown < shortest:
            heapq.heappush(queue, (runs[grown] - grown, grown))
    made = np.empty_like(rows)
    for start, end in runs.items():
        made[start:end] = value[start]
    return made


class Smoothing(NamedTuple):
    """What is done to the labels of vectors before segments are made of them, in seconds; 0 leaves them as they are.

    Arguments:
        smooth: over which the most frequent label is taken; see :func:`smoothed`.
        shortest: below which a segment, or a pause, is given to its neighbours; see :func:`without_short`.
    """

    smooth: float = 0.0
    shortest: float = 0.0

    def of(self, rows: Rows, step: float) -> Rows:
        """Rows of labels ``[N]``, ``step`` seconds from one to the next."""
        return without_short(smoothed(rows, self.width(step)), math.ceil(self.shortest / step - 1e-6))

    def width(self, step: float) -> int:
        """Labels over which the most frequent is taken, an odd number."""
        return 1 + 2 * max(0, round((self.smooth / step - 1) / 2))
