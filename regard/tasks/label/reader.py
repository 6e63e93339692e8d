"""The labels of a sequence that comes piece by piece, smoothed as those of a whole one are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from regard.tasks.label.frames import smoothed


class Labelled(NamedTuple):
    """The label of one vector, from ``start`` to ``end``: in seconds of sound, else counted in vectors."""

    start: float
    end: float
    label: str
    score: float  # how likely it is


class LabelReader:
    """The likeliest label of each row of scores, or the most frequent around it; see :func:`smoothed`.

    Arguments:
        labels: their names.
        seconds: from one vector to the next; None where vectors are counted.
        width: of so many labels the most frequent is taken, odd; each then waits for half of the others.
    """

    def __init__(self, labels: Sequence[str], seconds: float | None, *, width: int = 1) -> None:
        self._labels, self._seconds, self._width = labels, seconds, width
        self._chances = np.zeros((0, len(labels)), np.float32)  # of what waits, and of what that is smoothed with
        self._first = self._count = 0  # the row that waits, and how many labels were given

    def push(self, rows: Tensor) -> list[Labelled]:
        self._chances = np.concatenate([self._chances, rows.softmax(1).cpu().numpy()])
        return self._given(len(self._chances) - self._width // 2)

    def close(self) -> list[Labelled]:
        return self._given(len(self._chances))

    def _given(self, last: int) -> list[Labelled]:
        """Those of the rows up to ``last``."""
        if last <= self._first:
            return []
        places = smoothed(self._chances.argmax(1), self._width)[self._first : last]
        scores = self._chances[np.arange(self._first, last), places]
        start = self._count
        self._count += len(places)
        found = [
            Labelled(self._time(number), self._time(number + 1), self._labels[place], round(score, 6))
            for number, place, score in zip(range(start, self._count), places.tolist(), scores.tolist(), strict=True)
        ]
        forgotten = max(0, last - self._width // 2)
        self._chances, self._first = self._chances[forgotten:], last - forgotten
        return found

    def _time(self, number: int) -> float:
        return number if self._seconds is None else round(number * self._seconds, 6)
