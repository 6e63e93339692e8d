"""Parquet: columns of values in a binary file, read through pyarrow a batch of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from regard.data.formats import Answer, Put
from regard.data.lines import File, check_file
from regard.data.records import Columns, Example, Place, Record, name_columns, named_labels
from regard.errors import DataError, UnsupportedError

_ROWS = 1024  # read or written at once


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The rows, as Python values; labels that the `datasets` library has numbered get their names.

    Raises:
        DataError: no such file, or one that is not Parquet.
        UnsupportedError: pyarrow is not installed.
    """
    check_file(file.path)
    arrow = _pyarrow()
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(Path(file.path)) as table:
            schema = table.schema_arrow
            header = name_columns(schema.names, (columns.items, columns.goal), Place(file.name))
            goal = columns.goal.find(header) if columns.labelled else None
            names = None if goal is None else class_names_of(schema.metadata, schema.names[header.index(goal)])
            for batch in table.iter_batches(_ROWS):
                for row in batch.rename_columns(header).to_pylist():
                    number += 1
                    place = Place(file.name, number=number)
                    if names is not None and goal is not None:
                        row[goal] = named_labels(row[goal], names, place)
                    yield Record(row, place)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError("a sound Parquet file", " ".join(str(error).lower().split()), path=file.name) from None


@contextmanager
def write(file: IO[bytes], columns: Columns) -> Iterator[Put]:
    """A row for each sequence: its text, words or vectors, and the whole answer but a table of probabilities.

    Raises:
        UnsupportedError: pyarrow is not installed.
    """
    arrow = _pyarrow()
    from pyarrow.parquet import ParquetWriter

    rows: list[dict[str, Any]] = []
    writer: ParquetWriter | None = None

    def put(example: Example, answer: Answer) -> None:
        rows.append(_row(example, answer, columns))
        if len(rows) == _ROWS:
            flush()

    def flush() -> None:
        nonlocal writer
        if writer is None:
            writer = ParquetWriter(file, _schema(arrow, rows))
        writer.write_table(arrow.Table.from_pylist(rows, schema=writer.schema))
        rows.clear()

    try:
        yield put
        if rows or writer is None:
            flush()
    finally:
        if writer is not None:
            writer.close()


def _schema(arrow: Any, rows: Sequence[dict[str, Any]]) -> Any:
    """That of the first rows; a list that is empty in all of them is one of numbers by its name, else of texts."""
    found = arrow.Table.from_pylist(rows).schema
    empty = {"vectors": arrow.list_(arrow.list_(arrow.float64())), "scores": arrow.list_(arrow.float64())}
    for place, field in enumerate(found):
        if arrow.types.is_list(field.type) and arrow.types.is_null(field.type.value_type):
            found = found.set(place, field.with_type(empty.get(field.name, arrow.list_(arrow.string()))))
    return found


def _row(example: Example, answer: Answer, columns: Columns) -> dict[str, Any]:
    found = example.found
    if isinstance(found, np.ndarray):
        items: dict[str, Any] = {"vectors": found.tolist()}
    else:
        items = {"words" if isinstance(found, list) else columns.items.written: found}
    goal = {columns.goal_name if name == columns.key else name: value for name, value in answer.items()}
    return items | {name: value for name, value in goal.items() if not isinstance(value, dict)}


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise UnsupportedError("Parquet needs pyarrow: pip install 'regard[parquet]'") from None
    return pyarrow


def class_names_of(metadata: Mapping[bytes, bytes] | None, column: str) -> Sequence[str] | None:
    """The names of numbered labels, as `datasets` leaves them in the files that it writes."""
    about = (metadata or {}).get(b"huggingface", b"{}")
    try:
        feature = json.loads(about)["info"]["features"][column]
        feature = feature.get("feature", feature)
        return feature["names"] if feature["_type"] == "ClassLabel" else None
    except (ValueError, KeyError, TypeError, AttributeError):  # not of that library, or a feature of another make
        return None
