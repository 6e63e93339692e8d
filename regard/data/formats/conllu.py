"""CoNLL-U: ten tab-separated columns, one word a line, a blank line after each sentence.

Multiword tokens (``1-2``), empty nodes (``1.1``) and comments are not words: they are passed over in reading and kept
in writing. https://universaldependencies.org/format.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TextIO

from regard.data.formats import Answer, Put
from regard.data.formats.refused import refuse, words_of
from regard.data.lines import File
from regard.data.records import Columns, Example, NoGoal, Place, Record, number_of, short
from regard.errors import DataError

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
NOTHING = "_"
_KEYED = ("feats", "misc")  # columns of KEY=VALUE pairs
_ALWAYS_GIVEN = ("upos", "head", "deprel")  # where `_` means that nobody annotated the word
_PARTS = re.compile(r"[\t\n]")  # what no word and no label may hold
_PARTS_OF_PAIRS = re.compile(r"[\t\n|]")  # nor a value of a key
_NOT_A_WORD = re.compile(r"[0-9]+-[0-9]+|[0-9]+\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Column:
    """One of the ten columns, or one key inside feats or misc."""

    index: int
    key: str | None = None

    @classmethod
    def named(cls, column: str, path: str | None = None) -> Column:
        """A column by name (``upos``), by number from 1 (``4``), or a key in feats or misc (``feats.Number``).

        Raises:
            DataError: there is no such column.
        """
        name, dot, key = column.partition(".")
        if name in COLUMNS and (not dot or (key and name in _KEYED)):
            return cls(COLUMNS.index(name), key or None)
        number = number_of(column)
        if number is not None and number <= len(COLUMNS):
            return cls(number - 1)
        near = get_close_matches(column.lower(), COLUMNS, n=1)
        raise DataError(
            f"a column of CoNLL-U: {', '.join(COLUMNS)}, 1 to {len(COLUMNS)}, feats.KEY or misc.KEY",
            f"'{column}'" + (f"; did you mean '{near[0]}'?" if near else ""),
            path=path,
        )

    def get(self, fields: Sequence[str]) -> str:
        if self.key is None:
            return fields[self.index]
        for pair in fields[self.index].split("|"):
            key, _, value = pair.partition("=")
            if key == self.key:
                return value
        return NOTHING

    def put(self, fields: list[str], label: str) -> None:
        if self.key is None:
            fields[self.index] = label
        elif self.get(fields) != label:
            replaced = (self.key, NOTHING)
            pairs = [pair for pair in fields[self.index].split("|") if pair.partition("=")[0] not in replaced]
            pairs += [] if label == NOTHING else [f"{self.key}={label}"]
            if COLUMNS[self.index] == "feats":
                pairs.sort(key=str.lower)
            fields[self.index] = "|".join(pairs) or NOTHING


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The sentences of a file: ``words``, and the column that is wanted; else their lines, which :func:`write` repeats.

    ``_`` is a label like any other, except in upos, head and deprel, which the format wants given for every word.

    Raises:
        DataError: a line that is not CoNLL-U, a column that does not exist, or one that holds nothing but ``_``.
    """
    wanted, name = columns.goal.name, file.name
    column = Column.named(wanted, name) if columns.labelled else None
    words_seen = labels_seen = 0
    for start, block in _sentences(file):
        with file.bad:
            words, labels, lines = _columns(block, start, column, name)
            place = Place(name, start, item_lines=lines)
            if column is None:
                yield Record({"words": words}, place, text="".join(block))
            else:
                words_seen += len(words)
                labels_seen += len(labels) - labels.count(NOTHING)
                yield Record({"words": words, wanted: labels}, place)
    if words_seen and not labels_seen:
        raise DataError(f"labels in column {wanted}", f"nothing but '{NOTHING}'", path=name)


