"""Text files as lines: plain or gzip, told apart by content, and every failure told with its place."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

from regard.data.bad import REFUSED, BadRecords
from regard.data.encodings import UTF8, is_by_lines, undecodable
from regard.errors import DataError

MIB = 1 << 20
RECORD, UNPACKED = 16, 1024  # MiB, where nothing else is said
LINE = 128  # bytes that each line of a packed file counts for beside its own: what is made of it takes memory too


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before it is held, in MiB; each is an option of that name, with ``largest_`` before it.

    Arguments:
        record: a line, or all lines of one record.
        unpacked: a packed file (gzip, npz, Parquet) that is held in memory.
    """

    record: int = RECORD
    unpacked: int = UNPACKED

    @property
    def record_bytes(self) -> int:
        return self.record * MIB

    @property
    def unpacked_bytes(self) -> int:
        return self.unpacked * MIB

    def long_record(self, path: str, line: int | None = None, *, what: str = "record") -> DataError:
        """The error about a record, or a line, that is too long."""
        expected = f"a {what} of at most {self.record} MiB (split it, or set a larger `largest_record`)"
        return DataError(expected, "a longer one", path=path, line=line)

    def large_file(self, path: str, found: str = "more", *, instead: str = "unpack it first") -> DataError:
        """The error about a packed file that is too large."""
        advice = f"{instead}, or set a larger `largest_unpacked`"
        return DataError(f"a packed file that holds at most {self.unpacked} MiB ({advice})", found, path=path)


DEFAULT = Limits()


