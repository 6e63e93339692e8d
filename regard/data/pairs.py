"""From files, standard input or Python values to sequences with the text that each is to become (N→M)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from regard.data.alike import alike
from regard.data.example import Example
from regard.data.fields import SOURCE_NAMES, TARGET_NAMES, Field
from regard.data.formats import choose_format, ending
from regard.data.lines import read_lines, show
from regard.data.parallel import read_parallel, read_texts
from regard.data.record_files import RECORD_FORMATS, RECORD_SUFFIXES, read_records
from regard.data.whole import Plan
from regard.data.whole_python import read_whole_python
from regard.errors import ConfigError

PAIR_FORMATS = ("lines", *RECORD_FORMATS)
_SUFFIXES = {**RECORD_SUFFIXES, ".txt": "lines"}


def read_pairs(
    source: str | Path | Iterable[Any],
    target: str | Path | None = None,
    *,
    format: str = "auto",
    source_column: str = SOURCE_NAMES[0],
    target_column: str = TARGET_NAMES[0],
    labelled: bool = True,
) -> list[Example]:
    """All sequences of a file or an iterable, each with its ``target``, checked.

    Arguments:
        source: a path (``-`` for standard input), plain or gzip; or an iterable of pairs ``(items, target)``, dicts,
            Examples, or bare items where ``labelled`` is False; or a dataset of the `datasets` library. Items are a
            text, a list of words, or an array ``[N, C]``.
        target: the file whose line n is the target of line n of ``source``, where targets have a file of their own.
        format: one of :data:`PAIR_FORMATS`; ``auto`` goes by the name, and is ``lines`` beside a ``target``.
        source_column, target_column: columns or keys, also those under ``translation``, or numbers of columns, from 1.
        labelled: whether every sequence must have a target, and not be empty; otherwise targets are left unread, and a
            file whose name tells no format holds a source a line.

    >>> [(pair.items, pair.target) for pair in read_pairs([("Ein Hund.", "A dog.")])]
    [('Ein Hund.', 'A dog.')]

    Raises:
        DataError: a record that cannot be used: file and line, what was expected, what stood there.
        ConfigError: a format that does not exist, or one that does not go with ``target``.
        UnsupportedError: Parquet, and pyarrow is not installed.
    """
    return list(
        iter_pairs(
            source,
            target,
            format=format,
            source_column=source_column,
            target_column=target_column,
            labelled=labelled,
        )
    )


def iter_pairs(
    source: str | Path | Iterable[Any],
    target: str | Path | None = None,
    *,
    format: str = "auto",
    source_column: str = SOURCE_NAMES[0],
    target_column: str = TARGET_NAMES[0],
    labelled: bool = True,
) -> Iterator[Example]:
    """:func:`read_pairs` one by one, as they come in: memory stays bounded, and errors come when they are met."""
    plan = Plan(Field(source_column, SOURCE_NAMES), Field(target_column, TARGET_NAMES), "target")
    if not isinstance(source, str | Path):
        if target is not None:
            raise ConfigError(f"target goes with the path of a source, got '{target}' and Python values; give pairs")
        yield from alike(read_whole_python(source, plan=plan, labelled=labelled), None, labelled=labelled)
        return
    format = find_pair_format(source, target, format, labelled=labelled)
    yield from alike(_read(source, target, format, plan, labelled), show(source), labelled=labelled)


def _read(source: str | Path, target: str | Path | None, format: str, plan: Plan, labelled: bool) -> Iterator[Example]:
    if format != "lines":
        return read_records(source, format=format, plan=plan, labelled=labelled)
    if not labelled:
        return read_texts(read_lines(source), path=show(source), plan=plan)
    if target is None:
        raise ConfigError(f"format=lines needs the file of targets beside '{show(source)}', got none")
    return read_parallel(source, target, plan=plan)


def find_pair_format(
    source: str | Path, target: str | Path | None = None, format: str = "auto", *, labelled: bool = True
) -> str:
    """The format that a file is read in: the one given, else the one that its name, or a target beside it, tells.

    >>> find_pair_format("train.de", "train.en"), find_pair_format("pairs.tsv"), find_pair_format("-", labelled=False)
    ('lines', 'tsv', 'lines')

    Raises:
        ConfigError: a format that does not exist, or that does not go with ``target``.
        DataError: a name that tells nothing.
    """
    if format == "auto" and (target is not None or (not labelled and ending(source) not in _SUFFIXES)):
        return "lines"
    hint = "; a file of lines needs one of targets beside it"
    found = choose_format(source, format, PAIR_FORMATS, _SUFFIXES, plain="lines", labelled=labelled, hint=hint)
    if target is not None and found != "lines":
        raise ConfigError(f"format must be lines beside a file of targets ('{target}'), got '{found}'")
    return found


def pair_output_format(source: str | Path | Iterable[Any], format: str = "auto") -> str:
    """The format in which predictions for an input are written: its own where there is a writer, else jsonl."""
    if not isinstance(source, str | Path):
        return "jsonl"
    found = find_pair_format(source, None, format, labelled=False)
    return found if found in ("lines", "tsv") else "jsonl"
