"""TSV: split at every tab and nowhere else, without quotes, which would otherwise swallow the rows below them.

A table, or, where every word has a label of its own, a word a line and a blank line between sequences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats import columns as columns_format
from regard.data.formats.kept import called, kept_of
from regard.data.formats.refused import refuse
from regard.data.formats.tables import is_header, kept_cells, score_cell, table_cells, table_records
from regard.data.lines import File
from regard.data.records import Columns, Example, Record

_PARTS = re.compile(r"[\t\r\n]|^ +$")  # what no word and no label may hold
_TAB_OR_LINE_END = re.compile(r"[\t\r\n]")


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The rows of a TSV table with a header, or of one without: goal and items as they usually stand, or items alone.

    The first row is no header where it has two cells, or one and no labels are wanted; where no column was asked for by
    a name of its own; and where the last cell is no usual name, and the first not the default one.

    Raises:
        DataError: a row that does not fit the first, or a header without the columns that are wanted.
    """
    return table_records(_rows(file), file, columns, may_be_bare=True)


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """A table without a header: goal and items as they usually stand, and the score of one answer of several.

    It has a header, what a record came with before goal and score, where the record had one, where something tells of
    the items beside them, or where :func:`read` would take the first row for one.
    """
    names: list[str] | None = None  # of what records came with; None before the first row
    is_named = False  # whether they had a header

    def in_order(items: list[str], goal: str) -> list[str]:
        return [goal, *items] if columns.goal_first and not is_named else [*items, goal]

    def put(example: Example, answer: Answer) -> None:
        nonlocal names, is_named
        items, goal = table_cells(example, answer, columns, "tsv")
        kept = kept_of(example, columns, items)
        is_first = names is None
        if names is None:
            names, is_named = list(kept), example.record is not None and example.record.named
        score = [score_cell(answer)] if columns.scored or (is_named and "score" in answer) else []
        row = in_order(kept_cells(example, kept, names, "tsv"), goal)
        refuse(example, row, _TAB_OR_LINE_END, "no tab or line end in what tsv holds")
        if is_first and (is_named or len(names) > 1 or (not score and is_header(row, columns))):
            header = in_order(names, called(columns.goal.written, names))
            file.write("\t".join(header + [called("score", names)] * len(score)) + "\n")
        file.write("\t".join(row + score) + "\n")

    yield put


def read_words(file: File, columns: Columns) -> Iterator[Record]:
    """Sequences of tab-separated columns: the word first, the label last or in the column of that number."""
    return columns_format.read_words(file, columns, lambda line: line.rstrip("\r\n").split("\t"), None)


def write_words(file: TextIO, columns: Columns) -> AbstractContextManager[Put]:
    """``word<TAB>label``, a blank line after each sequence; words may hold spaces."""
    return columns_format.write_words(
        file, columns, _PARTS, "no tab, line end or lone blanks in what tsv holds", "tsv", None
    )


def _rows(file: File) -> Iterator[tuple[int, list[str]]]:
    for number, line in file.lines():
        if line.strip(" \t\r\n"):
            yield number, line.rstrip("\r\n").split("\t")
