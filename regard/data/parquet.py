"""Parquet: columns of values in a binary file, read through pyarrow a batch of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from regard.data.fields import name_columns
from regard.data.lines import check_file, show
from regard.data.records import Place, name_label
from regard.data.tables import Record
from regard.data.whole import Plan
from regard.errors import DataError, UnsupportedError

_ROWS = 1024  # read at once


def read_parquet(path: str | Path, *, plan: Plan, labelled: bool) -> Iterator[Record]:
    """The rows, as Python values; labels that the `datasets` library has numbered get their names.

    Raises:
        DataError: no such file, or one that is not Parquet.
        UnsupportedError: pyarrow is not installed.
    """
    check_file(path)
    try:
        import pyarrow as arrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UnsupportedError("Parquet needs pyarrow: pip install 'regard[parquet]'") from None
    name, number = show(path), 0
    try:
        with ParquetFile(path) as file:
            schema = file.schema_arrow
            columns = name_columns(schema.names, (plan.items, plan.goal), Place(name))
            goal = plan.goal.find(columns) if labelled else None
            names = None if goal is None else _class_names(schema.metadata, schema.names[columns.index(goal)])
            for batch in file.iter_batches(_ROWS):
                for row in batch.rename_columns(columns).to_pylist():
                    number += 1
                    place = Place(name, number=number)
                    if names is not None and goal is not None:
                        row[goal] = name_label(row[goal], names, place)
                    yield row, place
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError("a sound Parquet file", " ".join(str(error).lower().split()), path=name) from None


def _class_names(metadata: Mapping[bytes, bytes] | None, column: str) -> Sequence[str] | None:
    """The names of numbered labels, as `datasets` leaves them in the files that it writes."""
    told = (metadata or {}).get(b"huggingface", b"{}")
    try:
        feature = json.loads(told)["info"]["features"][column]
        return feature["names"] if feature["_type"] == "ClassLabel" else None
    except (ValueError, KeyError, TypeError):  # not of that library, or a feature of another make
        return None
