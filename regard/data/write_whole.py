"""Predictions of one label, or one new text, for each sequence, in the formats that can be read again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import numpy as np

from regard.data.example import Example
from regard.data.fields import LABEL_NAMES, TEXT_NAMES
from regard.data.formats import check_format
from regard.errors import DataError

CLASSIFIED_OUTPUT_FORMATS = ("csv", "tsv", "jsonl", "text")
PAIR_OUTPUT_FORMATS = ("lines", "text", "tsv", "jsonl")
_LINE_END = re.compile(r"[\r\n]")
_TAB_OR_LINE_END = re.compile(r"[\t\r\n]")
_QUOTED_IN_CSV = re.compile(r'[",\r\n]')


def write_classified(
    examples: Iterable[Example],
    labels: Iterable[str],
    file: TextIO,
    *,
    format: str,
    column: str = LABEL_NAMES[0],
    text_column: str = TEXT_NAMES[0],
    scores: Iterable[float] | None = None,
    header: bool = True,
) -> None:
    """Writes each sequence with its predicted label; call it again to go on in the same file.

    Arguments:
        examples, labels: as many of both.
        file: text stream; open it with ``newline=""`` where line ends must stay as they are.
        format: ``csv`` (text and label), ``tsv`` (``label<TAB>text``, no header), ``jsonl``, or ``text`` (labels
            alone, one a line).
        column, text_column: names in the header of csv and of the keys in jsonl; a number gives the default.
        scores: how likely each label is; told by jsonl.
        header: whether csv begins with one; False where it goes on.

    Raises:
        ConfigError: a format that does not exist.
        DataError: a text or a label that the format cannot hold.
    """
    check_format(format, CLASSIFIED_OUTPUT_FORMATS)
    label_name, text_name = _name(column, LABEL_NAMES[0]), _name(text_column, TEXT_NAMES[0])
    if format == "csv" and header:
        file.write(f"{_cell(text_name)},{_cell(label_name)}\n")
    chances = None if scores is None else iter(scores)
    for example, label in zip(examples, labels, strict=True):
        if format == "csv":
            file.write(f"{_cell(_text(example, format))},{_cell(label)}\n")
        elif format == "tsv":
            file.write(_row(example, label, _text(example, format)))
        elif format == "text":
            file.write(_line(example, label))
        else:
            score = {} if chances is None else {"score": float(next(chances))}
            file.write(_json_line(example, text_name, {label_name: label} | score))


def write_transduced(examples: Iterable[Example], outputs: Iterable[str], file: TextIO, *, format: str) -> None:
    """Writes the new text of each sequence; call it again to go on in the same file.

    Arguments:
        examples, outputs: as many of both.
        file: text stream; open it with ``newline=""`` where line ends must stay as they are.
        format: ``lines`` or ``text`` (outputs alone, one a line), ``tsv`` (``source<TAB>output``), or ``jsonl``.

    Raises:
        ConfigError: a format that does not exist.
        DataError: a text that the format cannot hold.
    """
    check_format(format, PAIR_OUTPUT_FORMATS)
    for example, output in zip(examples, outputs, strict=True):
        if format == "tsv":
            file.write(_row(example, _text(example, format), output))
        elif format == "jsonl":
            file.write(_json_line(example, "source", {"target": output}))
        else:
            file.write(_line(example, output))


def write_candidates(
    examples: Iterable[Example], candidates: Iterable[Sequence[tuple[str, float]]], file: TextIO, *, format: str
) -> None:
    """As :func:`write_transduced`, several outputs of each source with their scores, best first.

    ``lines``, ``text`` and ``tsv`` are then ``source<TAB>output<TAB>score``, a row for each; ``jsonl`` has the list
    ``candidates`` of ``{"target": ..., "score": ...}``.
    """
    check_format(format, PAIR_OUTPUT_FORMATS)
    for example, some in zip(examples, candidates, strict=True):
        if format == "jsonl":
            listed = [{"target": output, "score": score} for output, score in some]
            file.write(_json_line(example, "source", {"candidates": listed}))
        else:
            for output, score in some:
                file.write(_row(example, _text(example, "tsv"), output, f"{score:.4f}"))


def _json_line(example: Example, name: str, goal: dict[str, Any]) -> str:
    """The items under ``name``, words under their own; arrays are left out."""
    key = "words" if isinstance(example.items, list) else name
    items = {} if isinstance(example.items, np.ndarray) else {key: example.items}
    return json.dumps(items | goal, ensure_ascii=False) + "\n"


def _row(example: Example, *cells: str) -> str:
    _refuse(example, cells, _TAB_OR_LINE_END, "no tab or line end in what tsv holds")
    return "\t".join(cells) + "\n"


def _line(example: Example, text: str) -> str:
    _refuse(example, (text,), _LINE_END, "no line end in what stands on one line")
    return text + "\n"


def _refuse(example: Example, texts: Sequence[str], wrong: re.Pattern[str], expected: str) -> None:
    for text in texts:
        if wrong.search(text):
            raise _error(example, expected, f"{text!r}; format=jsonl takes it")


def _text(example: Example, format: str) -> str:
    if isinstance(example.items, str):
        return example.items
    kind = "a list of words" if isinstance(example.items, list) else "an array"
    raise _error(example, f"texts, which {format} is made of", f"{kind}; format=jsonl takes it")


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED_IN_CSV.search(text) else text


def _name(column: str, default: str) -> str:
    """What a column is called: a number is no name."""
    return default if column.isdecimal() else column


def _error(example: Example, expected: str, found: str) -> DataError:
    return DataError(expected, found, path=example.source, line=example.line)
