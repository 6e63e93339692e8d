"""Parquet: columns of values in a binary file, read through pyarrow a batch of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from regard.data.formats import Answer, Put
from regard.data.formats.kept import answer_beside, kept_values
from regard.data.lines import File, check_file
from regard.data.records import Columns, Example, Place, Record, name_columns, named_labels
from regard.errors import DataError, UnsupportedError

_ROWS = 1024  # read or written at once
_SHORT = 1 << 14  # bytes of all columns, of which _ROWS rows are no more than a record may be


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The rows, as Python values; labels that the `datasets` library has numbered get their names.

    Raises:
        DataError: no such file, one that is not Parquet, a row that is too long, or a file too large to be held.
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
            wanted = _wanted(schema.names, header, columns)
            called = [new for old, new in zip(schema.names, header, strict=True) if old in wanted]
            for batch in _batches(table, file, wanted):
                for row in batch.rename_columns(called).to_pylist():
                    number += 1
                    place = Place(file.name, number=number)
                    with file.bad:
                        if names is not None and goal is not None:
                            row[goal] = named_labels(row[goal], names, place)
                        yield Record(row, place, named=True)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError("a sound Parquet file", " ".join(str(error).lower().split()), path=file.name) from None


def _wanted(names: Sequence[str], header: Sequence[str], columns: Columns) -> list[str]:
    """The columns to read; all of them where one is missing, so that the message can name them."""
    found = [field.find(header) for field in columns.wanted]
    if columns.kept or None in found:
        return list(names)
    kept = {*found, *columns.beside}
    return [name for name, called in zip(names, header, strict=True) if called in kept or name == "translation"]


def _batches(table: Any, file: File, wanted: list[str]) -> Iterator[Any]:
    """The rows of those columns, few at a time where they are long."""
    left = file.limits.unpacked_bytes
    for group in range(table.num_row_groups):
        longest = _longest_entry(table, file, group, wanted)
        rows = max(1, min(_ROWS, file.limits.record_bytes // max(1, longest)))
        for batch in table.iter_batches(rows, row_groups=[group], columns=wanted):
            left -= batch.nbytes
            if batch.num_rows and batch.nbytes // batch.num_rows > file.limits.record_bytes:
                raise file.limits.long_record(file.name, what="row")
            if file.held and left < 0:
                raise file.limits.large_file(file.name, instead="write it as CSV")
            yield batch


def _longest_entry(table: Any, file: File, group: int, wanted: list[str]) -> int:
    """Bytes of the longest text of a dictionary, to which many rows may point: a small file may hold long ones.

    Which columns have one is not asked of the metadata of each: where these are damaged, pyarrow ends the process.
    """
    from pyarrow.compute import binary_length
    from pyarrow.compute import max as largest
    from pyarrow.parquet import ParquetFile

    columns = [table.schema.column(number) for number in range(len(table.schema))]
    paths = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    if not paths or table.metadata.row_group(group).total_byte_size <= _SHORT:
        return 0
    with ParquetFile(Path(file.path), read_dictionary=paths) as coded:
        first = next(coded.iter_batches(1, row_groups=[group], columns=wanted), None)
        parts = [] if first is None else list(first.columns)
    longest = 0
    while parts:
        part = parts.pop()
        if hasattr(part, "dictionary"):
            longest = max(longest, largest(binary_length(part.dictionary)).as_py() or 0)
        elif hasattr(part, "flatten"):  # lists, structs
            inner = part.flatten()
            parts += inner if isinstance(inner, list) else [inner]
    return longest


@contextmanager
def write(file: IO[bytes], columns: Columns) -> Iterator[Put]:
    """A row for each sequence: what it came with, or its items, and the whole answer but a table of probabilities.

    Raises:
        UnsupportedError: pyarrow is not installed.
    """
    arrow = _pyarrow()
    from pyarrow.parquet import ParquetWriter

    rows: list[dict[str, Any]] = []
    writer: ParquetWriter | None = None
    as_json: set[str] = set()  # columns whose lists are of no one type

    def put(example: Example, answer: Answer) -> None:
        rows.append(_row(example, answer, columns))
        if len(rows) == _ROWS:
            flush()

    def flush() -> None:
        nonlocal writer, as_json
        as_json = _mixed(arrow, rows) if writer is None else as_json
        for row in rows:
            row |= {name: json.dumps(row[name], ensure_ascii=False) for name in as_json & row.keys()}
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


def _mixed(arrow: Any, rows: Sequence[dict[str, Any]]) -> set[str]:
    """The columns that Parquet cannot hold as they are: lists of numbers and texts, say."""
    found = set()
    for name in dict.fromkeys(name for row in rows for name in row):
        try:
            arrow.array([row.get(name) for row in rows])
        except arrow.ArrowException:
            found.add(name)
    return found


def _schema(arrow: Any, rows: Sequence[dict[str, Any]]) -> Any:
    """That of the first rows; a list that is empty in all of them is one of numbers by its name, else of texts.

    So is a column of which all of them have nothing.
    """
    found = arrow.Table.from_pylist(rows).schema
    empty = {"vectors": arrow.list_(arrow.list_(arrow.float64())), "scores": arrow.list_(arrow.float64())}
    for place, field in enumerate(found):
        if arrow.types.is_list(field.type) and arrow.types.is_null(field.type.value_type):
            found = found.set(place, field.with_type(empty.get(field.name, arrow.list_(arrow.string()))))
        elif arrow.types.is_null(field.type):
            found = found.set(place, field.with_type(arrow.string()))
    return found


def _row(example: Example, answer: Answer, columns: Columns) -> dict[str, Any]:
    kept = kept_values(example, columns)
    if isinstance(example.found, np.ndarray):
        kept = {"vectors": example.found.tolist()} | kept
    if columns.key == "segments":  # of times and labels, also where there are none
        answer = answer | {columns.key: json.dumps(answer[columns.key], ensure_ascii=False)}
    told = {name: value for name, value in answer.items() if not isinstance(value, dict)}
    return kept | answer_beside(told, columns, kept)


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
