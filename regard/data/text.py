"""Plain text: one sentence a line, its words separated by white space. It has no labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from regard.data.example import Example
from regard.errors import DataError


def read_text(lines: Iterable[str], *, path: str, column: str, labelled: bool) -> Iterator[Example]:
    """A sequence for every line; an empty line is an empty sequence.

    Raises:
        DataError: labels were asked for.
    """
    if labelled:
        raise DataError("a format with labels (conllu, columns, jsonl, tsv, npz)", "text, which has none", path=path)
    for number, line in enumerate(lines, 1):
        yield Example(line.split(), None, path, number)
