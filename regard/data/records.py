"""What formats, items and goals hand on: records with their place, the columns that are wanted of them, examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError
from regard.image import Image
from regard.recording import Recording

GROUP = 'put words together into sentences, as pandas does: df.groupby("sentence").agg(list)'

Items = str | list[str] | NDArray[np.float32] | Recording | Image


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: on a line of a file, or as the n-th of a file or an iterable without lines.

    Arguments:
        source: the file.
        line: the line on which it begins, from 1.
        number: which one it is, from 1, where there are no lines.
        item_lines: the line of each item, where items stand on lines of their own.
        table: what the table in memory is called whose row it is.
    """

    source: str | None = None
    line: int | None = None
    number: int | None = None
    item_lines: Sequence[int] | None = field(default=None, repr=False)
    table: str | None = None

    def error(self, expected: str, found: str, item: int | None = None) -> DataError:
        """What is wrong with the record, or with item ``item`` (from 0) of it."""
        if item is not None:
            if self.item_lines is not None:
                return DataError(expected, found, path=self.source, line=self.item_lines[item])
            found += f" at item {item + 1}"
        if self.number is None:
            return DataError(expected, found, path=self.source, line=self.line)
        if self.source is None:
            here = f"example {self.number}" if self.table is None else f"row {self.number} of the {self.table}"
            return DataError(expected, found, path=here)
        return DataError(expected, f"{found} in sequence {self.number}", path=self.source)


NOWHERE = Place()


class NoGoal(DataError):
    """A record that does not tell its goal, where one was asked for."""

    @classmethod
    def of(cls, error: DataError) -> NoGoal:
        """The same error, told apart from that of a goal which is wrong."""
        return cls(error.expected, error.found, path=error.path, line=error.line)


@dataclass(frozen=True, slots=True)
class Record:
    """What a format yields: named values, and where they stand.

    Arguments:
        values: by name.
        place: of all of them.
        is_row: whether the values are cells of a table or lines, texts which may stand for lists.
        goal_place: of the goal, where that stands elsewhere.
        text: the lines of the file as they are, up to the next record, for a writer that repeats them.
        delimiter: what parts the cells of the row, for a writer of such rows.
        named: whether the file itself names the values, all of which a writer keeps: it has a header, or holds objects.
    """

    values: Mapping[str, Any]
    place: Place
    is_row: bool = False
    goal_place: Place | None = None
    text: str | None = field(default=None, repr=False)
    delimiter: str | None = None
    named: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A sequence of N items, and what is to be made of it where that was asked for.

    Arguments:
        items: a text, N words, an array ``[N, C]`` of N vectors, float32, a recording of N samples, or an image of N
            pixels.
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


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table or a key of an object.

    Arguments:
        name: what the user calls it.
        usual: its name by default, and the others that may stand for that.

    >>> Field("label", ("label", "category")).find(["Category", "Message"]), Field("stars", ("label",)).find(["label"])
    ('Category', None)
    """

    name: str
    usual: tuple[str, ...]

    @property
    def is_default(self) -> bool:
        return self.name == self.usual[0]

    @property
    def is_named(self) -> bool:
        """Whether the user gave a name, and not a number or nothing."""
        return not self.is_default and not self.name.isdecimal()

    @property
    def written(self) -> str:
        """What it is called in a file that is written: a number is no name."""
        return self.usual[0] if self.name.isdecimal() else self.name

    def find(self, names: Iterable[str]) -> str | None:
        """The one that was asked for, else, where none was asked for, a usual one, in capitals or not."""
        names = list(names)
        if self.name in names:
            return self.name
        if not self.is_default:
            return None
        lower = {str(name).lower(): name for name in reversed(names)}
        return next((lower[name] for name in self.usual if name in lower), None)

    def described(self) -> str:
        """For messages: the name, and what else would do."""
        others = self.usual[1:] if self.is_default else ()
        return f"'{self.name}'" + (f" (or {', '.join(others)})" if others else "")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which values a format is asked for, or given.

    Arguments:
        items: the sequence.
        goal: what is to be made of it.
        key: what an answer calls the goal: "labels", "label" or "target".
        labelled: whether the goal is wanted, and not the items alone.
        per_item: whether the goal is a list with one for every item.
        goal_first: which stands first in a table without a header.
        scored: whether an answer is one of several, whose score is written too.
        kept: whether all values of a record are wanted, to be written beside an answer.
        fills: whether an answer takes the place of what stands under its name in a record.
        beside: other values that tell of the items, where they are there.
        files: whether items are files, and not texts, words or vectors; ``pixels``: whether a table may hold an image
            in each row, a number in each column.
        delimiter: what parts the cells of a table of text; None where that is still to be told.
    """

    items: Field
    goal: Field
    key: str
    labelled: bool = True
    per_item: bool = False
    goal_first: bool = False
    scored: bool = False
    kept: bool = False
    fills: bool = False
    beside: tuple[str, ...] = ()
    files: bool = False
    pixels: bool = False
    delimiter: str | None = None

    @property
    def wanted(self) -> tuple[Field, ...]:
        return (self.items, self.goal) if self.labelled else (self.items,)

    @property
    def goal_name(self) -> str:
        """What the goal is called in a file that is written."""
        return self.key if self.per_item else self.goal.written

    def beside_of(self, record: Record | None) -> dict[str, Any]:
        """What a record tells of its items beside them."""
        return {} if record is None else {name: record.values[name] for name in self.beside if name in record.values}


def number_of(text: str) -> int | None:
    """The number from 1 that a text is, if it is one.

    >>> number_of("4"), number_of("0"), number_of("upos"), number_of("9" * 5000)
    (4, None, None, None)
    """
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    return number or None


def name_columns(header: Sequence[str], fields: Iterable[Field], place: Place) -> list[str]:
    """The names of columns, where those that are asked for by number, from 1, are called by it.

    >>> name_columns(["id", "stars"], [Field("2", ("label",))], Place("train.csv", 1))
    ['id', '2']

    Raises:
        DataError: two of one name.
    """
    names = list(header)
    for wanted in fields:
        number = number_of(wanted.name)
        if number is not None and wanted.name not in header and number <= len(names):
            names[number - 1] = wanted.name
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise place.error("columns of different names", f"two called '{twice}'; choose one by its number")
    return names


def named_labels(value: Any, names: Sequence[str], place: Place) -> Any:
    """The name of a label that is given as a number, or the names of a list of them.

    Raises:
        DataError: a number without a name.
    """
    if isinstance(value, list | tuple | np.ndarray):
        return [named_labels(label, names, place) for label in value]
    if not isinstance(value, int | np.integer) or not 0 <= value < len(names):
        raise place.error(f"label numbers from 0 to {len(names) - 1}", short(value))
    return names[int(value)]


def describe_keys(values: Mapping[str, Any]) -> str:
    """For messages: the keys that there are."""
    named = [f"{key} (null)" if value is None else str(key) for key, value in values.items()]
    return "the keys " + ", ".join(named) if named else "no keys"
