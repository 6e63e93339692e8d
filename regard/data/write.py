"""Predictions as text, in the formats that can be read again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

from regard.data.conllu import Column, filled
from regard.data.example import Example
from regard.data.records import DEFAULT_COLUMN
from regard.errors import ConfigError, DataError

OUTPUT_FORMATS = ("conllu", "columns", "jsonl", "tsv", "text")
_SEPARATORS = {  # what no word and no label may hold, as it parts them
    "conllu": re.compile(r"[\t\n]"),
    "columns": re.compile(r"[ \t\r\n]"),
    "tsv": re.compile(r"[\t\r\n]|^ +$"),
    "text": re.compile(r"\s"),
}


def write_predictions(
    examples: Iterable[Example],
    labels: Iterable[Sequence[str]],
    file: TextIO,
    *,
    format: str,
    column: str = DEFAULT_COLUMN,
) -> None:
    """Writes each sequence with its predicted labels; call it again to go on in the same file.

    Arguments:
        examples: read with ``labelled=False``, where CoNLL-U is to come out as it went in.
        labels: one for every item of each example.
        file: text stream; open it with ``newline=""`` where line ends must stay as they are.
        format: ``conllu`` (the lines that were read, with one column replaced), ``columns`` or ``tsv``
            (``word<TAB>label``, a blank line after each sequence), ``jsonl``, ``text`` (``word/label word/label``).
        column: of CoNLL-U, where the label goes.

    Raises:
        ConfigError: a format that does not exist.
        DataError: labels that do not fit the items, or a word that the format cannot hold.
    """
    if format not in OUTPUT_FORMATS:
        raise ConfigError(f"format must be {', '.join(OUTPUT_FORMATS)}, got '{format}'")
    label_column = Column.named(column) if format == "conllu" else None
    for example, predicted in zip(examples, labels, strict=True):
        if len(predicted) != len(example):
            raise _error(example, f"a label for each of {len(example)} items", f"{len(predicted)} labels")
        if format == "jsonl":
            file.write(_json_line(example, predicted))
            continue
        words = _writable(example, predicted, format)
        if label_column is not None:
            file.write(filled(example, predicted, label_column))
        elif format == "text":
            file.write(" ".join(f"{word}/{label}" for word, label in zip(words, predicted, strict=True)) + "\n")
        else:
            file.write("".join(f"{word}\t{label}\n" for word, label in zip(words, predicted, strict=True)) + "\n")


def _json_line(example: Example, labels: Sequence[str]) -> str:
    words = {"words": example.items} if isinstance(example.items, list) else {}
    return json.dumps(words | {"labels": list(labels)}, ensure_ascii=False) + "\n"


def _writable(example: Example, labels: Sequence[str], format: str) -> list[str]:
    """The words, once it is sure that the format can hold them and the labels."""
    if not isinstance(example.items, list):
        raise _error(example, f"words, which {format} is made of", "an array; format=jsonl takes it")
    separator = _SEPARATORS[format]
    for text in (*example.items, *labels):
        if separator.search(text):
            expected = "no white space" if format in ("columns", "text") else "no tab, line end or lone blanks"
            raise _error(example, f"{expected} in what {format} holds", f"{text!r}; format=jsonl takes it")
    return example.items


def _error(example: Example, expected: str, found: str) -> DataError:
    return DataError(expected, found, path=example.source, line=example.line)
