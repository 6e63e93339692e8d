"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np

from regard.data.formats import Answer, Put
from regard.data.formats.kept import answer_beside, kept_values
from regard.data.lines import File
from regard.data.records import Columns, Example, Place, Record, short
from regard.errors import DataError


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The object of each line that is not blank.

    Raises:
        DataError: a line that is not a JSON object.
    """
    for number, line in file.lines():
        if line.isspace():
            continue
        with file.bad:
            yield Record(_object(line.rstrip("\r\n"), file.name, number), Place(file.name, number), named=True)


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
    """An object for each sequence: what it came with, or its text, words or path, and the whole answer.

    Arrays are left out.
    """

    def renamed(answer: Answer, kept: Container[str]) -> Answer:
        """The goal under the name that it is read by, in each candidate too."""
        named = answer_beside(answer, columns, kept)
        if "candidates" in named:
            told = named["candidates"]  # answers by themselves, or lists of what each item may be
            named["candidates"] = [renamed(one, ()) if isinstance(one, dict) else one for one in told]
        return named

    def put(example: Example, answer: Answer) -> None:
        kept = kept_values(example, columns)
        file.write(json.dumps(kept | renamed(answer, kept), ensure_ascii=False, default=_plain) + "\n")

    yield put


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python; what JSON does not know, a date say, as text."""
    return value.item() if isinstance(value, np.generic) else str(value)
