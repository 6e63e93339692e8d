"""Text files as lines: plain or gzip, told apart by content, and every failure told with its place."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from regard.errors import DataError

STDIN = "-"
BYTE_ORDER_MARK = "\ufeff"
_GZIP = b"\x1f\x8b"
_BINARY = {  # first bytes → what the file is
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file; unpack it first, or use gzip",
    b"\xfd7zXZ": "an xz file; unpack it first, or use gzip",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it first, or use gzip",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
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
    """

    path: str | Path
    beside: str | Path | None = None
    part: Iterable[tuple[int, str]] | None = None

    @property
    def name(self) -> str:
        """As messages call it."""
        return show(self.path)

    def lines(self) -> Iterable[tuple[int, str]]:
        """Numbers from 1, and lines with their ends."""
        return enumerate(read_lines(self.path), 1) if self.part is None else self.part


def read_lines(path: str | Path) -> Iterator[str]:
    """The lines of a UTF-8 file, plain or gzip, each with its line end, as they come in; ``-`` is standard input.

    Only a line feed ends a line. A byte order mark is dropped.

    Raises:
        DataError: no such file, a folder, a binary file, a damaged gzip file, or bytes that are not UTF-8.
    """
    name, number = show(path), 0
    try:
        if str(path) != STDIN:
            check_file(path)
        with _open(path) as stream:
            refuse_binary(stream, name)
            for number, line in enumerate(stream, 1):
                text = line.decode() if number > 1 else line.decode().removeprefix(BYTE_ORDER_MARK)
                if text:  # a mark alone is an empty file
                    yield text
    except UnicodeDecodeError as error:
        raise not_utf8(error, name, number) from None
    except EOFError:
        raise DataError("a whole gzip file", "one that is cut off; fetch it again", path=name) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError("a sound gzip file", f"damage ({error}); fetch it again", path=name) from None
    except OSError as error:
        raise DataError("a file that can be read", (error.strerror or str(error)).lower(), path=name) from None


def not_utf8(error: UnicodeDecodeError, name: str, line: int) -> DataError:
    """The error about a line that cannot be decoded."""
    found = f"byte 0x{error.object[error.start]:02x} at byte {error.start + 1} of the line; save the file as UTF-8"
    return DataError("UTF-8 text", found, path=name, line=line)


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
    near = get_close_matches(path.name, sorted(entry.name for entry in path.parent.iterdir()), n=1)
    raise DataError("a file", "nothing of that name" + (f"; did you mean '{near[0]}'?" if near else ""), path=path)


@contextmanager
def _open(path: str | Path) -> Iterator[io.BufferedReader[Any]]:
    with _open_stdin() if str(path) == STDIN else Path(path).open("rb") as stream:
        if not stream.peek(2).startswith(_GZIP):
            yield stream
            return
        with io.BufferedReader(gzip.GzipFile(fileobj=stream)) as unpacked:
            yield unpacked


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


def refuse_binary(stream: io.BufferedReader[Any], name: str) -> None:
    """Refuses what is no text, by its first bytes.

    Raises:
        DataError: what it is instead.
    """
    head = stream.peek(1)
    for magic, kind in _BINARY.items():
        if head.startswith(magic):
            raise DataError("a text file", kind, path=name)
    if b"\0" in head:
        raise DataError("a text file", "binary data", path=name)
