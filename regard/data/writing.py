"""Predictions in the formats that can be read again: one road for all goals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from regard.data.formats import Answer, Put, check_name, writable_formats
from regard.data.goals import columns_of
from regard.data.records import Example

__all__ = ["Answer", "Put", "open_writer", "write"]


def write(
    examples: Iterable[Example],
    answers: Iterable[Answer],
    file: IO[Any] | Path,
    *,
    format: str,
    goal: str,
    **names: Any,
) -> None:
    """Writes each sequence with its answer; see :func:`open_writer`.

    Raises:
        ConfigError: a format that does not exist.
        DataError: an answer that does not fit the items, or a text that the format cannot hold.
    """
    with open_writer(file, format=format, goal=goal, **names) as put:
        for example, answer in zip(examples, answers, strict=True):
            put(example, answer)


@contextmanager
def open_writer(
    file: IO[Any] | Path,
    *,
    format: str,
    goal: str,
    column: str | None = None,
    item_column: str | None = None,
    several: bool = False,
    items: str | None = None,
    delimiter: str | None = None,
    fills: bool = False,
) -> Iterator[Callable[[Example, Answer], None]]:
    """A context with the function that writes an example with its answer; the file is whole once it is left.

    Arguments:
        file: of text, opened with ``newline=""`` where line ends must stay as they are; of bytes, or a folder that
            is empty, where the format's ``medium`` is that.
        format: a name of :func:`writable_formats`.
        goal: "labels", "label" or "target", the key of an answer that holds it; other keys are told by jsonl.
        column, item_column: what goal and items are called, as in :func:`regard.data.read`.
        items: their kind, as in :func:`regard.data.read`.
        delimiter: of csv; None writes that of the rows that the answers are to, or else a comma.
        fills: whether an answer takes the place of what a record holds under its name; else it is told beside that as
            ``predicted_NAME``.
        several: whether an answer has many ``candidates``, each with its goal and a score: a row for each of them.

    Raises:
        ConfigError: a format that does not exist.
    """
    known = writable_formats(goal)
    row = known[check_name(format, tuple(known))]
    if several and row.name in ("lines", "text"):
        row = known["tsv"]
    columns = columns_of(goal, column, item_column, labelled=True, items=items, delimiter=delimiter)
    columns = replace(columns, scored=several, fills=fills)
    with row.write(file, columns) as put:

        def checked(example: Example, answer: Answer) -> None:
            if several and row.name != "jsonl":
                for candidate in answer["candidates"]:
                    put(example, candidate)
                return
            if columns.per_item and len(answer[goal]) != len(example):
                raise example.place.error(f"a label for each of {len(example)} items", f"{len(answer[goal])} labels")
            put(example, answer)

        yield checked
