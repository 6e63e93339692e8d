"""From loose values (of JSON, Python or `datasets`) to a checked Example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.data.example import Example
from regard.errors import DataError

DEFAULT_COLUMN = "upos"  # what `column` is unless the user says otherwise; where nothing has that name, the labels
ITEM_KEYS = ("words", "tokens", "items", "vectors")
LABEL_KEYS = ("labels", "tags", "ner_tags", "pos_tags")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: on a line of a file, or as the n-th sequence of a file or iterable without lines."""

    source: str | None = None
    line: int | None = None
    number: int | None = None

    def error(self, expected: str, found: str) -> DataError:
        if self.number is None:
            return DataError(expected, found, path=self.source, line=self.line)
        if self.source is None:
            return DataError(expected, found, path=f"example {self.number}")
        return DataError(expected, f"{found} in sequence {self.number}", path=self.source)


def make_example(items: Any, labels: Any, place: Place, *, labelled: bool) -> Example:
    """Checks one sequence: words or vectors, and as many labels as items.

    Raises:
        DataError: what is wrong with it, and its place.
    """
    checked = as_items(items, place)
    names = _as_labels(labels, len(checked), place) if labelled else None
    return Example(checked, names, place.source, place.line)


def from_record(
    record: Mapping[str, Any], place: Place, *, column: str, labelled: bool, names: Sequence[str] | None = None
) -> Example:
    """An example from named values; ``names`` are those of labels that are given as numbers."""
    items_key = find_key(record, ITEM_KEYS)
    if items_key is None:
        raise place.error(f"one of the keys {', '.join(ITEM_KEYS)}", describe_keys(record))
    items, labels = record[items_key], None
    if labelled:
        labels_key = find_label_key(record, column)
        if labels_key is None:
            wanted = f"the key '{column}'" if column != DEFAULT_COLUMN else f"one of the keys {', '.join(LABEL_KEYS)}"
            raise place.error(f"labels under {wanted}", describe_keys(record))
        labels = record[labels_key]
        if names is not None:
            labels = [name_label(label, names, place) for label in labels]
    if items_key == "vectors" and isinstance(items, list) and not items:
        items = np.zeros((0, 0), np.float32)
    return make_example(items, labels, place, labelled=labelled)


def find_key(record: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((key for key in keys if record.get(key) is not None), None)


def find_label_key(record: Mapping[str, Any], column: str) -> str | None:
    """The name that was asked for, else, where none was asked for, a usual one."""
    if record.get(column) is not None:
        return column
    return find_key(record, LABEL_KEYS) if column == DEFAULT_COLUMN else None


def check_strings(values: Sequence[Any], kind: str, place: Place) -> None:
    """Refuses anything but non-empty strings that UTF-8 can write."""
    try:
        "".join(values).encode()  # one pass in C; what it stumbles over is looked for below
        if "" not in values:
            return
    except (TypeError, UnicodeEncodeError):
        pass
    for number, value in enumerate(values, 1):
        if not isinstance(value, str):
            found = f"{value!r} ({type(value).__name__}) at item {number}; turn it into one with str"
            raise place.error(f"{kind}s that are strings", found)
        if not value:
            raise place.error(f"a {kind} of at least one character", f"an empty one at item {number}")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise place.error(f"a {kind} of whole characters", f"half a surrogate pair in {value!r} at item {number}")


def as_items(items: Any, place: Place) -> list[str] | NDArray[np.float32]:
    """A list of words or an array ``[N, C]``, checked."""
    if isinstance(items, str | bytes):
        raise place.error("a list of words or an array [N, C]", f"the string {short(items)}; put its words in a list")
    if isinstance(items, np.ndarray) and items.ndim == 1 and items.dtype.kind in "UO":
        items = items.tolist()
    if not isinstance(items, list | tuple):
        return _as_vectors(items, place)
    if items and not isinstance(items[0], str) and hasattr(items[0], "__len__"):
        return _as_vectors(items, place)
    check_strings(items, "word", place)
    return list(items)


def _as_vectors(rows: Any, place: Place) -> NDArray[np.float32]:
    if not hasattr(rows, "__len__") and not hasattr(rows, "__array__"):
        raise place.error("a list of words or an array [N, C]", f"{short(rows)} ({type(rows).__name__})")
    try:
        array = np.asarray(rows)
    except (ValueError, TypeError, RuntimeError):  # ragged rows; a tensor that NumPy cannot hold
        raise place.error("rows of numbers, all of one length", _odd_row(rows)) from None
    if array.dtype.kind not in "biuf":
        raise place.error("rows of numbers, all of one length", _odd_row(rows))
    if array.ndim != 2 or array.shape[1] == 0 < len(array):
        raise place.error("an array [N, C]", f"shape {list(array.shape)}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes Inf and is refused as such
        vectors = array.astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        row, channel = np.argwhere(~np.isfinite(vectors))[0].tolist()
        raise place.error("finite numbers", f"{array[row, channel]} at item {row + 1}, channel {channel + 1}")
    return vectors


def _odd_row(rows: Any) -> str:
    """The first row that differs from the first in length, or that holds something else than numbers."""
    for number, row in enumerate(rows, 1):
        if not hasattr(row, "__len__") or isinstance(row, str):
            return f"{short(row)} at item {number}"
        for value in row:
            if isinstance(value, bool | str) or not hasattr(value, "__float__"):
                return f"{short(value)} at item {number}"
        if len(row) != len(rows[0]):
            return f"{len(row)} numbers at item {number}, {len(rows[0])} before"
    return f"{short(rows)}"


def _as_labels(labels: Any, count: int, place: Place) -> list[str]:
    if labels is None:
        raise place.error("labels", "none")
    if isinstance(labels, str | bytes) or not hasattr(labels, "__iter__"):
        raise place.error("a list of labels", short(labels))
    names = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    check_strings(names, "label", place)
    if len(names) != count:
        raise place.error(f"as many labels as items ({count})", f"{len(names)} labels")
    return names


def name_label(label: Any, names: Sequence[str], place: Place) -> str:
    """The name of a label that is given as a number."""
    if not isinstance(label, int | np.integer) or not 0 <= label < len(names):
        raise place.error(f"label numbers from 0 to {len(names) - 1}", short(label))
    return names[int(label)]


def describe_keys(record: Mapping[str, Any]) -> str:
    """For messages: the keys that there are."""
    named = [f"{key} (null)" if value is None else str(key) for key, value in record.items()]
    return "the keys " + ", ".join(named) if named else "no keys"


def short(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
