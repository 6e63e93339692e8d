"""One sequence as it was read, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError

Items = str | list[str] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: on a line of a file, or as the n-th of a file or an iterable without lines.

    Arguments:
        source: the file.
        line: the line on which it begins, from 1.
        number: which one it is, from 1, where there are no lines.
        item_lines: the line of each item, where items stand on lines of their own.
    """

    source: str | None = None
    line: int | None = None
    number: int | None = None
    item_lines: Sequence[int] | None = field(default=None, repr=False)

    def error(self, expected: str, found: str, item: int | None = None) -> DataError:
        """What is wrong with the record, or with item ``item`` (from 0) of it."""
        if item is not None:
            if self.item_lines is not None:
                return DataError(expected, found, path=self.source, line=self.item_lines[item])
            found += f" at item {item + 1}"
        if self.number is None:
            return DataError(expected, found, path=self.source, line=self.line)
        if self.source is None:
            return DataError(expected, found, path=f"example {self.number}")
        return DataError(expected, f"{found} in sequence {self.number}", path=self.source)


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Record:
    """What a format yields: named values, and where they stand.

    Arguments:
        values: by name.
        place: of all of them.
        is_row: whether the values are cells of a table or lines, texts which may stand for lists.
        goal_place: of the goal, where that stands elsewhere.
        text: the lines of the file as they are, up to the next record, for a writer that repeats them.
    """

    values: Mapping[str, Any]
    place: Place
    is_row: bool = False
    goal_place: Place | None = None
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A sequence of N items, and what is to be made of it where that was asked for.

    Arguments:
        items: a text, N words, or an array ``[N, C]`` of N vectors, float32.
        goal: N labels (N→N), one label (N→1), a target (N→M), or None.
        place: where it stands, for messages.
        record: as it was read, where there is no goal: a writer may repeat parts of it.
        original: the items as they were found, where they were made into another kind.

    >>> example = Example(["The", "dog"], ["DET", "NOUN"], Place("train.tsv", 7, item_lines=range(7, 9)))
    >>> len(example), str(example.place.error("a label", "'X'", item=1))
    (2, "train.tsv:8: expected a label, found 'X'")
    """

    items: Items
    goal: Any = None
    place: Place = NOWHERE
    record: Record | None = field(default=None, repr=False)
    original: Items | None = field(default=None, repr=False)

    @property
    def found(self) -> Items:
        """The items as they were found, which is how they are written."""
        return self.items if self.original is None else self.original

    def __len__(self) -> int:
        return len(self.items)


def short(value: Any, limit: int = 60) -> str:
    """A value as messages show it."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
