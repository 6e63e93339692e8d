"""Standard input, output and errors where they are closed, or where whoever reads them goes away."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

from regard.files import Forgiving


class OutputLost(Exception):
    """Standard output cannot be written. No OSError, which rich and typer would make an exit of their own of.

    Arguments:
        error: the operating system's.
    """

    def __init__(self, error: OSError) -> None:
        self.reader_left = error.errno == errno.EPIPE
        reason = "it is closed" if error.errno == errno.EBADF else (error.strerror or str(error)).lower()
        super().__init__(f"standard output: cannot be written, {reason}; send it elsewhere, or name a file to write")


class _Output(io.FileIO):
    """Standard output, which fails once: what is still in buffers then must not fail again when Python exits."""

    lost = False

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        if self.lost or not size:  # typer tries a stream with nothing, and drops the error
            return size
        try:
            return super().write(data)
        except OSError as error:
            self.lost = True
            raise OutputLost(error) from None


def settle() -> None:
    """Gives a process the three streams that commands rely on.

    The place of one that is closed is taken, so that no file which is opened later gets its number, and with it what
    any library prints. Standard output raises :class:`OutputLost`; messages to standard error never fail.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_WRONLY)
    if sys.stdout is None:
        place = os.open(os.devnull, os.O_RDONLY)  # so that writing fails
        sys.stdout = open(place, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    old: Any = sys.stdout
    raw = getattr(old.buffer, "raw", old.buffer)  # with PYTHONUNBUFFERED there is nothing between
    if isinstance(raw, io.FileIO):
        output: Any = _Output(raw.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            output if raw is old.buffer else io.BufferedWriter(output),
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=old.line_buffering,
            write_through=old.write_through,
        )
    if sys.stderr is None:
        sys.stderr = open(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = Forgiving(sys.stderr)
