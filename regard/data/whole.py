"""From loose values to a checked Example with one label, or one target, for the whole sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from regard.data.example import Example, Items
from regard.data.fields import Field
from regard.data.records import Place, as_items, describe_keys, name_label, short


@dataclass(frozen=True, slots=True)
class Plan:
    """What a task reads: the items, and the goal that it is to learn from them.

    Arguments:
        items: where they stand in a record.
        goal: where that stands.
        kind: which field of an Example the goal is.
    """

    items: Field
    goal: Field
    kind: Literal["label", "target"]

    def make(self, items: Any, goal: Any, place: Place, *, labelled: bool) -> Example:
        """Checks one sequence; without ``labelled`` the goal is left unread, and the items may be empty.

        Raises:
            DataError: what is wrong with it, and its place.
        """
        checked = _as_sequence(items, place, labelled=labelled)
        value = self.check(goal, place) if labelled else None
        label, target = (value, None) if self.kind == "label" else (None, value)
        return Example(checked, None, place.source, place.line, label=label, target=target)

    def from_record(
        self, record: Mapping[str, Any], place: Place, *, labelled: bool, names: Sequence[str] | None = None
    ) -> Example:
        """An example from named values; ``names`` are those of labels that are given as numbers."""
        record = _flat(record)
        items_key = self.items.find(key for key in record if record[key] is not None)
        if items_key is None:
            raise place.error(f"a key {self.items.told()}", describe_keys(record))
        items, goal = record[items_key], None
        if items_key == "vectors" and isinstance(items, list) and not items:
            items = np.zeros((0, 0), np.float32)
        if labelled:
            goal_key = self.goal.find(record)
            if goal_key is None or record[goal_key] is None:
                raise place.error(f"a {self.kind} under the key {self.goal.told()}", describe_keys(record))
            goal = record[goal_key] if names is None else name_label(record[goal_key], names, place)
        return self.make(items, goal, place, labelled=labelled)

    def check(self, goal: Any, place: Place) -> str:
        """The goal as a string; labels may be numbers that count classes.

        Raises:
            DataError: it is something else, or blank.
        """
        if self.kind == "label" and isinstance(goal, int | np.integer | np.bool_):
            return str(goal)
        if not isinstance(goal, str):
            numbers = " or a whole number" if self.kind == "label" else ""
            raise place.error(f"a {self.kind} that is a string{numbers}", f"{short(goal)} ({type(goal).__name__})")
        return _check_text(goal, self.kind, place, blank=False)


def _flat(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """With what stands under ``translation``, where the data of WMT and OPUS keep the languages."""
    inner = record.get("translation")
    return {**record, **inner} if isinstance(inner, Mapping) else record


def _as_sequence(items: Any, place: Place, *, labelled: bool) -> Items:
    if isinstance(items, str):
        return _check_text(items, "text", place, blank=not labelled)
    if items is None or isinstance(items, bytes | Mapping) or not hasattr(items, "__iter__"):
        raise place.error("a text, a list of words or an array [N, C]", f"{short(items)} ({type(items).__name__})")
    checked = as_items(items, place)
    if labelled and not len(checked):
        raise place.error("at least one item", "an empty sequence")
    return checked


def _check_text(text: str, kind: str, place: Place, *, blank: bool) -> str:
    """Refuses what UTF-8 cannot write, and, unless ``blank`` is allowed, what shows nothing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise place.error(f"a {kind} of whole characters", f"half a surrogate pair in {short(text)}") from None
    if not blank and not text.strip():
        raise place.error(f"a {kind} of at least one character", "an empty one" if not text else "only white space")
    return str(text)