STDIN = "-"
BYTE_ORDER_MARK = codecs.BOM_UTF8
_GZIP = b"\x1f\x8b"
_BINARY = {  # first bytes → what the file is
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file; unpack it first, or use gzip",
    b"\xfd7zXZ": "an xz file; unpack it first, or use gzip",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it first, or use gzip",
    b"\xff\xfe": "UTF-16; give encoding=utf-16, or save it as UTF-8",
    b"\xfe\xff": "UTF-16; give encoding=utf-16, or save it as UTF-8",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy array",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file that a format reads.

    Arguments:
        path: ``-`` is standard input.
        beside: the file whose lines go with those of this one, where there is one.
        part: the numbered lines to read in place of all, for a record in the middle of a file.
        limits: of what is read; ``held``: whether all of it stays in memory.
        encoding: of its text, as :func:`regard.data.encodings.checked_encoding` gives it.
        bad: what becomes of records that cannot be read, in formats that can go on after one.
    """

    path: str | Path
    beside: str | Path | None = None
    part: Iterable[tuple[int, str]] | None = None
    limits: Limits = DEFAULT
    held: bool = False
    encoding: str = UTF8
    bad: BadRecords = REFUSED

    @property
    def name(self) -> str:
        """As messages call it."""
        return show(self.path)

    def lines(self) -> Iterable[tuple[int, str]]:
        """Numbers from 1, and lines with their ends."""
        return enumerate(self.read_lines(self.path), 1) if self.part is None else self.part

    def read_lines(self, path: str | Path) -> Iterator[str]:
        """The lines of this file, or of one that goes with it, plain or gzip, each with its end, as they come in.

        Only a line feed ends a line. A byte order mark is dropped, and ``-`` is standard input.

        Raises:
            DataError: no such file, a folder, a binary file, a damaged gzip file, bytes that are not text, a line that
                is too long, or a packed file that is too large to be held.
        """
        name, number = show(path), 0
        most, by_lines = self.limits.record_bytes + 1, is_by_lines(self.encoding)
        try:
            if str(path) != STDIN:
                check_file(path)
            with unpacked(path, self.limits if self.held else None) as stream:
                refuse_binary(stream, name, self.encoding)
                read = _raw_lines if by_lines else partial(_decoded_lines, self.encoding)
                lines: Iterator[Any] = read(stream, most)
                for number, line in enumerate(lines, 1):
                    if len(line) >= most and len(line) - (line[-1:] in (b"\n", "\n")) >= most:
                        raise self.limits.long_record(name, number, what="line")
                    yield line.decode(self.encoding) if by_lines else line
        except UnicodeError as error:
            raise undecodable(error, self.encoding, name, number if by_lines else None) from None
        except EOFError:
            raise DataError("a whole gzip file", "one that is cut off; fetch it again", path=name) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError("a sound gzip file", f"damage ({error}); fetch it again", path=name) from None
        except OSError as error:
            raise DataError("a file that can be read", (error.strerror or str(error)).lower(), path=name) from None


def _raw_lines(stream: io.BufferedReader[Any], most: int) -> Iterator[bytes]:
    """Each line with its end, or so much of it; a byte order mark alone is an empty file."""
    first = stream.readline(most + len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    return chain([first] if first else (), iter(partial(stream.readline, most), b""))


def _decoded_lines(encoding: str, stream: io.BufferedReader[Any], most: int) -> Iterator[str]:
    """The same of text in which a line feed is more than one byte; the last may be one that is too long."""
    decoder = codecs.getincrementaldecoder(encoding)()
    rest, is_first = "", True
    while block := stream.read1(MIB):
        text = decoder.decode(block)
        *lines, rest = (rest + (text.removeprefix("\ufeff") if is_first else text)).split("\n")
        is_first = is_first and not text
        yield from (f"{line}\n" for line in lines)
        if len(rest) > most:
            break
    else:
        rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def is_gzip(path: str | Path) -> bool:
    """Whether a file is packed, by its first bytes."""
    with Path(path).open("rb") as file:
        return file.read(2) == _GZIP


def show(path: str | Path) -> str:
    """A path as messages name it."""
    return "<stdin>" if str(path) == STDIN else os.fspath(path)


def check_file(path: str | Path) -> None:
    """Refuses what is missing, with the nearest name in its folder, and what is a folder.

    Raises:
        DataError: in both cases.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError("a file", "a folder; name one file in it", path=path)
    if path.exists():
        return
    if not path.parent.is_dir():
        raise DataError("a file", f"no folder '{path.parent}'", path=path)
    if path.is_symlink():
        raise DataError("a file", f"a link to '{path.readlink()}', where there is nothing", path=path)
    near = get_close_matches(path.name, sorted(entry.name for entry in path.parent.iterdir()), n=1)
    raise DataError("a file", "nothing of that name" + (f"; did you mean '{near[0]}'?" if near else ""), path=path)


class _Unpacked(gzip.GzipFile):
    """What a gzip file holds, up to a limit."""

    def __init__(self, packed: io.BufferedReader[Any], name: str, limits: Limits) -> None:
        super().__init__(fileobj=packed)
        self._limits, self._name, self._left = limits, name, limits.unpacked_bytes

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(size)
        self._left -= len(block) + LINE * block.count(b"\n")
        if self._left < 0:
            raise self._limits.large_file(self._name)
        return block

    def readinto(self, buffer: Any) -> int:
        block = self.read(len(buffer))  # from Python 3.14 on GzipFile's own would go round it
        buffer[: len(block)] = block
        return len(block)


@contextmanager
def unpacked(path: str | Path, limits: Limits | None) -> Iterator[io.BufferedReader[Any]]:
    """The bytes of a file, plain or gzip, which may hold no more than the limits say."""
    with _open_stdin() if str(path) == STDIN else Path(path).open("rb") as stream:
        if not stream.peek(2).startswith(_GZIP):
            yield stream
            return
        if limits is not None and stream.seekable():  # measured first: to unpack is little of the work
            start = stream.tell()
            with _Unpacked(stream, show(path), limits) as measured:
                while measured.read(MIB):
                    pass
            stream.seek(start)
        whole = gzip.GzipFile(fileobj=stream) if limits is None else _Unpacked(stream, show(path), limits)
        with io.BufferedReader(whole) as lines:
            yield lines


@contextmanager
def _open_stdin() -> Iterator[io.BufferedReader[Any]]:
    """The stream below Python's own buffer, which hands over lines as they come in. It is left open."""
    if sys.stdin is None:
        raise DataError("a file, or lines of standard input", "standard input closed", path=show(STDIN))
    raw = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    reader = io.BufferedReader(cast(io.RawIOBase, raw))
    try:
        yield reader
    finally:
        reader.detach()


def refuse_binary(stream: io.BufferedReader[Any], name: str, encoding: str) -> None:
    """Refuses what is no text, by its first bytes.

    Raises:
        DataError: what it is instead.
    """
    if not is_by_lines(encoding):
        return
    head = stream.peek(1)
    for magic, kind in _BINARY.items():
        if head.startswith(magic):
            raise DataError("a text file", kind, path=name)
    if b"\0" in head:
        raise DataError("a text file", "binary data", path=name)
