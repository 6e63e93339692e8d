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
        try:
            values = json.loads(line.rstrip("\r\n"))
        except json.JSONDecodeError as error:
            found = f"{error.msg.lower()} at character {error.colno}"
            raise DataError("a JSON object on one line", found, path=file.name, line=number) from None
        except (RecursionError, ValueError) as error:
            found = (
                "lists nested too deeply" if isinstance(error, RecursionError) else "a number of thousands of digits"
            )
            raise DataError("a JSON object on one line", found, path=file.name, line=number) from None
        if not isinstance(values, dict):
            raise DataError("a JSON object on one line", short(values), path=file.name, line=number)
        yield Record(values, Place(file.name, number), named=True)


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
