"""Files that records name: found beside the list that names them, and told all at once where they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from regard.data.records import Place
from regard.errors import DataError

SHOWN = 10  # of the files that are missing
T = TypeVar("T")


class MissingFile(DataError):
    """A file that a list names and that is not there."""


def located(path: str | Path, place: Place, expected: str) -> Path:
    """A path as it is, or from the folder of the list that names it; a list may also be meant from where we are.

    Raises:
        MissingFile: there is no such file.
    """
    found = Path(path)
    if isinstance(path, str) and place.source is not None and not found.is_absolute():
        here = Path(place.source).parent / path
        found = here if os.path.exists(here) or not os.path.exists(found) else found
    if not os.path.exists(found):
        raise MissingFile(expected, f"nothing at '{os.fspath(found)}'", path=place.source, line=place.line)
    return found


@contextmanager
def placed(name: str | Path, place: Place) -> Iterator[None]:
    """Within, a file is read that a list names, or holds: an error tells its line, or example, too."""
    try:
        yield
    except DataError as error:
        raise place.error(error.expected, f"{error.found}, in '{name}'") from None


def read_named(path: str | Path, place: Place, expected: str, read: Callable[[Path], T]) -> T:
    """What ``read`` makes of the file of a path, :func:`located`; of a list a path is a text.

    Raises:
        MissingFile: there is no such file.
        DataError: it cannot be read.
    """
    found = located(path, place, expected)
    with nullcontext() if isinstance(path, Path) else placed(found, place):
        return read(found)


def missing_files(errors: Sequence[MissingFile]) -> DataError:
    """One error about all files that a list names and that are not there, of which ten are shown."""
    shown = "; ".join(
        f"{error.found}{'' if error.line is None else f' (line {error.line})'}" for error in errors[:SHOWN]
    )
    more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
    kind = errors[0].expected.removeprefix("a ").removeprefix("an ")
    return DataError(f"{kind}s, of which {len(errors)} are missing", shown + more, path=errors[0].path)
