"""The errors that users see. Each message names the argument, the rule, the value given, and what to do."""

from __future__ import annotations

from os import PathLike

LONGEST = 2000  # characters of a message, which tells what stood in a file: that may be anything


class RegardError(ValueError):
    """Anything that regard refuses. The command line prints its message as one line."""

    def __str__(self) -> str:
        message = super().__str__()
        return message if len(message) <= LONGEST else f"{message[: LONGEST - 500]} … {message[-490:]}"


class ShapeError(RegardError):
    """Tensors whose shapes, types or devices do not fit together."""


class UnsupportedError(RegardError):
    """A named implementation, or this machine, cannot do what was asked."""


class ConfigError(RegardError):
    """An option that does not exist, or a value that it does not take."""


class ModelError(RegardError):
    """A run folder or checkpoint that cannot be opened: missing, damaged, or from a newer version."""


class DataError(RegardError):
    """A bad record in the user's data: where it stands, what was expected, and what stood there.

    >>> print(DataError("a tab between word and label", "'dog'", path="train.tsv", line=7))
    train.tsv:7: expected a tab between word and label, found 'dog'
    """

    def __init__(
        self,
        expected: str,
        found: str,
        *,
        path: str | PathLike[str] | None = None,
        line: int | None = None,
    ) -> None:
        self.expected, self.found, self.path, self.line = expected, found, path, line
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(f"{place}expected {expected}, found {found}")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.expected, self.found, self.path, self.line))


def _rebuild(expected: str, found: str, path: str | None, line: int | None) -> DataError:
    return DataError(expected, found, path=path, line=line)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory: of Python, numpy and our kernels, of PyTorch, or of a card."""
    text = str(error)
    return isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text
