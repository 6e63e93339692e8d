"""STM, NIST's segment time marks: a line for each utterance, who speaks, from when to when, and what."""

from __future__ import annotations

from collections.abc import Iterator

from regard.data.formats.nist import Entry, of_recordings, rows_of, seconds_of, sound_of
from regard.data.lines import File
from regard.data.records import Columns, Record

IGNORED = "ignore_time_segment_in_scoring"  # the text of what nobody transcribed
EXPECTED = "a line of STM: file channel speaker start end [<labels>] text"


def read(file: File, columns: Columns) -> Iterator[Record]:
    """A recording with its segments, labelled by who speaks; or a part of one for each line, with speaker or text.

    Raises:
        DataError: a line of fewer fields.
    """
    if columns.key == "segments":
        entries: Iterator[Entry] = (
            (name, record.place, [record.values["start"], record.values["end"], speaker])
            for name, speaker, _, record in _utterances(file)
        )
        yield from of_recordings(entries, columns)
        return
    for name, speaker, text, record in _utterances(file):
        goal = speaker if columns.key == "label" else text
        sound = sound_of(name, record.place)
        yield Record({**record.values, columns.items.name: sound, columns.goal.name: goal}, record.place)


def _utterances(file: File) -> Iterator[tuple[str, str, str, Record]]:
    """Recording, speaker and text of each line, and a record of its start and end."""
    for place, fields in rows_of(file, 5, EXPECTED, most=6):
        text = fields[5] if len(fields) > 5 else ""
        if text.startswith("<") and ">" in text:
            text = text.partition(">")[2].strip()
        if text.lower() != IGNORED:
            start, end = (seconds_of(field, "start and end", place) for field in fields[3:5])
            yield fields[0], fields[2], text, Record({"start": start, "end": end}, place)
