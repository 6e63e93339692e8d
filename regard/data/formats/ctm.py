"""CTM, NIST's conversation time marks: a line for each word of a recording, from when on and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from regard.data.formats.nist import Entry, of_recordings, rows_of, seconds_of
from regard.data.lines import File
from regard.data.records import Columns, Record

EXPECTED = "a line of CTM: file channel start duration word [confidence]"


def read(file: File, columns: Columns) -> Iterator[Record]:
    """A recording with its words as segments; or, where a target is wanted, joined in the order of time.

    Raises:
        DataError: a line of fewer fields.
    """
    for record in of_recordings(_entries(file), columns):
        if columns.key == "target":
            words = sorted(record.values[columns.goal.name], key=lambda segment: segment[:2])
            text = " ".join(word for _, _, word in words)
            yield replace(record, values={**record.values, columns.goal.name: text})
        else:
            yield record


def _entries(file: File) -> Iterator[Entry]:
    for place, fields in rows_of(file, 5, EXPECTED):
        start, duration = (seconds_of(field, "start and duration", place) for field in fields[2:4])
        yield fields[0], place, [start, start + duration, fields[4]]
