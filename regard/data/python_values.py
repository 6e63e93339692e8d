"""Examples that are already in memory: Python values, tables, and datasets of the `datasets` library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.bad import BadRecords
from regard.data.records import NOWHERE, Columns, Example, NoGoal, Place, Record, named_labels, short
from regard.data.tables import find_table, of_sentences, read_table, values_of
from regard.errors import DataError
from regard.recording import Recording


def read_python(source: Iterable[Any], columns: Columns, bad: BadRecords) -> Iterator[Record]:
    """Records of pairs ``(items, goal)``, dicts, Examples and rows; of bare items too where no goals are asked for.

    A tuple of two whose second is a goal is always a pair: words stand in a list.

    Raises:
        DataError: a wrong example, named by its number from 1.
    """
    table = find_table(source, columns)
    if table is not None:
        yield from of_sentences(read_table(table, columns), columns)
        return
    check_iterable(source)
    known = getattr(source, "features", None)
    features: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    source = _narrow(source, features, columns)
    names = class_names(features, columns.goal.find(features)) if columns.labelled else None
    for number, entry in enumerate(values_of(source), 1):
        with bad:
            yield _record(entry, columns, Place(number=number), names)


def _record(entry: Any, columns: Columns, place: Place, names: Sequence[str] | None) -> Record:
    """What one value is; ``names`` are those of labels that are numbers."""
    items, goal = columns.items.name, columns.goal.name
    expected = columns.key if columns.per_item else f"a {columns.key}"
    if isinstance(entry, tuple) and _is_row_of_pandas(entry):
        raise place.error("a pair, or items alone", "a row with its index; give the DataFrame itself")
    if isinstance(entry, Example):
        here = place if entry.place == NOWHERE else entry.place
        if columns.labelled and entry.goal is None:
            raise NoGoal.of(here.error(expected, "none; read it with labelled=True"))
        record = Record({}, here) if entry.record is None else replace(entry.record, is_row=False)
        return replace(record, values={items: entry.found, goal: entry.goal})
    if isinstance(entry, Mapping):
        values = dict(entry)
        name = columns.goal.find(values)
        if names is not None and name is not None:
            values[name] = named_labels(values[name], names, place)
        return Record(values, place)
    if columns.labelled:
        if not isinstance(entry, tuple | list) or len(entry) != 2 or (columns.per_item and _are_words(entry)):
            found = f"{short(entry)} ({type(entry).__name__}); zip(items, goals) makes pairs"
            raise NoGoal.of(place.error(f"a pair (items, {columns.key}), a dict or an Example", found))
        if entry[1] is None:
            raise NoGoal.of(place.error(expected, "None"))
        return Record({items: _given(entry[0], columns, place), goal: entry[1]}, place)
    bare = entry[0] if _is_pair(entry, columns) else entry
    return Record({items: _given(bare, columns, place)}, place)


def _are_words(entry: Sequence[Any]) -> bool:
    return isinstance(entry, list) and all(isinstance(part, str) for part in entry)


def _is_row_of_pandas(entry: tuple[Any, ...]) -> bool:
    """Of ``itertuples()``, or of ``iterrows()``."""
    return "Index" in getattr(entry, "_fields", ()) or (
        len(entry) == 2 and isinstance(entry[0], int | np.integer) and hasattr(type(entry[1]), "iloc")
    )


def _given(items: Any, columns: Columns, place: Place) -> Any:
    if items is None:
        raise place.error(f"{'' if columns.per_item else 'a text, '}a list of words or an array [N, C]", "None")
    return items


def check_iterable(source: Any) -> None:
    """Refuses what holds no examples.

    Raises:
        DataError: what it is instead.
    """
    if isinstance(source, bytes) or not hasattr(source, "__iter__"):
        raise DataError("a path or an iterable of examples", f"{source!r} ({type(source).__name__})")


def _narrow(dataset: Any, features: Mapping[str, Any], columns: Columns) -> Any:
    """A dataset with nothing to decode but the columns that are wanted, its rows as Python values or arrays.

    One with a transform of the user's own stays as it is: that may need every column.
    """
    form = getattr(dataset, "format", None)
    kind = form.get("type") if isinstance(form, Mapping) else None
    names = {name for field in columns.wanted if (name := field.find(features)) is not None}
    if kind != "custom" and len(names) == len(columns.wanted) and hasattr(dataset, "select_columns"):
        dataset = dataset.select_columns(sorted(names | (set(columns.beside) & set(features))))
    for name in names if kind != "custom" else ():
        if type(features[name]).__name__ in ("Audio", "Image"):  # files as they are, read when they are wanted
            dataset = dataset.cast_column(name, replace(features[name], decode=False))
    return dataset if kind in (None, "numpy", "custom") else dataset.with_format(None)


def _is_pair(entry: Any, columns: Columns) -> bool:
    """``(items, goal)``; without goals to find, a tuple may also be two words, or two vectors."""
    if not isinstance(entry, tuple) or len(entry) != 2:
        return False
    items, goal = entry
    if columns.key == "mask":
        return True
    if columns.beside:  # of recordings: samples may stand beside their rate, which is no goal
        return not isinstance(goal, int | np.integer) or isinstance(items, str | Path | Mapping | tuple | Recording)
    if not columns.per_item:
        return isinstance(goal, str | int | np.integer | None)
    if isinstance(items, str):
        return False
    return goal is None or (hasattr(goal, "__iter__") and all(isinstance(label, str) for label in goal))


def class_names(features: Mapping[str, Any], key: str | None) -> Sequence[str] | None:
    """The names behind label numbers, where a dataset of the `datasets` library keeps them."""
    feature = None if key is None else features.get(key)
    feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    return getattr(feature, "names", None)
