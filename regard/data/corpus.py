"""Raw text, one sequence a line, that may be larger than memory: what is held is where each line begins."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from regard.data.example import Example
from regard.data.lines import check_file, read_lines, show
from regard.errors import DataError


class Corpus(Sequence[Example]):
    """The lines of a UTF-8 file that hold more than white space, as examples of texts, read when they are asked for.

    Raises:
        DataError: no such file, one that is not plain UTF-8 text (gzip too must be unpacked), or nothing in it.
    """

    def __init__(self, path: str | Path) -> None:
        check_file(path)
        self.path = show(path)
        self._starts, self._numbers = self._scan(path)
        if not len(self._starts):
            raise DataError("lines of text", "an empty file, or nothing but blank lines", path=self.path)
        with Path(path).open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _scan(self, path: str | Path) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
        """The byte and the number of every line that is kept; what cannot be decoded is told with its line."""
        with Path(path).open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise DataError("plain text, which can be read from anywhere", "gzip; unpack it first", path=self.path)
        starts, numbers, place = [], [], 0
        for number, line in enumerate(read_lines(path), 1):
            if line.strip():
                starts.append(place)
                numbers.append(number)
            place += len(line.encode()) + (3 if number == 1 and self._has_mark(path) else 0)
        return np.array(starts, dtype=np.int64), np.array(numbers, dtype=np.int64)

    def _has_mark(self, path: str | Path) -> bool:
        with Path(path).open("rb") as file:
            return file.read(3) == b"\xef\xbb\xbf"

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> list[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | list[Example]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        start = int(self._starts[place])
        stop = self._bytes.find(b"\n", start)
        raw = self._bytes[start : len(self._bytes) if stop < 0 else stop]
        text = raw.decode().removeprefix("\ufeff").rstrip("\r")
        return Example(text, source=self.path, line=int(self._numbers[place]))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Example]:
        return (self[place] for place in range(len(self)))


def read_texts(source: str | Path | Iterable[str]) -> Sequence[Example]:
    """The texts of a file, one a line, or of an iterable of strings.

    Raises:
        DataError: a file that :class:`Corpus` does not take, or something else than a text.
    """
    if isinstance(source, str | Path):
        return Corpus(source)
    examples = []
    for number, text in enumerate(source, 1):
        if isinstance(text, Example):
            examples.append(text)
        elif isinstance(text, str):
            examples.append(Example(text))
        else:
            raise DataError("a text (str)", f"{text!r} ({type(text).__name__})", path=f"example {number}")
    if not examples:
        raise DataError("at least one text", "none", path=None)
    return examples
