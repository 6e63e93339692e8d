"""A sound file or an image by itself, without a goal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regard.data.lines import File, check_file
from regard.data.records import Columns, Place, Record


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The recording or the image, as a path."""
    check_file(file.path)
    yield Record({columns.items.name: Path(file.path)}, Place(file.name))
