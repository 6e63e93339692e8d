"""One sequence as it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Items = str | list[str] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A sequence of N items, with what a task is to make of it where that was asked for.

    Arguments:
        items: N words, a text, whose items its front end makes, or an array ``[N, C]`` of N vectors, float32.
        labels: N labels (N→N), or None.
        source: the file it was read from.
        line: the line of the file where it begins, from 1.
        item_lines: the line of each item, where items stand on lines of their own.
        raw: its lines with everything up to the next sequence, for a writer that repeats them.
        label: of the whole sequence (N→1), or None.
        target: the new sequence, a text (N→M), or None.

    >>> example = Example(["The", "dog"], ["DET", "NOUN"], source="train.tsv", line=7, item_lines=range(7, 9))
    >>> len(example), example.line_of(1)
    (2, 8)
    """

    items: Items
    labels: list[str] | None = None
    source: str | None = None
    line: int | None = None
    item_lines: Sequence[int] | None = field(default=None, repr=False)
    raw: str | None = field(default=None, repr=False)
    label: str | None = None
    target: str | None = None

    def line_of(self, place: int) -> int | None:
        """The line of the file on which item ``place`` (from 0) stands, for messages."""
        return self.line if self.item_lines is None else self.item_lines[place]

    def __len__(self) -> int:
        return len(self.items)
