"""The values that are wanted of a record: what they are called, and how they are found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.data.example import Place, short


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
    """

    items: Field
    goal: Field
    key: str
    labelled: bool = True
    per_item: bool = False
    goal_first: bool = False
    scored: bool = False

    @property
    def wanted(self) -> tuple[Field, ...]:
        return (self.items, self.goal) if self.labelled else (self.items,)

    @property
    def goal_name(self) -> str:
        """What the goal is called in a file that is written."""
        return self.key if self.per_item else self.goal.written


def name_columns(header: Sequence[str], fields: Iterable[Field], place: Place) -> list[str]:
    """The names of columns, where those that are asked for by number, from 1, are called by it.

    >>> name_columns(["id", "stars"], [Field("2", ("label",))], Place("train.csv", 1))
    ['id', '2']

    Raises:
        DataError: two of one name.
    """
    names = list(header)
    for field in fields:
        if field.name.isdecimal() and field.name not in header and 1 <= int(field.name) <= len(names):
            names[int(field.name) - 1] = field.name
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
