"""Tables of text, CSV and TSV: rows as named values, each with its place.

``csv`` follows RFC 4180: a cell in quotes may hold commas, line ends and doubled quotes. ``tsv`` splits at every tab
and nowhere else, and has no quotes: a text that begins with one would otherwise swallow the rows below it.
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
from regard.data.formats.refused import refuse, text_of, words_of
from regard.data.items import join_cell
from regard.data.lines import File
from regard.data.records import Columns, Example, Field, Place, Record, name_columns, short
from regard.errors import DataError

_LARGEST_CELL = 2**31 - 1  # what fits in a C long everywhere
_TAB_OR_LINE_END = re.compile(r"[\t\r\n]")


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The rows of a CSV table with a header; a record is placed where it begins.

    Raises:
        DataError: quotes that do not close, a row that does not fit the header, or a header without the columns wanted.
    """
    return _records(_csv_rows(file), file.name, columns, may_be_bare=False)


def read_tsv(file: File, columns: Columns) -> Iterator[Record]:
    """The rows of a TSV table with a header, or of one without: goal and items as they usually stand, or items alone.

    The first row is no header where it has two cells, or one and no labels are wanted; where no column was asked for by
    a name of its own; and where the last cell is no usual name, and the first not the default one.

    Raises:
        DataError: a row that does not fit the first, or a header without the columns that are wanted.
    """
    return _records(_tsv_rows(file), file.name, columns, may_be_bare=True)


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """A table with a header: items and goal, and the score where an answer is one of several."""
    header = [columns.items.written, columns.goal_name] + ["score"] * columns.scored
    cell, begun = io.StringIO(newline=""), False
    writer = csv.writer(cell)

    def write_row(row: Sequence[str]) -> None:
        cell.seek(0)
        cell.truncate()
        writer.writerow(row)
        file.write(cell.getvalue().removesuffix("\r\n") + "\n")

    def put(example: Example, answer: Answer) -> None:
        nonlocal begun
        if not begun:
            write_row(header)
            begun = True
        write_row(_cells(example, answer, columns, "csv"))

    yield put
    if not begun:
        write_row(header)


@contextmanager
def write_tsv(file: TextIO, columns: Columns) -> Iterator[Put]:
    """A table without a header: goal and items as they usually stand, and the score of one answer of several.

    It has a header where :func:`read_tsv` would take the first row for one.
    """
    begun = False

    def put(example: Example, answer: Answer) -> None:
        nonlocal begun
        items, goal, *score = _cells(example, answer, columns, "tsv")
        row = [goal, items] if columns.goal_first else [items, goal]
        refuse(example, row, _TAB_OR_LINE_END, "no tab or line end in what tsv holds")
        if not begun and not score and _is_header(row, columns):
            names = [columns.items.written, columns.goal.written]
            file.write("\t".join(names[::-1] if columns.goal_first else names) + "\n")
        begun = True
        file.write("\t".join(row + score) + "\n")

    yield put


def _cells(example: Example, answer: Answer, columns: Columns, format: str) -> list[str]:
    goal = answer[columns.key]
    score = [f"{answer['score']:.4f}"] if columns.scored else []
    if isinstance(goal, list):
        return [join_cell(words_of(example, format)), join_cell(goal), *score]
    return [text_of(example, format), goal, *score]


def _records(
    rows: Iterator[tuple[int, list[str]]], path: str, columns: Columns, *, may_be_bare: bool
) -> Iterator[Record]:
    first, top = next(rows, (0, []))
    if not top:
        return
    bare = _bare_names(top, columns) if may_be_bare else None
    names = [cell.strip() for cell in top] if bare is None else bare
    header = _check_header(names, columns.wanted, Place(path, first))
    for line, cells in rows if bare is None else chain([(first, top)], rows):
        place = Place(path, line)
        if len(cells) != len(header):
            raise place.error(f"{len(header)} columns as in line {first}", f"{len(cells)}: {short(cells)}")
        yield Record(dict(zip(header, cells, strict=True)), place, is_row=True)


def _bare_names(cells: Sequence[str], columns: Columns) -> list[str] | None:
    """The names of the columns where the first row is no header, else None."""
    defaults = [columns.items.usual[0], columns.goal.usual[0]]
    if _is_header(cells, columns) or len(cells) > 2 or (len(cells) == 1 and columns.labelled):
        return None
    if len(cells) == 1:
        return defaults[:1]
    return defaults[::-1] if columns.goal_first else defaults


def _is_header(cells: Sequence[str], columns: Columns) -> bool:
    """Whether there are names of columns in a first row, or must be."""
    fields = [field for field in (columns.items, columns.goal) if field.usual[0]]
    last = cells[-1].strip().lower()
    return any(field.is_named or cells[0] == field.usual[0] or last in field.usual for field in fields)


def _check_header(names: Sequence[str], fields: Iterable[Field], place: Place) -> list[str]:
    header = name_columns(names, fields, place)
    for field in fields:
        if field.find(header) is None:
            raise place.error(f"a column {field.described()}", f"the columns {', '.join(header)}")
    return header


def _csv_rows(file: File) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LARGEST_CELL)  # the library's own, 128 KiB, is less than a long document
    start = at = 0  # the lines that begin and end what the library reads

    def texts() -> Iterator[str]:
        nonlocal start, at
        for at, line in file.lines():
            start = start or at
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


def _tsv_rows(file: File) -> Iterator[tuple[int, list[str]]]:
    for number, line in file.lines():
        if line.strip(" \t\r\n"):
            yield number, line.rstrip("\r\n").split("\t")
