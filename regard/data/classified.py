"""From a file, a folder, standard input or Python values to sequences with one label each (N→1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from regard.data.alike import alike
from regard.data.arrays import read_whole_npz
from regard.data.example import Example
from regard.data.fields import LABEL_NAMES, TEXT_NAMES, Field
from regard.data.folder import read_folder
from regard.data.formats import choose_format
from regard.data.lines import read_lines, show
from regard.data.parallel import read_texts
from regard.data.record_files import RECORD_FORMATS, RECORD_SUFFIXES, read_records
from regard.data.ts import read_ts
from regard.data.whole import Plan
from regard.data.whole_python import read_whole_python
from regard.errors import DataError

CLASSIFIED_FORMATS = (*RECORD_FORMATS, "ts", "npz", "folder", "text")
_SUFFIXES = {**RECORD_SUFFIXES, ".ts": "ts", ".npz": "npz", ".txt": "text"}


def read_classified(
    source: str | Path | Iterable[Any],
    *,
    format: str = "auto",
    column: str = LABEL_NAMES[0],
    text_column: str = TEXT_NAMES[0],
    labelled: bool = True,
) -> list[Example]:
    """All sequences of a file, a folder or an iterable, each with its ``label``, checked.

    Arguments:
        source: a path (``-`` for standard input), plain or gzip; or an iterable of pairs ``(items, label)``, dicts,
            Examples, or bare items where ``labelled`` is False; or a dataset of the `datasets` library. Items are a
            text, a list of words, or an array ``[N, C]``.
        format: one of :data:`CLASSIFIED_FORMATS`; ``auto`` goes by the name. A folder has a sub-folder for each label.
        column: which label: a column or key, or the number of a column, from 1. The default stands for a usual name
            (``class``, ``category``, ...) where nothing is called ``label``.
        text_column: the same for the text.
        labelled: whether every sequence must have a label, and not be empty; otherwise labels are left unread.

    >>> [(example.items, example.label) for example in read_classified([("Good!", "+"), (["Too", "bad"], "-")][:1])]
    [('Good!', '+')]

    Raises:
        DataError: a record that cannot be used: file and line, what was expected, what stood there.
        ConfigError: a format that does not exist.
        UnsupportedError: Parquet, and pyarrow is not installed.
    """
    return list(iter_classified(source, format=format, column=column, text_column=text_column, labelled=labelled))


def iter_classified(
    source: str | Path | Iterable[Any],
    *,
    format: str = "auto",
    column: str = LABEL_NAMES[0],
    text_column: str = TEXT_NAMES[0],
    labelled: bool = True,
) -> Iterator[Example]:
    """:func:`read_classified` one by one, as they come in: memory stays bounded, and errors come when they are met."""
    plan = Plan(Field(text_column, TEXT_NAMES), Field(column, LABEL_NAMES), "label")
    if not isinstance(source, str | Path):
        yield from alike(read_whole_python(source, plan=plan, labelled=labelled), None, labelled=labelled)
        return
    format = find_classified_format(source, format, labelled=labelled)
    yield from alike(_read(source, format, plan, labelled), show(source), labelled=labelled)


def _read(source: str | Path, format: str, plan: Plan, labelled: bool) -> Iterator[Example]:
    if format == "ts":
        return read_ts(read_lines(source), path=show(source), plan=plan, labelled=labelled)
    if format == "npz":
        return read_whole_npz(source, plan=plan, labelled=labelled)
    if format == "folder":
        return read_folder(source, plan=plan, labelled=labelled)
    if format == "text":
        if labelled:
            choices = ", ".join(name for name in CLASSIFIED_FORMATS if name != "text")
            raise DataError(f"a format with labels ({choices})", "text, which has none", path=show(source))
        return read_texts(read_lines(source), path=show(source), plan=plan)
    return read_records(source, format=format, plan=plan, labelled=labelled)


def find_classified_format(source: str | Path, format: str = "auto", *, labelled: bool = True) -> str:
    """The format that a file is read in: the one given, else the one that its name tells.

    >>> find_classified_format("reviews.csv.gz"), find_classified_format("-", labelled=False)
    ('csv', 'text')

    Raises:
        ConfigError: a format that does not exist.
        DataError: a name that tells nothing.
    """
    if format == "auto" and Path(source).is_dir():
        return "folder"
    return choose_format(source, format, CLASSIFIED_FORMATS, _SUFFIXES, plain="text", labelled=labelled)


def classified_output_format(source: str | Path | Iterable[Any], format: str = "auto") -> str:
    """The format in which predictions for an input are written: its own where there is a writer, else jsonl."""
    if not isinstance(source, str | Path):
        return "jsonl"
    found = find_classified_format(source, format, labelled=False)
    return found if found in ("csv", "tsv", "text") else "jsonl"
