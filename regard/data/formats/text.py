"""Plain text: a sequence a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats.refused import refuse, words_of
from regard.data.items import split_line
from regard.data.lines import File
from regard.data.records import Columns, Example, Place, Record

_BLANK = re.compile(r"\s")
_LINE_END = re.compile(r"[\r\n]")


def read(file: File, columns: Columns) -> Iterator[Record]:
    """A record for every line."""
    for number, line in file.lines():
        text = line.rstrip("\r\n")
        items = split_line(text) if columns.per_item else text
        yield Record({columns.items.name: items}, Place(file.name, number), is_row=True)


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
