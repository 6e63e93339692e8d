"""CoNLL-U: ten tab-separated columns, one word a line, a blank line after each sentence.

Multiword tokens (``1-2``), empty nodes (``1.1``) and comments are not words: they are passed over in reading and kept
in writing. https://universaldependencies.org/format.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from regard.data.example import Example
from regard.data.records import short
from regard.errors import DataError

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
NOTHING = "_"
_KEYED = ("feats", "misc")  # columns of KEY=VALUE pairs
_ALWAYS_GIVEN = ("upos", "head", "deprel")  # where `_` means that nobody annotated the word
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
        if column.isdecimal() and 1 <= int(column) <= len(COLUMNS):
            return cls(int(column) - 1)
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


def read_conllu(lines: Iterable[str], *, path: str, column: str, labelled: bool) -> Iterator[Example]:
    """The sentences of a file; unlabelled ones carry their lines, so that :func:`filled` can repeat them.

    ``_`` is a label like any other, except in upos, head and deprel, which the format wants given for every word.

    Raises:
        DataError: a line that is not CoNLL-U, a column that does not exist, or one that holds nothing but ``_``.
    """
    label_column = Column.named(column, path) if labelled else None
    words_seen = labels_seen = 0
    for start, block in _sentences(lines):
        words: list[str] = []
        labels: list[str] = []
        places: list[int] = []
        for number, line in enumerate(block, start):
            if line.isspace() or line[0] == "#":
                continue
            fields = line.rstrip("\r\n").split("\t")
            if not _is_word(fields, len(words) + 1, path, number):
                continue
            words.append(fields[1])
            places.append(number)
            if label_column is not None:
                labels.append(_label(label_column, fields, path, number))
        if labelled:
            words_seen += len(words)
            labels_seen += len(labels) - labels.count(NOTHING)
            yield Example(words, labels, path, start, places)
        else:
            yield Example(words, None, path, start, places, "".join(block))
    if words_seen and not labels_seen:
        raise DataError(f"labels in column {column}", f"nothing but '{NOTHING}'", path=path)


def filled(example: Example, labels: Sequence[str], column: Column) -> str:
    """The lines of a sentence with ``labels`` in that column of its words, and every other byte as it was."""
    if example.raw is None or example.line is None or example.item_lines is None:
        return _plain(example, labels, column)
    lines = example.raw.split("\n")
    for number, label in zip(example.item_lines, labels, strict=True):
        row = number - example.line
        line = lines[row].rstrip("\r")
        fields = line.split("\t")
        column.put(fields, label)
        lines[row] = "\t".join(fields) + lines[row][len(line) :]
    return "\n".join(lines)


def _plain(example: Example, labels: Sequence[str], column: Column) -> str:
    """Words that came from elsewhere, with nothing known of them but the label."""
    lines = []
    for number, (word, label) in enumerate(zip(example.items, labels, strict=True), 1):
        fields = [str(number), str(word), *[NOTHING] * (len(COLUMNS) - 2)]
        column.put(fields, label)
        lines.append("\t".join(fields) + "\n")
    return "".join(lines) + "\n"


def _sentences(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines with one sentence each and the number of their first; together they are all lines of the file.

    Comments go with the sentence below them; at the end of the file, with the one above.
    """
    block: list[str] = []
    start, end = 1, 0  # end: where the sentence in hand is over, once its blank line has come
    has_words = False
    for line in lines:
        if line.isspace():
            if has_words and not end:
                end = len(block) + 1
        elif line[0] != "#":
            if end:
                yield start, block[:end]
                block, start, end = block[end:], start + end, 0
            has_words = True
        block.append(line)
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
        raise DataError(f"a label in column {COLUMNS[column.index]}", f"'{NOTHING}' (none given)", path=path, line=line)
    return label
