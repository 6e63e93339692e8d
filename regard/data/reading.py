"""From a file, a folder, standard input or Python values to examples: one road for all formats, items and goals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from regard.data.bad import REFUSED, BadRecords
from regard.data.encodings import UTF8, checked_encoding, is_by_lines
from regard.data.formats import Format, find_format
from regard.data.goals import GOALS, Goal, check_not_blank, check_spans, columns_of
from regard.data.images import as_image
from regard.data.items import (
    LIST_NAMES,
    as_found,
    as_lists,
    as_text,
    as_vectors,
    as_words,
    cut_into_words,
    kind_of,
    split_cell,
)
from regard.data.lazy import LazyExamples
from regard.data.lines import RECORD, STDIN, UNPACKED, File, Limits, is_gzip, show
from regard.data.paths import MissingFile, missing_files
from regard.data.python_values import read_python
from regard.data.recordings import as_recording
from regard.data.records import Columns, Example, Items, NoGoal, Record, describe_keys
from regard.errors import ConfigError, DataError

Source = str | Path | Iterable[Any]
LARGE = 1 << 28  # bytes of a file whose examples are not held in memory


def read(
    source: Source,
    *,
    goal: str,
    items: str | None = None,
    labelled: bool = True,
    format: str = "auto",
    column: str | None = None,
    item_column: str | None = None,
    target: str | Path | None = None,
    lazily: bool | None = None,
    largest_record: int = RECORD,
    largest_unpacked: int = UNPACKED,
    delimiter: str | None = None,
    encoding: str = UTF8,
    bad: BadRecords = REFUSED,
) -> Sequence[Example]:
    """All sequences of a file, a folder or an iterable, each with its goal, checked.

    Arguments:
        source: a path (``-`` for standard input), plain or gzip; or an iterable of pairs ``(items, goal)``, dicts,
            Examples, or bare items where no goal is wanted; or a table: a DataFrame of pandas or polars, one of Arrow,
            a dataset of the `datasets` library, a dict of columns.
        goal: "labels" (one for each item; those of spans must follow one scheme), "label", "target" or "nothing".
        items: "text", "words", "vectors", "recordings" or "images", which the items are made into; None leaves them as
            they are found.
        labelled: whether every sequence must have its goal; otherwise goals are left unread.
        format: a name of `regard.data.formats.FORMATS`; ``auto`` goes by the file's name.
        column: of the goal: a column of CoNLL-U (``upos``, ``feats.Number``), the number of a column from 1, or a key.
            None stands for the usual names.
        item_column: the same for the items.
        target: the file whose line n is the target of line n of ``source``, where targets have a file of their own.
        lazily: whether records are read when they are asked for; None does so with a plain file of lines that is
            larger than ``LARGE``.
        largest_record: MiB of a line of a file, or of all lines of a record.
        largest_unpacked: MiB that a packed file (gzip, npz) may hold.
        delimiter: what parts the cells of csv: one character, or its name (tab, semicolon, ...); None takes the one of
            comma, semicolon, tab and bar that parts the header into the columns that are wanted.
        encoding: of files of text, as Python names it.
        bad: what becomes of records that cannot be used; the error about the first is raised unless this skips them.

    >>> read([(["The", "dog"], ["DET", "NOUN"])], goal="labels")[0].goal
    ['DET', 'NOUN']
    >>> [(example.items, example.goal) for example in read([("Good!", "+")], goal="label", items="words")]
    [(['Good', '!'], '+')]

    Raises:
        DataError: a record that cannot be used: file and line, what was expected, what stood there.
        ConfigError: a format, a delimiter or an encoding that does not exist, or a format that does not go with
            ``target``.
        UnsupportedError: Parquet, and pyarrow is not installed.
    """
    columns = columns_of(goal, column, item_column, labelled=labelled, items=items, delimiter=delimiter)
    open_file = partial(
        _open,
        goal=goal,
        format=format,
        target=target,
        labelled=labelled,
        encoding=checked_encoding(encoding),
        limits=Limits(largest_record, largest_unpacked),
        bad=bad,
    )
    make = partial(_examples, columns=columns, goal=goal, items=items, labelled=labelled, bad=bad)
    path = show(source) if isinstance(source, str | Path) else None
    check = partial(_of_one_kind, path=path, wanted=_wanted(columns, labelled=labelled), bad=bad)
    examples: Sequence[Example] | None = None
    if isinstance(source, str | Path):
        file, found = open_file(source)
        if (_is_large(file) if lazily is None else lazily) and _can_be_lazy(file, found):
            examples = LazyExamples(file, found, columns, make, check)
    if examples is None:
        records = _records(source, columns, open_file, target, held=True, bad=bad)
        examples = list(check(make(records)))
    if columns.labelled and columns.per_item:
        check_spans(examples)
    return examples


def iter_read(
    source: Source,
    *,
    goal: str,
    items: str | None = None,
    labelled: bool = True,
    format: str = "auto",
    column: str | None = None,
    item_column: str | None = None,
    target: str | Path | None = None,
    largest_record: int = RECORD,
    largest_unpacked: int = UNPACKED,
    delimiter: str | None = None,
    encoding: str = UTF8,
) -> Iterator[Example]:
    """:func:`read` one by one, as they come in: memory stays bounded, and errors come when they are met.

    Without goals each has all that its record came with, so that a writer can keep it.
    """
    columns = columns_of(goal, column, item_column, labelled=labelled, items=items, delimiter=delimiter)
    columns = replace(columns, kept=not labelled)
    open_file = partial(
        _open,
        goal=goal,
        format=format,
        target=target,
        labelled=labelled,
        encoding=checked_encoding(encoding),
        limits=Limits(largest_record, largest_unpacked),
        bad=REFUSED,
    )
    path = show(source) if isinstance(source, str | Path) else None
    records = _records(source, columns, open_file, target, held=False, bad=REFUSED)
    made = _examples(records, columns=columns, goal=goal, items=items, labelled=labelled, bad=REFUSED)
    yield from _of_one_kind(made, path=path, wanted=_wanted(columns, labelled=labelled), bad=REFUSED)


def _records(
    source: Source,
    columns: Columns,
    open_file: Callable[[str | Path], tuple[File, Format]],
    target: str | Path | None,
    *,
    held: bool,
    bad: BadRecords,
) -> Iterator[Record]:
    if isinstance(source, str | Path):
        file, found = open_file(source)
        return found.read(replace(file, held=held), columns)
    if target is not None:
        raise ConfigError(f"target goes with the path of a source, got '{target}' and Python values; give pairs")
    return read_python(source, columns, bad)


def _open(
    source: str | Path,
    *,
    goal: str,
    format: str,
    target: str | Path | None,
    labelled: bool,
    encoding: str,
    limits: Limits,
    bad: BadRecords,
) -> tuple[File, Format]:
    beside = target if labelled else None
    found = find_format(source, format, goal=goal, labelled=labelled, beside=beside)
    return File(source, beside=beside, limits=limits, encoding=encoding, bad=bad), found


def _is_large(file: File) -> bool:
    return str(file.path) != STDIN and os.path.isfile(file.path) and os.path.getsize(file.path) > LARGE


def _can_be_lazy(file: File, format: Format) -> bool:
    """Whether a record can be read from anywhere in the file."""
    if str(file.path) == STDIN or not os.path.isfile(file.path) or not os.access(file.path, os.R_OK):
        return False
    return (
        os.path.getsize(file.path) > 0
        and format.by_lines
        and file.beside is None
        and is_by_lines(file.encoding)
        and not is_gzip(file.path)
    )


def _examples(
    records: Iterable[Record], *, columns: Columns, goal: str, items: str | None, labelled: bool, bad: BadRecords
) -> Iterator[Example]:
    """An example of every record: its items, made by their kind, and its goal, made by its own function."""
    missing: list[MissingFile] = []
    for record in records:
        try:
            example = _example(record, columns, goal, items, labelled=labelled)
        except DataError as error:
            if isinstance(error, MissingFile) and not bad.skip:
                missing.append(error)  # all that are missing are told at once
            else:
                bad.take(error)
            continue
        if example is not None:
            yield example
    if missing:
        raise missing[0] if len(missing) == 1 else missing_files(missing)


def _example(record: Record, columns: Columns, goal: str, items: str | None, *, labelled: bool) -> Example | None:
    """None of a record that is passed over."""
    row = GOALS[goal]
    made = _items(record, columns, items)
    if not labelled:
        return Example(made, None, record.place, record, _original(record, columns, made))
    if row.blank != "kept":
        if row.blank == "skipped" and not (made.strip() if isinstance(made, str) else len(made)):
            return None
        check_not_blank(made, record.place)
    found: Any = None
    if columns.labelled:
        found = _made_goal(record, columns, row, made)
    return Example(made, found, record.place)  # nothing is to be written of it


def _original(record: Record, columns: Columns, made: Items) -> Items | None:
    """The items as they were found, where they were a text that was cut, or words that were joined."""
    if columns.per_item or not isinstance(made, str | list):
        return None
    found = _items(record, columns, None)
    return None if type(found) is type(made) else found


def _items(record: Record, columns: Columns, kind: str | None) -> Items:
    values, place = _flat(record.values), record.place
    name = columns.items.find(key for key in values if values[key] is not None)
    if name is None:
        raise place.error(f"a key {columns.items.described()}", describe_keys(values))
    value = values[name]
    if kind == "recordings":
        return as_recording(value, place, values)
    if kind == "images":
        return as_image(value, place)
    if record.is_row and isinstance(value, str) and (columns.per_item or name.lower() in LIST_NAMES):
        value = split_cell(value)
    if kind == "vectors" or (name == "vectors" and isinstance(value, list) and not value):
        return as_vectors(value, place)
    if kind == "text":
        return as_text(value, place)
    if kind == "words":
        return as_words(value, place, None if columns.per_item else cut_into_words)
    return as_lists(value, place) if columns.per_item else as_found(value, place)


def _made_goal(record: Record, columns: Columns, row: Goal, made: Items) -> Any:
    value = _goal(record, columns, row.article)
    try:
        return row.make(value, made, record.goal_place or record.place)
    except DataError as error:
        raise NoGoal.of(error) if _is_nothing(value) else error from None


def _is_nothing(value: Any) -> bool:
    """Whether a goal was left blank; tables have NaN where nothing stands."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, list) and not value) or (isinstance(value, float) and value != value)


