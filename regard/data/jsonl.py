"""JSON Lines: one object a line, with words (or vectors) and labels under their usual names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from regard.data.example import Example
from regard.data.records import Place, from_record, short
from regard.errors import DataError


def read_jsonl(lines: Iterable[str], *, path: str, column: str, labelled: bool) -> Iterator[Example]:
    """Sequences of ``{"words": [...], "labels": [...]}`` or ``{"vectors": [[...], ...], "labels": [...]}``.

    Raises:
        DataError: a line that is not a JSON object, or whose values do not make an example.
    """
    for record, place in read_objects(lines, path=path):
        yield from_record(record, place, column=column, labelled=labelled)


def read_objects(lines: Iterable[str], *, path: str) -> Iterator[tuple[dict[str, Any], Place]]:
    """The object of each line that is not blank, and its place."""
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            record = json.loads(line.rstrip("\r\n"))
        except json.JSONDecodeError as error:
            found = f"{error.msg.lower()} at character {error.colno}"
            raise DataError("a JSON object on one line", found, path=path, line=number) from None
        except RecursionError:
            raise DataError("a JSON object on one line", "lists nested too deeply", path=path, line=number) from None
        if not isinstance(record, dict):
            raise DataError("a JSON object on one line", short(record), path=path, line=number)
        yield record, Place(path, number)
