"""The values that a task takes from records: what they are called, and how they are found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regard.data.records import ITEM_KEYS, Place

# What `column` and its like are unless the user says otherwise, and what else may stand for it then.
TEXT_NAMES = ("text", "sentence", "question", "message", "document", "content", *ITEM_KEYS)
LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "spam", "y")
SOURCE_NAMES = ("source", *ITEM_KEYS)
TARGET_NAMES = ("target",)


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table or a key of an object.

    Arguments:
        name: what the user calls it.
        usual: its name by default, and the others that may stand for that.

    >>> Field("label", LABEL_NAMES).find(["Category", "Message"]), Field("stars", LABEL_NAMES).find(["label"])
    ('Category', None)
    """

    name: str
    usual: tuple[str, ...]

    @property
    def is_named(self) -> bool:
        """Whether the user gave a name, and not a number or nothing."""
        return self.name != self.usual[0] and not self.name.isdecimal()

    def find(self, names: Iterable[str]) -> str | None:
        """The one that was asked for, else, where none was asked for, a usual one, in capitals or not."""
        names = list(names)
        if self.name in names:
            return self.name
        if self.name != self.usual[0]:
            return None
        lower = {str(name).lower(): name for name in reversed(names)}
        return next((lower[name] for name in self.usual if name in lower), None)

    def told(self) -> str:
        """For messages: the name, and what else would do."""
        others = self.usual[1:] if self.name == self.usual[0] else ()
        return f"'{self.name}'" + (f" (or {', '.join(others)})" if others else "")


def name_columns(header: Sequence[str], fields: Iterable[Field], place: Place) -> list[str]:
    """The names of columns, where those that are asked for by number, from 1, are called by it.

    >>> name_columns(["id", "stars"], [Field("2", LABEL_NAMES)], Place("train.csv", 1))
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