def _goal(record: Record, columns: Columns, article: str) -> Any:
    values = _flat(record.values)
    name = columns.goal.find(key for key in values if values[key] is not None)
    if name is None:
        expected = f"{article} under the key {columns.goal.described()}"
        raise NoGoal.of(record.place.error(expected, describe_keys(values)))
    value = values[name]
    return split_cell(value) if record.is_row and columns.per_item and isinstance(value, str) else value


def _flat(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """With what stands under ``translation``, where the data of WMT and OPUS keep the languages."""
    inner = values.get("translation")
    return {**values, **inner} if isinstance(inner, Mapping) else values


def _wanted(columns: Columns, *, labelled: bool) -> str | None:
    """What there must be, for messages; None where nothing at all will do."""
    if not labelled:
        return None
    return "labelled items" if columns.labelled else "at least one sequence"


def _of_one_kind(
    examples: Iterable[Example], *, path: str | None, wanted: str | None, bad: BadRecords
) -> Iterator[Example]:
    """Passes examples on while all are texts, or all words, or all arrays of as many channels.

    Raises:
        DataError: one that differs, or nothing to use at all.
    """
    kind: str | None = None
    found_one = False
    for example in examples:
        found_one = True
        if len(example):
            here = kind_of(example.items)
            if kind is None:
                kind = here
            if here != kind:
                bad.take(example.place.error(f"{kind} as before", here))
                continue
        yield example
    if not found_one and bad.first:
        raise bad.first[0]
    if path is not None and not found_one:
        found = "an empty file, or nothing but blank lines, comments and a header"
        raise DataError("at least one sequence", found, path=path)
    if wanted is not None and kind is None:
        raise DataError(wanted, "only empty sequences" if found_one else "no examples", path=path)
