"""A folder of text files, ``class/file.txt``: the sub-folder is the label, the file is the text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regard.data.example import Example
from regard.data.lines import read_lines, show
from regard.data.records import Place
from regard.data.whole import Plan
from regard.errors import DataError

_ENDINGS = (".txt", ".txt.gz")
_FILES = f"text files ({', '.join(_ENDINGS)})"


def read_folder(path: str | Path, *, plan: Plan, labelled: bool) -> Iterator[Example]:
    """The texts in the order of their names, without the line end at their end; hidden files are passed over.

    Without labels a folder may also hold the files itself.

    Raises:
        DataError: no such folder, none in it, one without text files, or a file that is something else.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError("a folder", "a file" if folder.exists() else "nothing of that name", path=show(path))
    classes = [entry for entry in _entries(folder) if entry.is_dir()]
    if labelled and not classes:
        found = "files alone" if _entries(folder) else "an empty folder"
        raise DataError(f"sub-folders, one for each label, with {_FILES}", found, path=show(path))
    for part in classes or [folder]:
        for file in _texts(part):
            text = "".join(read_lines(file)).rstrip("\r\n")
            yield plan.make(text, part.name, Place(show(file)), labelled=labelled)


def _texts(folder: Path) -> list[Path]:
    files = _entries(folder)
    if not files:
        raise DataError(_FILES, "an empty folder", path=show(folder))
    for file in files:
        if file.is_dir() or not file.name.lower().endswith(_ENDINGS):
            raise DataError(_FILES, f"{'the folder' if file.is_dir() else 'the file'} '{file.name}'", path=show(folder))
    return files


def _entries(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
