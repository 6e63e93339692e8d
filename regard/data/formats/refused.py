"""What a format cannot hold is refused, so that all that is written can be read again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from regard.data.records import Example
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
    return "a recording" if isinstance(example.items, Recording) else "an array"


def path_of(example: Example, format: str) -> str | None:
    """The path of the file that a recording is of; None where the example is no recording.

    Raises:
        DataError: it is one in memory.
    """
    if not isinstance(example.items, Recording):
        return None
    if example.items.path is None:
        raise example.place.error(
            f"recordings in files, whose paths {format} holds", "one in memory; format=jsonl takes it"
        )
    return example.items.path


def sound_name(example: Example, format: str, written: dict[str, str]) -> tuple[str, float]:
    """What a recording is called in a file that names it without folder and ending, and the second at which it begins.

    Arguments:
        written: the path behind each name so far, into which this one goes.

    Raises:
        DataError: a recording in memory, or one of another folder that is called the same.
    """
    path = path_of(example, format)
    if path is None or not isinstance(example.items, Recording):
        raise example.place.error(f"recordings, which {format} is about", "something else; format=jsonl takes it")
    name = Path(path).stem
    if written.setdefault(name, path) != path:
        found = f"'{written[name]}' and '{path}'; format=jsonl takes it"
        raise example.place.error(f"recordings of different names, by which {format} calls them", found)
    return name, example.items.first / example.items.rate


def refuse(example: Example, texts: Iterable[str], wrong: re.Pattern[str], expected: str) -> None:
    """Refuses texts in which the pattern is found.

    Raises:
        DataError: the first that has it.
    """
    for text in texts:
        if wrong.search(text):
            raise example.place.error(expected, f"{text!r}; format=jsonl takes it")
