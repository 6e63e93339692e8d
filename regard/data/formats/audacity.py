"""Label tracks of Audacity: `x.txt` beside `x.wav`, a line `start<TAB>end<TAB>label` for each segment; or a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regard.data.formats import Answer, Put
from regard.data.formats.nist import seconds_of, sound_of
from regard.data.formats.refused import refuse, sound_name
from regard.data.lines import File, show
from regard.data.records import Columns, Example, Place, Record, short
from regard.errors import DataError
from regard.files import SOUND_ENDINGS

ENDING = ".txt"
FREQUENCIES = "\\"  # begins a line about the segment above it
_TAB_OR_LINE_END = re.compile(r"[\t\r\n]|^\s*$")


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The recordings of a folder, each with the label track beside it, in the order of their names; or of one track.

    Without labels the recordings alone are enough.

    Raises:
        DataError: a recording without a track, or a line that is none of one.
    """
    folder = Path(file.path)
    if not folder.is_dir():
        yield _with_track(sound_of(folder.stem, Place(file.name)), file, file.path, columns)
        return
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    sounds = {path.stem: path for path in reversed(entries) if path.suffix.lower() in SOUND_ENDINGS}
    tracks = {path.stem: path for path in entries if path.suffix.lower() == ENDING}
    if not sounds and not (tracks and columns.labelled):
        raise DataError(f"recordings ({', '.join(SOUND_ENDINGS[:5])}, ...)", "none", path=file.name)
    for stem in sorted({*sounds, *(tracks if columns.labelled else ())}):
        sound = sounds.get(stem, folder / f"{stem}{SOUND_ENDINGS[0]}")
        if not columns.labelled:
            yield Record({columns.items.name: sound}, Place(show(sound)))
        elif stem in tracks:
            yield _with_track(sound, file, tracks[stem], columns)
        else:
            expected = f"a label track '{stem}{ENDING}' beside the recording, empty where nothing is heard in it"
            raise DataError(expected, "none", path=sound)


@contextmanager
def write(folder: Path, columns: Columns) -> Iterator[Put]:
    """A label track for each recording, by the name of its file."""
    written: dict[str, str] = {}  # name → path

    def put(example: Example, answer: Answer) -> None:
        name, offset = sound_name(example, "audacity", written)
        lines = []
        for start, end, label in answer[columns.key]:
            refuse(example, (label,), _TAB_OR_LINE_END, "no tab or line end in what audacity holds")
            lines.append(f"{offset + start:.6f}\t{offset + end:.6f}\t{label}\n")
        with (folder / f"{name}{ENDING}").open("a", encoding="utf-8", newline="") as file:
            file.writelines(lines)

    yield put


def _with_track(sound: Path, file: File, track: str | Path, columns: Columns) -> Record:
    segments: list[list[Any]] = []
    numbers: list[int] = []
    for number, line in enumerate(file.read_lines(track), 1):
        text = line.rstrip("\r\n")
        if not text.strip() or text.startswith(FREQUENCIES):
            continue
        place, parts = Place(show(track), number), text.split("\t")
        if len(parts) < 2:
            raise place.error("a line start<TAB>end<TAB>label", short(text))
        times = [seconds_of(part.replace(",", "."), "start and end", place) for part in parts[:2]]
        segments.append(times + [part for part in parts[2:3] if part.strip()])
        numbers.append(number)
    place = Place(show(track), item_lines=numbers)
    return Record({columns.items.name: sound, columns.goal.name: segments}, place)
