"""What tables of text have in common: rows as named values, each with its place; items and goal as cells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from regard.data.formats import Answer
from regard.data.formats.pixel_tables import holds_pixels, pixel_records
from regard.data.formats.refused import path_of, text_of, words_of
from regard.data.items import join_cell
from regard.data.lines import File
from regard.data.records import Columns, Example, Field, NoGoal, Place, Record, name_columns, short


def table_records(
    rows: Iterator[tuple[int, list[str]]],
    file: File,
    columns: Columns,
    *,
    may_be_bare: bool,
    delimiter: str | None = None,
) -> Iterator[Record]:
    """A record for every row below the header; of a table that ``may_be_bare``, from the first row on if that is none.

    Arguments:
        delimiter: what parts the cells, where that may be one of several.

    Raises:
        DataError: a row that does not fit the first, or a header without the columns that are wanted.
    """
    first, top = next(rows, (0, []))
    if not top:
        return
    path = file.name
    if holds_pixels(top, columns):
        yield from pixel_records(chain([(first, top)], rows), file, columns)
        return
    bare = _bare_names(top, columns) if may_be_bare else None
    names = [cell.strip() for cell in top] if bare is None else bare
    hint = "; another delimiter may part them" if delimiter is not None and len(names) == 1 else ""
    header = check_header(names, columns.wanted, Place(path, first), hint=hint)
    for line, cells in rows if bare is None else chain([(first, top)], rows):
        place = Place(path, line)
        if len(cells) != len(header):
            file.bad.take(place.error(f"{len(header)} columns as in line {first}", f"{len(cells)}: {short(cells)}"))
            continue
        values = dict(zip(header, cells, strict=True))
        yield Record(values, place, is_row=True, delimiter=delimiter, named=bare is None)


def _bare_names(cells: Sequence[str], columns: Columns) -> list[str] | None:
    """The names of the columns where the first row is no header, else None."""
    defaults = [columns.items.usual[0], columns.goal.usual[0]]
    if is_header(cells, columns) or len(cells) > 2 or (len(cells) == 1 and columns.labelled):
        return None
    if len(cells) == 1:
        return defaults[:1]
    return defaults[::-1] if columns.goal_first else defaults


def is_header(cells: Sequence[str], columns: Columns) -> bool:
    """Whether there are names of columns in a first row, or must be."""
    fields = [field for field in (columns.items, columns.goal) if field.usual[0]]
    last = cells[-1].strip().lower()
    return any(field.is_named or cells[0] == field.usual[0] or last in field.usual for field in fields)


def check_header(names: Sequence[str], fields: Iterable[Field], place: Place, *, hint: str = "") -> list[str]:
    """The names of columns, among which those that are wanted must be; those asked for by number are called by it.

    Arguments:
        hint: what to do where one is missing.

    Raises:
        DataError: there is none of a name, or two.
    """
    header = name_columns(names, fields, place)
    for number, field in enumerate(fields):
        if field.find(header) is None:
            found = f"the columns {', '.join(header)}{hint}" if header else "no columns"
            error = place.error(f"a column {field.described()}", found)
            raise NoGoal.of(error) if number else error  # items come first
    return header


def table_cells(example: Example, answer: Answer, columns: Columns, format: str) -> tuple[str, str]:
    """Items and goal of an example as cells."""
    goal = answer[columns.key]
    if (path := path_of(example, format)) is not None:
        return path, goal if isinstance(goal, str) else json.dumps(goal, ensure_ascii=False)
    if isinstance(goal, list):
        return join_cell(words_of(example, format)), join_cell(goal)
    return text_of(example, format), goal


def kept_cells(example: Example, kept: Mapping[str, Any], names: Sequence[str], format: str) -> list[str]:
    """What a record came with as cells, under the names that the first one had.

    Raises:
        DataError: under a name that the first did not have.
    """
    new = next((name for name in kept if name not in names), None)
    if new is not None:
        expected = f"no '{new}' where the first record has none, which tells the columns of {format}"
        raise example.place.error(expected, f"{short(kept[new])}; format=jsonl takes it")
    return [_cell(kept.get(name)) for name in names]


def score_cell(answer: Answer) -> str:
    """The score of an answer, with what can be told apart of it."""
    return f"{answer['score']:.4f}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
