"""CSV as RFC 4180 has it: a cell in quotes may hold commas, line ends and doubled quotes.

What parts cells need not be a comma: in half of Europe, where that stands in numbers, spreadsheets write semicolons.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats.kept import called, kept_of
from regard.data.formats.tables import kept_cells, score_cell, table_cells, table_records
from regard.data.lines import File
from regard.data.records import Columns, Example, Field, Record, number_of
from regard.errors import DataError

COMMA = ","
DELIMITERS = (COMMA, ";", "\t", "|")  # of which the header tells one
_LARGEST_CELL = 2**31 - 1  # what fits in a C long everywhere
_TOLD = re.compile(r"sep=(.)[\r\n]*", re.IGNORECASE)  # the line above the header in which Excel tells it
Lines = Iterable[tuple[int, str]]


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The rows of a CSV table with a header; a record is placed where it begins.

    Raises:
        DataError: quotes that do not close, a row that does not fit the header, or a header without the columns wanted.
    """
    csv.field_size_limit(_LARGEST_CELL)  # the library's own, 128 KiB, is less than a long document
    lines = iter(file.lines())
    head = _head(lines, file.limits.record_bytes)
    delimiter = columns.delimiter
    if head and (told := _TOLD.fullmatch(head[-1][1])):
        delimiter = told[1] if delimiter is None else delimiter
        head = _head(lines, file.limits.record_bytes)
    if delimiter is None:
        delimiter = _delimiter_of("".join(line for _, line in head), columns)
    rows = _rows(chain(head, lines), file, delimiter)
    yield from table_records(rows, file, columns, may_be_bare=False, delimiter=delimiter)


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """A table with a header: what a record came with, or its items and what tells of them; goal, and score if any."""
    cell = io.StringIO(newline="")
    names: list[str] | None = None  # of what records came with; None before the header is written
    is_scored = False
    delimiter = COMMA if columns.delimiter is None else columns.delimiter

    def write_row(row: Sequence[str]) -> None:
        cell.seek(0)
        cell.truncate()
        csv.writer(cell, delimiter=delimiter).writerow(row)
        file.write(cell.getvalue().removesuffix("\r\n") + "\n")

    def write_header(names: Sequence[str]) -> None:
        write_row([*names, called(columns.goal_name, names)] + [called("score", names)] * is_scored)

    def put(example: Example, answer: Answer) -> None:
        nonlocal names, is_scored, delimiter
        items, goal = table_cells(example, answer, columns, "csv")
        kept = kept_of(example, columns, items)
        if names is None:
            found = None if example.record is None else example.record.delimiter
            delimiter = delimiter if found is None or columns.delimiter is not None else found
            names, is_scored = list(kept), "score" in answer
            write_header(names)
        write_row([*kept_cells(example, kept, names, "csv"), goal] + ([score_cell(answer)] if is_scored else []))

    yield put
    if names is None:
        write_header([columns.items.written])


def _head(lines: Iterator[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    """The lines up to the end of the first row, whose quotes are closed there."""
    head: list[tuple[int, str]] = []
    quotes = size = 0
    for number, line in lines:
        head.append((number, line))
        quotes += line.count('"')
        size += len(line)
        if (not quotes % 2 and line.strip()) or size > most:
            break
    return head


def _delimiter_of(head: str, columns: Columns) -> str:
    """The one that parts a first row into the columns that are wanted, else into most."""
    parted = {delimiter: cells for delimiter in DELIMITERS if (cells := _cells(head, delimiter))}
    fitting = [name for name, cells in parted.items() if all(_is_there(field, cells) for field in columns.wanted)]
    return max(fitting if fitting else parted, key=lambda name: len(parted[name]), default=COMMA)


def _cells(head: str, delimiter: str) -> list[str]:
    """The first row, of which there is nothing where its quotes do not stand around cells."""
    try:
        rows = csv.reader(io.StringIO(head, newline=""), strict=True, delimiter=delimiter)
        return [cell.strip() for cell in next(filter(None, rows), [])]
    except csv.Error:
        return []


def _is_there(field: Field, header: Sequence[str]) -> bool:
    number = number_of(field.name)
    return field.find(header) is not None or (number is not None and number <= len(header))


def _rows(lines: Lines, file: File, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    start = at = size = 0  # the lines that begin and end what the library reads, and how long it is
    most = file.limits.record_bytes

    def texts() -> Iterator[str]:
        nonlocal start, at, size
        for at, line in lines:
            if not start:
                start, size = at, 0
            size += len(line)
            if size > most:  # a quote that does not close would take in the rest of the file
                raise file.limits.long_record(file.name, start)
            yield line

    rows = csv.reader(texts(), strict=True, delimiter=delimiter)
    while True:
        start = 0
        try:
            cells = next(rows, None)
        except csv.Error as error:
            found, _, _ = str(error).partition(" - ")  # behind it stands advice for programmers
            found += "" if at == start else f" in line {at}"
            expected = "a row of CSV, its quotes closed and doubled within"
            file.bad.take(DataError(expected, found, path=file.name, line=start))
            continue
        if cells is None:
            return
        if cells:
            yield start, cells
