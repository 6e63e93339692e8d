"""Plain text: a sequence a line. A second file of lines may hold the targets of the first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats.refused import refuse, words_of
from regard.data.items import split_line
from regard.data.lines import File, read_lines, show
from regard.data.records import Columns, Example, Place, Record

_BLANK = re.compile(r"\s")
_LINE_END = re.compile(r"[\r\n]")


def read(file: File, columns: Columns) -> Iterator[Record]:
    """A record for every line, with the line of the same number from the file beside it where targets are wanted.

    Raises:
        DataError: files of different length.
    """
    if columns.labelled and file.beside is not None:
        yield from _read_both(file, file.beside, columns)
        return
    for number, line in file.lines():
        text = line.rstrip("\r\n")
        items = split_line(text) if columns.per_item else text
        yield Record({columns.items.name: items}, Place(file.name, number), is_row=True)


def _read_both(file: File, beside: str | Path, columns: Columns) -> Iterator[Record]:
    name, counts = show(beside), [0, 0]
    for number, pair in enumerate(zip_longest(read_lines(file.path), read_lines(beside)), 1):
        counts = [count + (line is not None) for count, line in zip(counts, pair, strict=True)]
        if counts[0] == counts[1]:
            text, target = (line.rstrip("\r\n") for line in pair)
            values = {columns.items.name: text, columns.goal.name: target}
            yield Record(values, Place(file.name, number), is_row=True, goal_place=Place(name, number))
    if counts[0] != counts[1]:
        raise Place(file.name).error(f"as many lines as in {name} ({counts[1]})", f"{counts[0]} lines")


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """``word/label word/label`` where every item has a label, else the goal alone; a line for each sequence."""

    def put(example: Example, answer: Answer) -> None:
        goal = answer[columns.key]
        if isinstance(goal, list):
            words = words_of(example, "text")
            refuse(example, (*words, *goal), _BLANK, "no white space in what text holds")
            file.write(" ".join(f"{word}/{label}" for word, label in zip(words, goal, strict=True)) + "\n")
        else:
            refuse(example, (goal,), _LINE_END, "no line end in what stands on one line")
            file.write(goal + "\n")

    yield put
