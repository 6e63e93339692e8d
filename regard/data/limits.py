"""How much of a file may become one thing in memory. A small file may unpack to anything, and a line may never end."""

from __future__ import annotations

from dataclasses import dataclass

from regard.errors import DataError

MIB = 1 << 20
RECORD, UNPACKED = 16, 1024  # MiB, where nothing else is said
LINE = 128  # bytes that each line of a packed file counts for beside its own: what is made of it takes memory too


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before it is held, in MiB; each is an option of that name, with ``largest_`` before it.

    Arguments:
        record: a line, or all lines of one record.
        unpacked: a packed file (gzip, npz) that is held in memory.
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

    def large_file(self, path: str, found: str = "more") -> DataError:
        """The error about a packed file that is too large."""
        advice = "unpack it first, or set a larger `largest_unpacked`"
        return DataError(f"a packed file that holds at most {self.unpacked} MiB ({advice})", found, path=path)


DEFAULT = Limits()
