"""RTTM, NIST's rich transcription time marks: who speaks when, a line for each segment of a recording.

https://github.com/nryant/dscore#rttm tells its fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats.nist import Entry, of_recordings, rows_of, seconds_of
from regard.data.formats.refused import refuse, sound_name
from regard.data.lines import File
from regard.data.records import Columns, Example, Record, short

SPEAKER = "SPEAKER"
OTHERS = {"SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU", "CB"}
OTHERS |= {"A/P", "SPKR-INFO"}
_BLANK = re.compile(r"\s|^;;|^$")


def read(file: File, columns: Columns) -> Iterator[Record]:
    """A recording for each that a line names, with the segments of its SPEAKER lines; its sound file lies beside.

    Raises:
        DataError: a line of another kind.
    """
    return of_recordings(_entries(file), columns)


def _entries(file: File) -> Iterator[Entry]:
    expected = "a line of RTTM: SPEAKER file 1 start duration <NA> <NA> label <NA> <NA>"
    for place, fields in rows_of(file, 1, expected):
        if fields[0] in OTHERS:
            continue
        if fields[0] != SPEAKER or len(fields) < 8:
            raise place.error(expected, short(" ".join(fields)))
        start, duration = (seconds_of(field, "start and duration", place) for field in fields[3:5])
        yield fields[1], place, [start, start + duration, fields[7]]


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """A line for each segment; a recording is called by the name of its file, without folder and ending."""
    written: dict[str, str] = {}  # name → path

    def put(example: Example, answer: Answer) -> None:
        name, offset = sound_name(example, "rttm", written)
        for start, end, label in answer[columns.key]:
            refuse(example, (name, label), _BLANK, "no white space in what rttm holds")
            begin, stop = round(offset + start, 3), round(offset + end, 3)  # so that what touches does not overlap
            file.write(f"{SPEAKER} {name} 1 {begin:.3f} {stop - begin:.3f} <NA> <NA> {label} <NA> <NA>\n")

    yield put
