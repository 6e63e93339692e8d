"""A folder of files, ``class/file.txt``, ``.wav`` or ``.png``: the sub-folder is the label, the file what has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regard.data.bad import BadRecords
from regard.data.formats import Answer, Put
from regard.data.formats.refused import refuse, text_of
from regard.data.lines import File, show
from regard.data.records import Columns, Example, Place, Record
from regard.errors import DataError
from regard.files import IMAGE_ENDINGS, SOUND_ENDINGS

_ENDINGS = (".txt", ".txt.gz")
_NO_NAME = re.compile(r"[/\\\0]|^\.|^$")  # of a folder, everywhere
_LONGEST_NAME = 200  # bytes
_LINE_END_AT_END = re.compile(r"[\r\n]\Z")
_FILES = (
    f"text files ({', '.join(_ENDINGS)}), recordings ({', '.join(SOUND_ENDINGS[:5])}, ...) or images "
    f"({', '.join(IMAGE_ENDINGS[:3])}, ...)"
)


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The files in the order of their names, texts without the line end at their end; hidden files are passed over.

    Without labels a folder may also hold the files itself.

    Raises:
        DataError: no such folder, none in it, one without such files, or a file that is something else.
    """
    folder = Path(file.path)
    if not folder.is_dir():
        raise DataError("a folder", "a file" if folder.exists() else "nothing of that name", path=file.name)
    classes = [entry for entry in _entries(folder) if entry.is_dir()]
    if columns.labelled and not classes:
        found = "files alone" if _entries(folder) else "an empty folder"
        raise DataError(f"sub-folders, one for each label, with {_FILES}", found, path=file.name)
    for part in classes or [folder]:
        for path in _files(part, file.bad):
            with file.bad:
                items = path if _is_media(path) else _whole(path, file).rstrip("\r\n")
                yield Record({columns.items.name: items, columns.goal.name: part.name}, Place(show(path)))


@contextmanager
def write(folder: Path, columns: Columns) -> Iterator[Put]:
    """A file for each text in the folder of its label, under its own name, or numbered where it has none."""
    number = 0

    def put(example: Example, answer: Answer) -> None:
        nonlocal number
        number += 1
        label, text = answer[columns.key], text_of(example, "folder")
        refuse(example, [label], _NO_NAME, "a label that can name a folder")
        if len(label.encode()) > _LONGEST_NAME:
            found = f"one of {len(label.encode())} bytes; format=jsonl takes it"
            raise example.place.error("a label that can name a folder", found)
        refuse(example, [text], _LINE_END_AT_END, "no line end at the end of what folder holds")
        name = f"{number:06}"
        if example.place.line is None and example.place.source is not None:
            name = Path(example.place.source).name.removesuffix(".gz").removesuffix(".txt")
        path = folder / label / f"{name}.txt"
        if path.exists():  # two of one name, from different folders
            path = path.with_name(f"{name}-{number:06}.txt")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((text + "\n").encode())

    yield put


def _whole(path: Path, file: File) -> str:
    lines, size = [], 0
    for line in file.read_lines(path):
        lines.append(line)
        size += len(line)
        if size > file.limits.record_bytes:
            raise file.limits.long_record(show(path), what="text")
    return "".join(lines)


def _files(folder: Path, bad: BadRecords) -> Iterator[Path]:
    files = _entries(folder)
    if not files:
        bad.take(DataError(_FILES, "an empty folder", path=show(folder)))
    for file in files:
        if file.is_dir() or not (_is_media(file) or file.name.lower().endswith(_ENDINGS)):
            found = f"{'the folder' if file.is_dir() else 'the file'} '{file.name}'"
            bad.take(DataError(_FILES, found, path=show(folder)))
        else:
            yield file


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in (*SOUND_ENDINGS, *IMAGE_ENDINGS)


def _entries(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
