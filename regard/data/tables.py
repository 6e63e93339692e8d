"""Tables in memory, read by column: DataFrames, tables of Arrow, dicts of columns; none of their libraries is imported.

A library is told by the names that its classes have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Any

from regard.data.formats.parquet import class_names_of
from regard.data.formats.tables import check_header
from regard.data.records import GROUP, Columns, Field, Place, Record, named_labels, short
from regard.errors import DataError

ROWS = 1024  # made into Python values at once
INNER = "translation"  # a column that may hold items and goal, by language


NO_TABLES = {  # what makes a table of it, and the names by which it is told
    ".read_all()": ("read_all", "read_next_batch"),  # Arrow's readers
    ".agg(list)": ("ngroups", "get_group"),  # what pandas groups
}


@dataclass(frozen=True, slots=True)
class Table:
    """What is read of a table.

    Arguments:
        kind: it is called in messages.
        names: of all columns, in order.
        column: the one in that place.
        metadata: of an Arrow schema, where the names of numbered labels may stand.
    """

    kind: str
    names: list[str]
    column: Callable[[int], Any]
    metadata: Mapping[bytes, bytes] | None = None


def find_table(source: Any, columns: Columns) -> Table | None:
    """The table that a source is, if it is one.

    Raises:
        DataError: a table that is not computed yet, several tables, or a dict that is no table.
    """
    kind = type(source)
    for instead, marks in NO_TABLES.items():
        if all(hasattr(kind, mark) for mark in marks):
            raise DataError("a table in memory", f"a {kind.__name__}, which is none yet; give its {instead}")
    if isinstance(source, Mapping):
        return _of_mapping(source, columns)
    if hasattr(kind, "columns"):
        for compute in ("toPandas", "collect", "compute"):  # PySpark, polars, Dask
            if hasattr(kind, compute):
                found = f"a {kind.__name__}, which is not computed yet; give its .{compute}()"
                raise DataError("a table in memory", found)
    if hasattr(kind, "columns") and hasattr(kind, "iloc"):  # pandas
        return Table(kind.__name__, list(map(str, source.columns)), lambda place: source.iloc[:, place])
    if hasattr(kind, "columns") and hasattr(kind, "get_columns"):  # polars
        return Table(kind.__name__, list(source.columns), source.to_series)
    if hasattr(kind, "column_names") and hasattr(kind, "to_pylist"):  # Arrow
        return Table(kind.__name__, list(source.column_names), source.column, source.schema.metadata)
    return None


def _of_mapping(source: Mapping[Any, Any], columns: Columns) -> Table:
    names, values = list(map(str, source)), list(source.values())
    if columns.items.find(names) is None and (not columns.labelled or columns.goal.find(names) is None):
        found = "an empty mapping"
        if names:
            found = f"a mapping with the keys {', '.join(names)}; take one of them, as in data['{names[0]}']"
        raise DataError("an iterable of examples", found)
    for name, value in zip(names, values, strict=True):
        if isinstance(value, str | bytes) or not isinstance(value, Sized) or not isinstance(value, Iterable):
            found = f"{short(value)} under '{name}'; put a single example in a list: [{{...}}]"
            raise DataError("a dict of columns, each a list with one entry for every row", found)
        if len(value) != len(values[0]):
            found = f"{len(values[0])} under '{names[0]}' and {len(value)} under '{name}'"
            raise DataError("columns of one length", found, path="the dict of columns")
    return Table("dict of columns", names, values.__getitem__)


def read_table(table: Table, columns: Columns) -> Iterator[Record]:
    """A record for every row, of the columns that are wanted alone.

    Raises:
        DataError: a column that is not there, or a value that is missing: each row must have its own.
    """
    place = Place(f"the {table.kind}")
    wanted = () if INNER in table.names else columns.wanted
    header = check_header(table.names, wanted, place, hint=_hint(table, columns, wanted))
    named = [field.find(header) for field in columns.wanted]
    places = {name: header.index(name) for name in (*named, *columns.beside, INNER) if name in header}
    for name, where in places.items():
        _refuse_missing(values_of(table.column(where)), name, table.kind)
    goal = columns.goal.find(places) if columns.labelled else None
    labels = None if goal is None else class_names_of(table.metadata, table.names[places[goal]])
    series = [values_of(table.column(where)) for where in places.values()]
    for number, cells in enumerate(zip(*series, strict=True), 1):
        row = Place(number=number, table=table.kind)
        values = dict(zip(places, cells, strict=True))
        if labels is not None and goal is not None:
            values[goal] = named_labels(values[goal], labels, row)
        yield Record(values, row, is_row=True)


def _hint(table: Table, columns: Columns, wanted: Iterable[Field]) -> str:
    """What to do where a column is missing."""
    missing = next((field for field in wanted if field.find(table.names) is None), None)
    if missing is None or not table.names:
        return ""
    first = [next(values_of(table.column(place)), None) for place in range(len(table.names))]
    if missing is columns.items and all(isinstance(value, int | float) for value in first):
        return "; a table of numbers that is one sequence of vectors goes in a list: [df]"
    return f"; rename the right one to '{missing.name}'"


def of_sentences(records: Iterable[Record], columns: Columns) -> Iterator[Record]:
    """Passes rows on, and refuses a table of which each is one word with its label: somebody cut up sentences.

    Raises:
        DataError: at the end, how to put them together.
    """
    of_words, count, table = columns.labelled and columns.per_item, 0, ""
    for record in records:
        of_words = of_words and all(_is_word(record.values, field) for field in columns.wanted)
        count, table = count + 1, f"the {record.place.table}"
        yield record
    if of_words and count > 1:
        expected = "a row for each sentence, its words and its labels in lists or between blanks"
        raise DataError(expected, f"a row for each word; {GROUP}", path=table)


def _is_word(values: Mapping[str, Any], field: Field) -> bool:
    value = values.get(field.find(values) or "")
    return isinstance(value, str) and not value.lstrip().startswith("[") and len(value.split()) == 1


def values_of(column: Any) -> Iterator[Any]:
    """The entries of a column, or of any iterable, as Python values."""
    kind = type(column)
    if hasattr(kind, "to_pylist"):  # Arrow
        for start in range(0, len(column), ROWS):
            yield from column.slice(start, ROWS).to_pylist()
    elif hasattr(kind, "iloc"):  # pandas: by place, whatever the index says
        for start in range(0, len(column), ROWS):
            yield from column.iloc[start : start + ROWS].tolist()
    elif hasattr(kind, "to_list") and hasattr(kind, "slice"):  # polars
        for start in range(0, len(column), ROWS):
            yield from column.slice(start, ROWS).to_list()
    else:
        yield from column


def _refuse_missing(values: Iterable[Any], name: str, kind: str) -> None:
    """Beforehand, for one missing number makes pandas turn all whole ones of its column into others."""
    for number, value in enumerate(values, 1):
        if _is_missing(value):
            found = f"{value!r}, which is none; drop such rows or fill them"
            raise Place(number=number, table=kind).error(f"a value in the column '{name}'", found)


def _is_missing(value: Any) -> bool:
    """None, or what pandas has in its place: NaN, NA, NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value
