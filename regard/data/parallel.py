"""Texts one a line, and two files of them side by side: line n of one goes with line n of the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from regard.data.example import Example
from regard.data.lines import read_lines, show
from regard.data.records import Place
from regard.data.whole import Plan


def read_texts(lines: Iterable[str], *, path: str, plan: Plan) -> Iterator[Example]:
    """A text for every line, and nothing to learn; an empty line is an empty text."""
    for number, line in enumerate(lines, 1):
        yield plan.make(line.rstrip("\r\n"), None, Place(path, number), labelled=False)


def read_parallel(source: str | Path, target: str | Path, *, plan: Plan) -> Iterator[Example]:
    """A pair of texts for every line.

    Raises:
        DataError: an empty line, or files of different length.
    """
    ours, theirs = Place(show(source)), show(target)
    counts = [0, 0]
    for number, (text, goal) in enumerate(zip_longest(read_lines(source), read_lines(target)), 1):
        counts = [count + (line is not None) for count, line in zip(counts, (text, goal), strict=True)]
        if counts[0] == counts[1]:
            value = plan.check(goal.rstrip("\r\n"), Place(theirs, number))
            yield plan.make(text.rstrip("\r\n"), value, Place(show(source), number), labelled=True)
    if counts[0] != counts[1]:
        raise ours.error(f"as many lines as in {theirs} ({counts[1]})", f"{counts[0]} lines")
