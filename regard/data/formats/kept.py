"""What a record came with, beside which an answer is written: all columns of a table, all keys of an object."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from regard.data.records import Columns, Example
from regard.image import Image
from regard.recording import Recording

PREFIX = "predicted_"  # of an answer whose name is taken


def kept_of(example: Example, columns: Columns, items: Any, *, with_items: bool = True) -> dict[str, Any]:
    """The values of a record in their order; of one whose format has no names its items, and what tells of them.

    Arguments:
        items: as they are written in their place; left out unless ``with_items``.
    """
    record = example.record
    if record is None or not record.named:
        return ({columns.items.written: items} if with_items else {}) | columns.beside_of(record)
    name = columns.items.find(key for key, value in record.values.items() if value is not None)
    kept = {}
    for key, value in record.values.items():
        if key == name and with_items:
            kept[columns.items.written if key == columns.items.name else key] = items
        elif key != name and not (columns.fills and key == columns.goal_name):
            kept[key] = value
    return kept


def called(name: str, kept: Container[str]) -> str:
    """What an answer is called beside what is kept, of which nothing is written over.

    >>> called("label", ["text"]), called("label", ["text", "label"])
    ('label', 'predicted_label')
    """
    return PREFIX + name if name in kept else name


def answer_beside(answer: dict[str, Any], columns: Columns, kept: Container[str]) -> dict[str, Any]:
    """An answer, its goal under the name that it is read by, as it is told beside what is kept."""
    names = {name: columns.goal_name if name == columns.key else name for name in answer}
    return {called(names[name], kept): value for name, value in answer.items()}


def kept_values(example: Example, columns: Columns) -> dict[str, Any]:
    """:func:`kept_of` as values: of sound and images their paths, and no arrays."""
    found = example.found
    if isinstance(found, Recording | Image):
        return kept_of(example, columns, found.path)
    if isinstance(found, list) and (example.record is None or not example.record.named):
        return {"words": found}
    return kept_of(example, columns, found, with_items=not isinstance(found, np.ndarray))
