"""One item a line, a blank line between sequences: CoNLL-2003 columns, and tab-separated word and label.

``columns`` splits at any run of spaces and tabs and passes over ``-DOCSTART-``; ``tsv`` splits at every tab and nowhere
else, so that words may hold spaces. In both the word stands first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from regard.data.example import Example
from regard.data.records import DEFAULT_COLUMN, short
from regard.errors import DataError

_DOCUMENT_START = "-DOCSTART-"
_SEPARATORS = " \t\r\n"  # no other white space: a no-break space is part of a word


def read_columns(lines: Iterable[str], *, path: str, column: str, labelled: bool) -> Iterator[Example]:
    """Sequences of whitespace-separated columns: the word first, the label last or in the column of that number."""
    return _read(lines, re.compile(f"[^{_SEPARATORS}]+").findall, _DOCUMENT_START, path, column, labelled)


def read_tsv(lines: Iterable[str], *, path: str, column: str, labelled: bool) -> Iterator[Example]:
    """Sequences of tab-separated columns: the word first, the label last or in the column of that number."""
    return _read(lines, lambda line: line.rstrip("\r\n").split("\t"), None, path, column, labelled)


def _read(
    lines: Iterable[str],
    split: Callable[[str], list[str]],
    skipped: str | None,
    path: str,
    column: str,
    labelled: bool,
) -> Iterator[Example]:
    index = _label_index(column, path) if labelled else None
    words: list[str] = []
    labels: list[str] = []
    start = number = 0
    first: tuple[int, int] | None = None  # how many columns the first item has, and its line
    for number, line in enumerate(lines, 1):
        fields = split(line) if line.strip(_SEPARATORS) else []
        if not fields or fields[0] == skipped:
            if words:
                yield Example(words, labels if labelled else None, path, start, range(start, number))
                words, labels = [], []
            continue
        if not words:
            start = number
        if first is None:
            first = len(fields), number
        words.append(_word(fields, path, number))
        if index is not None:
            labels.append(_label(fields, index, first, path, number))
    if words:
        yield Example(words, labels if labelled else None, path, start, range(start, number + 1))


def _label_index(column: str, path: str) -> int:
    """Where the label stands in a line: -1, the last, unless a number from 1 is given."""
    if column == DEFAULT_COLUMN:
        return -1
    if not column.isdecimal() or int(column) < 1:
        raise DataError("the number of a column, from 1 (these columns have no names)", f"'{column}'", path=path)
    return int(column) - 1


def _word(fields: list[str], path: str, line: int) -> str:
    if not fields[0]:
        raise DataError("a word before the tab", "nothing", path=path, line=line)
    if len(fields) == 10 and fields[0] == "1" and fields[6].isdecimal():
        raise DataError("a word in column 1", "a word id as in CoNLL-U; give format=conllu", path=path, line=line)
    return fields[0]


def _label(fields: list[str], index: int, first: tuple[int, int], path: str, line: int) -> str:
    """The label of a line. Where it is the last column, a line with fewer than the first line has lost its label."""
    if len(fields) < 2:
        expected = "a word and a label, in two columns or more"
    elif index >= len(fields):
        expected = f"at least {index + 1} columns"
    elif index == -1 and len(fields) != first[0]:
        expected = f"{first[0]} columns as in line {first[1]}"
    elif not fields[index]:
        expected = f"a label in column {index % len(fields) + 1}"
    else:
        return fields[index]
    raise DataError(expected, f"{len(fields)}: {short(chr(9).join(fields))}", path=path, line=line)
