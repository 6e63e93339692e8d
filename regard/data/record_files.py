"""The files of named values that the tasks with one goal for a whole sequence share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regard.data.example import Example
from regard.data.jsonl import read_objects
from regard.data.lines import read_lines, show
from regard.data.parquet import read_parquet
from regard.data.tables import Record, read_csv, read_tsv_table
from regard.data.whole import Plan

RECORD_FORMATS = ("csv", "tsv", "jsonl", "parquet")
RECORD_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".parquet": "parquet",
}


def read_records(source: str | Path, *, format: str, plan: Plan, labelled: bool) -> Iterator[Example]:
    """An example for every record of a file in one of :data:`RECORD_FORMATS`."""
    for record, place in _records(source, format, plan, labelled):
        yield plan.from_record(record, place, labelled=labelled)


def _records(source: str | Path, format: str, plan: Plan, labelled: bool) -> Iterator[Record]:
    path = show(source)
    if format == "csv":
        return read_csv(read_lines(source), path=path, plan=plan, labelled=labelled)
    if format == "tsv":
        return read_tsv_table(read_lines(source), path=path, plan=plan, labelled=labelled)
    if format == "jsonl":
        return read_objects(read_lines(source), path=path)
    return read_parquet(source, plan=plan, labelled=labelled)
