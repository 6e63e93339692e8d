"""The records of a file that is larger than memory: what is held is where each begins."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from regard.data.bad import BadRecords
from regard.data.encodings import undecodable
from regard.data.formats import Format
from regard.data.lines import BYTE_ORDER_MARK, File, refuse_binary
from regard.data.records import Columns, Example, Record
from regard.errors import DataError

Numbered = Iterator[tuple[int, str]]
FIRST_BLOCK, LARGEST_BLOCK = 1 << 12, 1 << 18  # bytes read at once: of one record few, of many in a row more


class LazyExamples(Sequence[Example]):
    """The examples of a plain file in a format of lines; all are checked once, and read again when they are asked for.

    Arguments:
        file: which file.
        format: one made of lines.
        columns: what is wanted of each record.
        make: from records to examples, in order; some may be left out.
        check: passes on all examples, and refuses those that do not go together.

    Raises:
        DataError: a record that cannot be used; later, a file that is not what it was.
    """

    def __init__(
        self,
        file: File,
        format: Format,
        columns: Columns,
        make: Callable[[Iterable[Record]], Iterator[Example]],
        check: Callable[[Iterable[Example]], Iterator[Example]],
    ) -> None:
        self._file, self._format, self._columns, self._make = file, format, columns, make
        with Path(file.path).open("rb") as opened:
            refuse_binary(opened, file.name, file.encoding)
            self._opened = os.dup(opened.fileno())  # not mapped: in a map, a file that is cut short ends the process
        weakref.finalize(self, os.close, self._opened)
        self._about = self._state()
        self._head: list[tuple[int, str]] = []  # the lines without which no record can be read
        self._first = 0  # the line of the first record, where the head holds it
        self._starts, self._numbers = self._scan(check)
        self._file = replace(file, bad=BadRecords(skip=file.bad.skip))  # all are noted

    def _scan(
        self, check: Callable[[Iterable[Example]], Iterator[Example]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The byte and the line where each record begins that makes an example."""
        begins: dict[int, int] = {}  # line → byte, of the lines since the last record
        starts, numbers = array("q"), array("q")  # 16 bytes a record, and no objects
        records = self._format.read(replace(self._file, part=self._lines(0, 1, begins)), self._columns)
        for example in check(self._make(self._noting_head(records))):
            line = example.place.line or 0
            starts.append(begins[line])
            numbers.append(line)
            for passed in [number for number in begins if number < line]:
                del begins[passed]
        return np.frombuffer(starts, dtype=np.int64), np.frombuffer(numbers, dtype=np.int64)

    def _noting_head(self, records: Iterator[Record]) -> Iterator[Record]:
        first = next(records, None)
        if first is None:
            return
        if self._format.has_head:
            line = first.place.line or 1
            self._head = list(islice(self._lines(0, 1), line - 1))
            if not any(above.strip() for _, above in self._head):  # no header: the first row tells what the others are
                self._head = list(islice(self._lines(0, 1), line))
                self._first = line
        yield from chain([first], records)

    def _lines(self, place: int, number: int, begins: dict[int, int] | None = None) -> Numbered:
        """The lines from a byte on, the first of which has that number."""
        most = self._file.limits.record_bytes
        for raw in self._raw_lines(place, most):
            if len(raw) - raw.endswith(b"\n") > most:
                raise self._file.limits.long_record(self._file.name, number, what="line")
            if begins is not None:
                begins[number] = place
            try:
                line = (raw.removeprefix(BYTE_ORDER_MARK) if place == 0 else raw).decode(self._file.encoding)
            except UnicodeDecodeError as error:
                raise undecodable(error, self._file.encoding, self._file.name, number) from None
            if line:  # a mark alone is an empty file
                yield number, line
            place, number = place + len(raw), number + 1

    def _raw_lines(self, place: int, most: int) -> Iterator[bytes]:
        """The bytes of the lines from a byte on; the last is one that is found to be longer than ``most``."""
        rest: list[bytes] = []  # of a line whose end has not come yet
        size = FIRST_BLOCK
        while block := os.pread(self._opened, size, place):
            self._check_unchanged()
            place, size = place + len(block), min(4 * size, LARGEST_BLOCK)
            first, *others = block.split(b"\n")
            rest.append(first)
            if not others and sum(map(len, rest)) > most:
                break
            for other in others:
                yield b"".join(rest) + b"\n"
                rest = [other]
        self._check_unchanged()
        if line := b"".join(rest):
            yield line

    def _state(self) -> tuple[int, int]:
        about = os.fstat(self._opened)
        return about.st_size, about.st_mtime_ns

    def _check_unchanged(self) -> None:
        """Refuses to go on with a file that something wrote into; one that is put in its place is another file."""
        if self._state() != self._about:
            found = f"one that was changed since ({self._about[0]:,} bytes then, {self._state()[0]:,} now)"
            expected = "the file that it was when reading began (leave it alone until then, and run again)"
            raise DataError(expected, found, path=self._file.name)

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> list[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | list[Example]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        start, number = int(self._starts[place]), int(self._numbers[place])
        head = [] if number == self._first else self._head
        lines = chain(head, self._lines(start, number))
        records = self._format.read(replace(self._file, part=lines), self._columns)
        return next(self._make(islice(records, int(number > self._first > 0), None)))

    def __len__(self) -> int:
        return len(self._starts)
