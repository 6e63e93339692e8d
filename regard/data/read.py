"""From a file, standard input or Python values to examples: which format, and what every format promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from regard.data.alike import alike
from regard.data.arrays import read_npz
from regard.data.columns import read_columns, read_tsv
from regard.data.conllu import read_conllu
from regard.data.example import Example
from regard.data.formats import choose_format
from regard.data.jsonl import read_jsonl
from regard.data.lines import read_lines, show
from regard.data.python_data import read_python
from regard.data.records import DEFAULT_COLUMN
from regard.data.spans import check_spans
from regard.data.text import read_text

Source = str | Path | Iterable[Any]

_LINE_READERS: dict[str, Callable[..., Iterator[Example]]] = {
    "conllu": read_conllu,
    "columns": read_columns,
    "jsonl": read_jsonl,
    "tsv": read_tsv,
    "text": read_text,
}
FORMATS = (*_LINE_READERS, "npz")
SUFFIXES = {
    ".conllu": "conllu",
    **dict.fromkeys((".conll", ".iob", ".iob2", ".bio", ".iobes", ".bioes"), "columns"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".tsv": "tsv",
    ".txt": "text",
    ".npz": "npz",
}


def read_examples(
    source: Source, *, format: str = "auto", column: str = DEFAULT_COLUMN, labelled: bool = True
) -> list[Example]:
    """All sequences of a file or an iterable, checked; labels that mark spans must follow one scheme.

    Arguments:
        source: a path (``-`` for standard input), plain or gzip; or an iterable of pairs ``(items, labels)``, dicts,
            Examples, or bare items where ``labelled`` is False; or a dataset of the `datasets` library.
        format: one of :data:`FORMATS`; ``auto`` goes by the file's name.
        column: which label: a column of CoNLL-U (``upos``, ``feats.Number``), a column number, or a key. The default
            stands for the usual one where nothing is called ``upos``: the last column, or the key ``labels``.
        labelled: whether every item must have a label; otherwise labels are left unread.

    >>> read_examples([(["The", "dog"], ["DET", "NOUN"])])[0].labels
    ['DET', 'NOUN']

    Raises:
        DataError: a record that cannot be used: file and line, what was expected, what stood there.
        ConfigError: a format that does not exist.
    """
    examples = list(iter_examples(source, format=format, column=column, labelled=labelled))
    if labelled:
        check_spans(examples)
    return examples


def iter_examples(
    source: Source, *, format: str = "auto", column: str = DEFAULT_COLUMN, labelled: bool = True
) -> Iterator[Example]:
    """:func:`read_examples` one by one, as they come in: memory stays bounded, and errors come when they are met."""
    if not isinstance(source, str | Path):
        yield from alike(read_python(source, column=column, labelled=labelled), None, labelled=labelled)
        return
    format = find_format(source, format, labelled=labelled)
    if format == "npz":
        found = read_npz(source, column=column, labelled=labelled)
    else:
        found = _LINE_READERS[format](read_lines(source), path=show(source), column=column, labelled=labelled)
    yield from alike(found, show(source), labelled=labelled)


def find_format(source: str | Path, format: str = "auto", *, labelled: bool = True) -> str:
    """The format that a file is read in: the one given, else the one that its name tells.

    >>> find_format("train.conllu.gz"), find_format("-", labelled=False)
    ('conllu', 'text')

    Raises:
        ConfigError: a format that does not exist.
        DataError: a name that tells nothing.
    """
    return choose_format(source, format, FORMATS, SUFFIXES, plain="text", labelled=labelled)


def output_format(source: Source, format: str = "auto") -> str:
    """The format in which predictions for an input are written: its own, and jsonl for arrays and Python values."""
    if not isinstance(source, str | Path):
        return "jsonl"
    found = find_format(source, format, labelled=False)
    return "jsonl" if found == "npz" else found
