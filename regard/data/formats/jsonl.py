"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np

from regard.data.formats import Answer, Put
from regard.data.lines import File
from regard.data.records import Columns, Example, Place, Record, short
from regard.errors import DataError
from regard.image import Image
from regard.recording import Recording


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The object of each line that is not blank.

    Raises:
        DataError: a line that is not a JSON object.
    """
    for number, line in file.lines():
        if line.isspace():
            continue
        with file.bad:
            yield Record(_object(line.rstrip("\r\n"), file.name, number), Place(file.name, number))


def _object(text: str, path: str, line: int) -> dict[str, Any]:
    expected = "a JSON object on one line"
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        found = f"{error.msg.lower()} at character {error.colno}"
        raise DataError(expected, found, path=path, line=line) from None
    except (RecursionError, ValueError) as error:
        found = "lists nested too deeply" if isinstance(error, RecursionError) else "a number of thousands of digits"
        raise DataError(expected, found, path=path, line=line) from None
    if not isinstance(values, dict):
        raise DataError(expected, short(values), path=path, line=line)
    return values


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """An object for each sequence: its text, words or path, and the whole answer; arrays are left out."""

    def renamed(answer: Answer) -> Answer:
        """The goal under the name that it is read by, in each candidate too."""
        named = {columns.goal_name if name == columns.key else name: value for name, value in answer.items()}
        if "candidates" in named:
            told = named["candidates"]  # answers by themselves, or lists of what each item may be
            named["candidates"] = [renamed(one) if isinstance(one, dict) else one for one in told]
        return named

    def put(example: Example, answer: Answer) -> None:
        values: Answer = {}
        items = example.found
        if isinstance(items, Recording | Image):
            values = {columns.items.written: items.path, **columns.beside_of(example.record)}
        elif not isinstance(items, np.ndarray):
            values["words" if isinstance(items, list) else columns.items.written] = items
        file.write(json.dumps(values | renamed(answer), ensure_ascii=False, default=np.generic.item) + "\n")

    yield put
