"""What the text files of NIST's evaluations have in common: fields between blanks, comments, names of sound files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from regard.data.lines import File
from regard.data.records import Columns, Place, Record, short
from regard.files import SOUND_ENDINGS

COMMENT = ";;"
Row = tuple[Place, list[str]]
Entry = tuple[str, Place, list[Any]]  # the name of a recording, a line, and the segment that it tells


def rows_of(file: File, least: int, expected: str, *, most: int = -1) -> Iterator[Row]:
    """The fields of every line that is neither blank nor a comment, and its place.

    Arguments:
        least, most: fields, the last of which holds the rest of the line; as many as there are by default.

    Raises:
        DataError: a line of fewer fields than ``least``.
    """
    for number, line in file.lines():
        fields = line.split(None, most - 1 if most > 0 else -1)
        if not fields or fields[0].startswith(COMMENT):
            continue
        place = Place(file.name, number)
        if len(fields) < least:
            raise place.error(expected, f"{len(fields)} fields: {short(line.rstrip())}")
        yield place, [field.rstrip() for field in fields]


def seconds_of(text: str, what: str, place: Place) -> float:
    """A time as it is written.

    Raises:
        DataError: it is no number.
    """
    try:
        return float(text)
    except ValueError:
        raise place.error(f"{what} in seconds", short(text)) from None


def of_recordings(entries: Iterable[Entry], columns: Columns) -> Iterator[Record]:
    """A record for each recording with all of its segments, in the order in which they come first."""
    found: dict[str, list[tuple[Place, list[Any]]]] = {}
    for name, place, segment in entries:
        found.setdefault(name, []).append((place, segment))
    for name, parts in found.items():
        first = parts[0][0]
        place = Place(first.source, first.line, item_lines=[place.line or 0 for place, _ in parts])
        values = {columns.items.name: sound_of(name, place), columns.goal.name: [segment for _, segment in parts]}
        yield Record(values, place)


def sound_of(name: str, place: Place) -> Path:
    """The sound file that is meant by a name without its ending, or with it, beside the file that names it."""
    folder = Path(place.source or "").parent
    if name.lower().endswith(SOUND_ENDINGS):
        return folder / name
    paths = [folder / f"{name}{ending}" for lower in SOUND_ENDINGS for ending in (lower, lower.upper())]
    return next((path for path in paths if os.path.isfile(path)), paths[0])
