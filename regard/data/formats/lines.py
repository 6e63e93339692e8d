"""Two files of text side by side: line n of one goes with line n of the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from regard.data.formats import text
from regard.data.formats.text import write
from regard.data.lines import File, show
from regard.data.records import Columns, Place, Record

__all__ = ["read", "write"]


def read(file: File, columns: Columns) -> Iterator[Record]:
    """A record for every line, with the line of the same number from the file beside it where targets are wanted.

    Raises:
        DataError: files of different length.
    """
    if columns.labelled and file.beside is not None:
        return _read_both(file, file.beside, columns)
    return text.read(file, columns)


def _read_both(file: File, beside: str | Path, columns: Columns) -> Iterator[Record]:
    name, counts = show(beside), [0, 0]
    for number, pair in enumerate(zip_longest(file.read_lines(file.path), file.read_lines(beside)), 1):
        counts = [count + (line is not None) for count, line in zip(counts, pair, strict=True)]
        if counts[0] == counts[1]:
            source, target = (line.rstrip("\r\n") for line in pair)
            values = {columns.items.name: source, columns.goal.name: target}
            yield Record(values, Place(file.name, number), is_row=True, goal_place=Place(name, number))
    if counts[0] != counts[1]:
        raise Place(file.name).error(f"as many lines as in {name} ({counts[1]})", f"{counts[0]} lines")
