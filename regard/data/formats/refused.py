"""What a format cannot hold is refused, so that all that is written can be read again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.data.items import kind_of
from regard.data.records import Example
from regard.image import Image
from regard.recording import Recording


def words_of(example: Example, format: str) -> list[str]:
    """The words of an example.

    Raises:
        DataError: it has none.
    """
    if isinstance(example.items, list):
        return example.items
    kind = "a text" if isinstance(example.items, str) else _kind(example)
    raise example.place.error(f"words, which {format} is made of", f"{kind}; format=jsonl takes it")


def text_of(example: Example, format: str) -> str:
    """The text of an example.

    Raises:
        DataError: it is none.
    """
    found = example.found
    if isinstance(found, str):
        return found
    kind = "a list of words" if isinstance(found, list) else _kind(example)
    raise example.place.error(f"texts, which {format} is made of", f"{kind}; format=jsonl takes it")


def _kind(example: Example) -> str:
    if isinstance(example.items, Recording | Image):
        return "a recording" if isinstance(example.items, Recording) else "an image"
    return "an array" if isinstance(example.items, np.ndarray) else "text"


def array_of(example: Example, format: str) -> NDArray[np.float32]:
    """The vectors of an example.

    Raises:
        DataError: it has none.
    """
    if isinstance(example.items, np.ndarray):
        return example.items
    raise example.place.error(f"an array, which {format} is made of", f"{_kind(example)}; format=jsonl takes it")


def path_of(example: Example, format: str) -> str | None:
    """The path of the file that a recording or an image is of; None where the items are of no file.

    Raises:
        DataError: it is one in memory.
    """
    if not isinstance(example.items, Recording | Image):
        return None
    if example.items.path is None:
        expected = f"{kind_of(example.items)} in files, whose paths {format} holds"
        raise example.place.error(expected, "one in memory; format=jsonl takes it")
    return example.items.path


def file_name(example: Example, format: str, written: dict[str, str]) -> str:
    """What a recording or an image is called where it is named without folder and ending.

    Arguments:
        written: the path behind each name so far, into which this one goes.

    Raises:
        DataError: one in memory, or of another folder that is called the same.
    """
    path = path_of(example, format)
    if path is None:
        raise example.place.error(f"files, which {format} is about", f"{_kind(example)}; format=jsonl takes it")
    name = Path(path).stem
    if written.setdefault(name, path) != path:
        found = f"'{written[name]}' and '{path}'; format=jsonl takes it"
        expected = f"{kind_of(example.items)} of different names, by which {format} calls them"
        raise example.place.error(expected, found)
    return name


def sound_name(example: Example, format: str, written: dict[str, str]) -> tuple[str, float]:
    """The same of a recording, and the second at which it begins.

    Raises:
        DataError: it is none, is in memory, or is called as one of another folder.
    """
    if not isinstance(example.items, Recording):
        raise example.place.error(f"recordings, which {format} is about", "something else; format=jsonl takes it")
    return file_name(example, format, written), example.items.start


def refuse(example: Example, texts: Iterable[str], wrong: re.Pattern[str], expected: str) -> None:
    """Refuses texts in which the pattern is found.

    Raises:
        DataError: the first that has it.
    """
    for text in texts:
        if wrong.search(text):
            raise example.place.error(expected, f"{text!r}; format=jsonl takes it")
