"""One word a line, a blank line between sequences: the columns of CoNLL-2003, parted by any run of spaces and tabs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats.refused import refuse, words_of
from regard.data.lines import File
from regard.data.records import Columns, Example, Field, NoGoal, Place, Record, number_of, short
from regard.errors import DataError

_DOCUMENT_START = "-DOCSTART-"
_SEPARATORS = " \t\r\n"  # no other white space: a no-break space is part of a word
_PARTS = re.compile(r"[ \t\r\n]")  # what no word and no label may hold


def read(file: File, columns: Columns) -> Iterator[Record]:
    """Sequences of whitespace-separated columns: the word first, the label last or in the column of that number."""
    return read_words(file, columns, re.compile(f"[^{_SEPARATORS}]+").findall, _DOCUMENT_START)


def write(file: TextIO, columns: Columns) -> AbstractContextManager[Put]:
    """``word<TAB>label``, a blank line after each sequence."""
    return write_words(file, columns, _PARTS, "no white space in what columns holds", "columns", _DOCUMENT_START)


@contextmanager
def write_words(
    file: TextIO, columns: Columns, wrong: re.Pattern[str], expected: str, format: str, skipped: str | None
) -> Iterator[Put]:
    """``word<TAB>label``, a blank line after each sequence.

    Arguments:
        wrong: what no word and no label may hold; ``expected`` says so in messages.
        skipped: a word that readers pass over.
    """

    def put(example: Example, answer: Answer) -> None:
        words, labels = words_of(example, format), answer[columns.key]
        refuse(example, (*words, *labels), wrong, expected)
        if skipped in words:
            raise example.place.error("words alone", f"'{skipped}', which parts documents; format=jsonl takes it")
        file.write("".join(f"{word}\t{label}\n" for word, label in zip(words, labels, strict=True)) + "\n")

    yield put


def read_words(
    file: File, columns: Columns, split: Callable[[str], list[str]], skipped: str | None
) -> Iterator[Record]:
    """Sequences of lines that ``split`` takes apart: the word first, the label last or in the column of that number.

    Lines that begin with ``skipped`` part sequences, as blank lines do.

    Raises:
        DataError: a line without a word, or without its label.
    """
    path, wanted = file.name, columns.goal
    index = _label_index(wanted, path) if columns.labelled else None
    first: tuple[int, int] | None = None  # how many columns the first item has, and its line
    for block in _blocks(file, split, skipped):
        words: list[str] = []
        labels: list[str] = []
        with file.bad:
            for number, fields in block:
                if first is None:
                    first = len(fields), number
                words.append(_word(fields, path, number))
                if index is not None:
                    labels.append(_label(fields, index, first, path, number))
            start = block[0][0]
            place = Place(path, start, item_lines=range(start, start + len(block)))
            yield Record({"words": words} if index is None else {"words": words, wanted.name: labels}, place)


def _blocks(
    file: File, split: Callable[[str], list[str]], skipped: str | None
) -> Iterator[list[tuple[int, list[str]]]]:
    """The fields of the lines of each sequence, numbered."""
    block: list[tuple[int, list[str]]] = []
    left = file.limits.record_bytes
    for number, line in file.lines():
        fields = split(line) if line.strip(_SEPARATORS) else []
        if fields and fields[0] != skipped:
            block.append((number, fields))
            left -= len(line)
            if left < 0:
                raise file.limits.long_record(file.name, block[0][0], what="sequence")
        elif block:
            yield block
            block, left = [], file.limits.record_bytes
    if block:
        yield block


def _label_index(wanted: Field, path: str) -> int:
    """Where the label stands in a line: -1, the last, unless a number from 1 is given."""
    if wanted.is_default:
        return -1
    number = number_of(wanted.name)
    if number is None:
        found = short(wanted.name)
        raise DataError("the number of a column, from 1 (these columns have no names)", found, path=path)
    return number - 1


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
    raise NoGoal(expected, f"{len(fields)}: {short(chr(9).join(fields))}", path=path, line=line)
