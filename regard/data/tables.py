"""Tables of text, CSV and TSV: rows as named values, each with its place.

``csv`` follows RFC 4180: a cell in quotes may hold commas, line ends and doubled quotes. ``tsv`` splits at every tab
and nowhere else, and has no quotes: a text that begins with one would otherwise swallow the rows below it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from regard.data.fields import name_columns
from regard.data.records import Place, short
from regard.data.whole import Plan
from regard.errors import DataError

Record = tuple[dict[str, Any], Place]
_LARGEST_CELL = 2**31 - 1  # what fits in a C long everywhere


def read_csv(lines: Iterable[str], *, path: str, plan: Plan, labelled: bool) -> Iterator[Record]:
    """The rows of a table with a header; a record is placed where it begins.

    Raises:
        DataError: quotes that do not close, a row that does not fit the header, or a header without the columns wanted.
    """
    return _records(_csv_rows(lines, path), path, plan, labelled=labelled, may_be_bare=False)


def read_tsv_table(lines: Iterable[str], *, path: str, plan: Plan, labelled: bool) -> Iterator[Record]:
    """The rows of a table with a header, or of one without: label and text, source and target, or a lone text.

    The first row is no header where it has two cells, or one and no labels are wanted; where no column was asked for by
    a name of its own; and where the last cell is no usual name, and the first not the default one.

    Raises:
        DataError: a row that does not fit the first, or a header without the columns that are wanted.
    """
    return _records(_tsv_rows(lines), path, plan, labelled=labelled, may_be_bare=True)


def _records(
    rows: Iterator[tuple[int, list[str]]], path: str, plan: Plan, *, labelled: bool, may_be_bare: bool
) -> Iterator[Record]:
    first, top = next(rows, (0, []))
    if not top:
        return
    bare = _bare_names(top, plan, labelled) if may_be_bare else None
    names = [cell.strip() for cell in top] if bare is None else bare
    header = _check_header(names, plan, Place(path, first), labelled=labelled)
    for line, cells in rows if bare is None else chain([(first, top)], rows):
        place = Place(path, line)
        if len(cells) != len(header):
            raise place.error(f"{len(header)} columns as in line {first}", f"{len(cells)}: {short(cells)}")
        yield dict(zip(header, cells, strict=True)), place


def _bare_names(cells: Sequence[str], plan: Plan, labelled: bool) -> list[str] | None:
    """The names of the columns where the first row is no header, else None."""
    fields = (plan.items, plan.goal)
    defaults = [field.usual[0] for field in fields]
    last = cells[-1].strip().lower()
    is_header = cells[0] in defaults or any(field.is_named or last in field.usual for field in fields)
    if is_header or len(cells) > 2 or (len(cells) == 1 and labelled):
        return None
    if len(cells) == 1:
        return defaults[:1]
    return defaults[::-1] if plan.kind == "label" else defaults


def _check_header(names: Sequence[str], plan: Plan, place: Place, *, labelled: bool) -> list[str]:
    fields = (plan.items, plan.goal) if labelled else (plan.items,)
    header = name_columns(names, fields, place)
    for field in fields:
        if field.find(header) is None:
            raise place.error(f"a column {field.told()}", f"the columns {', '.join(header)}")
    return header


def _csv_rows(lines: Iterable[str], path: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LARGEST_CELL)  # the library's own, 128 KiB, is less than a long document
    reader = csv.reader(lines, strict=True)
    start = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            found, _, _ = str(error).partition(" - ")  # behind it stands advice for programmers
            found += "" if reader.line_num == start else f" in line {reader.line_num}"
            raise DataError(
                "a row of CSV, its quotes closed and doubled within", found, path=path, line=start
            ) from None
        if cells is None:
            return
        if cells:
            yield start, cells
        start = reader.line_num + 1


def _tsv_rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        if line.strip(" \t\r\n"):
            yield number, line.rstrip("\r\n").split("\t")