def _columns(
    block: Sequence[str], start: int, column: Column | None, path: str
) -> tuple[list[str], list[str], list[int]]:
    """The words of a sentence, what stands in their column, and their lines."""
    words: list[str] = []
    labels: list[str] = []
    lines: list[int] = []
    for number, line in enumerate(block, start):
        if line.isspace() or line[0] == "#":
            continue
        fields = line.rstrip("\r\n").split("\t")
        if not _is_word(fields, len(words) + 1, path, number):
            continue
        words.append(fields[1])
        lines.append(number)
        if column is not None:
            labels.append(_label(column, fields, path, number))
    return words, labels, lines


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """The lines that were read with one column replaced; of words that come from elsewhere, lines of their own.

    Raises:
        DataError: there is no such column, or a word or a label that a line cannot hold.
    """
    column = Column.named(columns.goal.name)
    wrong, bar = (_PARTS, "") if column.key is None else (_PARTS_OF_PAIRS, " or bar")

    def put(example: Example, answer: Answer) -> None:
        labels = answer[columns.key]
        refuse(example, words_of(example, "conllu"), _PARTS, "no tab or line end in what conllu holds")
        refuse(example, labels, wrong, f"no tab, line end{bar} in what conllu holds")
        file.write(_filled(example, labels, column))

    yield put


def _filled(example: Example, labels: Sequence[str], column: Column) -> str:
    """The lines of a sentence with ``labels`` in that column of its words, and every other byte as it was."""
    place, record = example.place, example.record
    if record is None or record.text is None or place.item_lines is None or place.line is None:
        return _plain(example, labels, column)
    lines = record.text.split("\n")
    for number, label in zip(place.item_lines, labels, strict=True):
        row = number - place.line
        line = lines[row].rstrip("\r")
        fields = line.split("\t")
        column.put(fields, label)
        lines[row] = "\t".join(fields) + lines[row][len(line) :]
    return "\n".join(lines)


def _plain(example: Example, labels: Sequence[str], column: Column) -> str:
    """Words that came from elsewhere, with nothing known of them but the label."""
    lines = []
    for number, (word, label) in enumerate(zip(words_of(example, "conllu"), labels, strict=True), 1):
        fields = [str(number), str(word), *[NOTHING] * (len(COLUMNS) - 2)]
        column.put(fields, label)
        lines.append("\t".join(fields) + "\n")
    return "".join(lines) + "\n"


def _sentences(file: File) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines with one sentence each and the number of their first; together they are all lines of the file.

    Comments go with the sentence below them; at the end of the file, with the one above.
    """
    block: list[str] = []
    start = end = 0  # end: where the sentence in hand is over, once its blank line has come
    has_words = False
    size, most = 0, file.limits.record_bytes
    for number, line in file.lines():
        if not start:
            start = number
        if line.isspace():
            if has_words and not end:
                end = len(block) + 1
        elif line[0] != "#":
            if end:
                yield start, block[:end]
                block, start, end = block[end:], start + end, 0
                size = sum(map(len, block))
            has_words = True
        block.append(line)
        size += len(line)
        if size > most:
            raise file.limits.long_record(file.name, start, what="sentence")
    if has_words:
        yield start, block


def _is_word(fields: Sequence[str], expected_id: int, path: str, line: int) -> bool:
    """Whether it is a word's line, and not that of a multiword token or an empty node."""
    if len(fields) != len(COLUMNS):
        found = f"{len(fields)}: {short(chr(9).join(fields))}"
        raise DataError(f"{len(COLUMNS)} tab-separated fields", found, path=path, line=line)
    if "" in fields:
        found = f"an empty field in column {COLUMNS[fields.index('')]}"
        raise DataError(f"'{NOTHING}' where there is nothing", found, path=path, line=line)
    if fields[0] == str(expected_id):
        return True
    if _NOT_A_WORD.fullmatch(fields[0]):
        return False
    hint = "; is a blank line missing above it?" if fields[0] == "1" else ""
    raise DataError(f"the word id {expected_id}", f"'{fields[0]}'{hint}", path=path, line=line)


def _label(column: Column, fields: Sequence[str], path: str, line: int) -> str:
    label = column.get(fields)
    if label == NOTHING and column.key is None and COLUMNS[column.index] in _ALWAYS_GIVEN:
        raise NoGoal(f"a label in column {COLUMNS[column.index]}", f"'{NOTHING}' (none given)", path=path, line=line)
    return label
