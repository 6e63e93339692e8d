"""CSV as RFC 4180 has it: a cell in quotes may hold commas, line ends and doubled quotes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats.kept import called, kept_of
from regard.data.formats.tables import kept_cells, score_cell, table_cells, table_records
from regard.data.lines import File
from regard.data.records import Columns, Example, Record
from regard.errors import DataError

_LARGEST_CELL = 2**31 - 1  # what fits in a C long everywhere


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The rows of a CSV table with a header; a record is placed where it begins.

    Raises:
        DataError: quotes that do not close, a row that does not fit the header, or a header without the columns wanted.
    """
    return table_records(_rows(file), file.name, columns, may_be_bare=False)


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """A table with a header: what a record came with, or its items and what tells of them; goal, and score if any."""
    cell = io.StringIO(newline="")
    writer = csv.writer(cell)
    names: list[str] | None = None  # of what records came with; None before the header is written
    is_scored = False

    def write_row(row: Sequence[str]) -> None:
        cell.seek(0)
        cell.truncate()
        writer.writerow(row)
        file.write(cell.getvalue().removesuffix("\r\n") + "\n")

    def write_header(names: Sequence[str]) -> None:
        write_row([*names, called(columns.goal_name, names)] + [called("score", names)] * is_scored)

    def put(example: Example, answer: Answer) -> None:
        nonlocal names, is_scored
        items, goal = table_cells(example, answer, columns, "csv")
        kept = kept_of(example, columns, items)
        if names is None:
            names, is_scored = list(kept), "score" in answer
            write_header(names)
        write_row([*kept_cells(example, kept, names, "csv"), goal] + ([score_cell(answer)] if is_scored else []))

    yield put
    if names is None:
        write_header([columns.items.written])


def _rows(file: File) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LARGEST_CELL)  # the library's own, 128 KiB, is less than a long document
    start = at = size = 0  # the lines that begin and end what the library reads, and how long it is
    most = file.limits.record_bytes

    def texts() -> Iterator[str]:
        nonlocal start, at, size
        for at, line in file.lines():
            if not start:
                start, size = at, 0
            size += len(line)
            if size > most:  # a quote that does not close would take in the rest of the file
                raise file.limits.long_record(file.name, start)
            yield line

    rows = csv.reader(texts(), strict=True)
    while True:
        start = 0
        try:
            cells = next(rows, None)
        except csv.Error as error:
            found, _, _ = str(error).partition(" - ")  # behind it stands advice for programmers
            found += "" if at == start else f" in line {at}"
            expected = "a row of CSV, its quotes closed and doubled within"
            raise DataError(expected, found, path=file.name, line=start) from None
        if cells is None:
            return
        if cells:
            yield start, cells
