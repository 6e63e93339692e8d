"""The `.ts` format of aeon and sktime: a series of numbers a line, its dimensions parted by colons, the label last.

https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from regard.data.formats import Answer, Put
from regard.data.formats.refused import refuse
from regard.data.lines import File
from regard.data.records import Columns, Example, Place, Record, number_of, short
from regard.errors import DataError

_PARTS = re.compile(r"[\s,:]|^$")


@dataclass(slots=True)
class _Header:
    dimensions: int | None = None
    has_goal: bool = False  # whether something stands behind the last dimension
    labels: frozenset[str] | None = None  # None where that is no label


def read(file: File, columns: Columns) -> Iterator[Record]:
    """``vectors``, arrays ``[N, C]`` with N points in time of C dimensions; the series may differ in N.

    Raises:
        DataError: labels that are wanted and not there, time stamps, values that are missing, or lines that do not fit.
    """
    header: _Header | None = None
    tags: dict[str, str] = {}
    for number, line in file.lines():
        place, text = Place(file.name, number), line.strip()
        if not text or text[0] in "#%":
            continue
        if header is not None:
            with file.bad:
                vectors, label = _series(text, header, place, labelled=columns.labelled)
                yield Record({"vectors": vectors, columns.goal.name: label}, place)
        elif text.lower() == "@data":
            header = _read_tags(tags, place, labelled=columns.labelled)
        elif text[0] == "@":
            tag, _, value = text[1:].partition(" ")
            tags[tag.lower()] = value.strip()
        else:
            raise place.error("a tag as '@problemName ...', or the line '@data'", short(text))
    if header is None:
        raise DataError("a line '@data' and series below it", "none", path=file.name)


@contextmanager
def write(file: TextIO, columns: Columns) -> Iterator[Put]:
    """The series that :func:`read` takes, each with its label; held in memory, for the labels are named at the top."""
    lines: list[str] = []
    labels: set[str] = set()
    dimensions = 0

    def put(example: Example, answer: Answer) -> None:
        nonlocal dimensions
        label = answer[columns.key]
        if not isinstance(example.items, np.ndarray) or not len(example):
            raise example.place.error("an array, which ts is made of", "something else; format=jsonl takes it")
        refuse(example, [label], _PARTS, "no blank, comma or colon in a label of ts")
        labels.add(label)
        dimensions = example.items.shape[1]
        series = [",".join(map(str, channel.tolist())) for channel in example.items.T]
        lines.append(":".join([*series, label]) + "\n")

    yield put
    file.write(f"@dimensions {dimensions}\n@classLabel true {' '.join(sorted(labels))}\n@data\n")
    file.writelines(lines)


def _read_tags(tags: dict[str, str], place: Place, *, labelled: bool) -> _Header:
    if tags.get("timestamps", "").lower() == "true":
        raise place.error("series without time stamps", "'@timeStamps true'; write values at equal steps")
    dimensions = 1 if tags.get("univariate", "").lower() == "true" else None
    if "dimensions" in tags:
        dimensions = number_of(tags["dimensions"])
        if dimensions is None:
            raise place.error("a number of dimensions, from 1", short(f"@dimensions {tags['dimensions']}"))
    flag, *labels = tags.get("classlabel", "").split() or [""]
    has_labels, has_number = flag.lower() == "true", tags.get("targetlabel", "").lower() == "true"
    if labelled and not has_labels:
        found = "'@targetLabel true': numbers to predict" if has_number else f"'@classLabel {flag or 'false'}'"
        raise place.error("'@classLabel true' and the labels", found)
    return _Header(dimensions, has_labels or has_number, frozenset(labels) if has_labels else None)


def _series(text: str, header: _Header, place: Place, *, labelled: bool) -> tuple[NDArray[np.float32], str | None]:
    parts: list[str] = text.split(":")
    label = parts.pop().strip() if header.has_goal else None
    if header.dimensions is None:
        header.dimensions = max(len(parts), 1)
    if len(parts) != header.dimensions:
        behind = " and a label" if header.has_goal else ""
        raise place.error(f"{header.dimensions} dimensions{behind}, parted by ':'", f"{len(parts)}: {short(text)}")
    if labelled and header.labels and label not in header.labels:
        raise place.error(f"one of the {len(header.labels)} labels of @classLabel", f"'{label}'")
    channels = [_channel(part, number, place) for number, part in enumerate(parts, 1)]
    for number, channel in enumerate(channels, 1):
        if len(channel) != len(channels[0]):
            expected = f"as many values in each dimension ({len(channels[0])} in the first)"
            raise place.error(expected, f"{len(channel)} in dimension {number}")
    return np.stack(channels, axis=1), label  # [N, C]


def _channel(part: str, dimension: int, place: Place) -> NDArray[np.float32]:
    values: list[str] = part.split(",")
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes Inf and is refused as such
            channel = np.array(values, dtype=np.float32)
        if np.isfinite(channel).all():
            return channel
    except ValueError:  # what it stumbles over is looked for below
        pass
    at = next(at for at, value in enumerate(values) if not _is_finite(value))
    missing = " (a missing value; fill it in first)" if values[at].strip().lower() in ("?", "nan") else ""
    found = f"{values[at].strip()!r} at place {at + 1} of dimension {dimension}{missing}"
    raise place.error("finite numbers parted by commas", found)


def _is_finite(value: str) -> bool:
    try:
        with np.errstate(over="ignore"):
            return bool(np.isfinite(np.array(value, dtype=np.float32)))
    except ValueError:
        return False
