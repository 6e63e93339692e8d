"""NumPy archives of vectors: all sequences laid end to end in one array, and where each begins."""

from __future__ import annotations

import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from regard.data.formats import Answer, Put
from regard.data.formats.refused import refuse
from regard.data.lines import File, check_file
from regard.data.records import Columns, Example, Place, Record, short
from regard.errors import DataError

# What zipfile and NumPy raise about an archive that is damaged, packed in another way or encrypted.
_DAMAGE = (
    *(ValueError, TypeError, EOFError, OSError, OverflowError, KeyError, RuntimeError),
    *(zlib.error, zipfile.BadZipFile, struct.error, tokenize.TokenError),
)
_NULL_AT_END = re.compile(r"\0\Z")  # which NumPy drops


def read(file: File, columns: Columns) -> Iterator[Record]:
    """Sequences from the arrays ``vectors [T, C]``, ``offsets [B+1]`` (one sequence if missing) and the goal's.

    Sequence b is rows ``offsets[b]:offsets[b+1]``, as in :class:`regard.Ragged`. The goal is an array ``[T]`` with one
    for every item, or ``[B]`` with one for every sequence. Nothing is unpickled.

    Raises:
        DataError: not such an archive, or arrays that do not fit together.
    """
    arrays, name = _open(file), file.name
    vectors = _take(arrays, "vectors", name)
    offsets = arrays.get("offsets", np.array([0, len(vectors)]))
    _check_offsets(offsets, len(vectors), name)
    goals = _goals(arrays, columns, len(vectors), len(offsets) - 1, name) if columns.labelled else None
    for number, (start, end) in enumerate(pairwise(offsets.tolist()), 1):
        values: dict[str, Any] = {"vectors": vectors[start:end]}
        if goals is not None:
            values[columns.goal.name] = goals[start:end] if columns.per_item else goals[number - 1]
        yield Record(values, Place(name, number=number))


@contextmanager
def write(file: IO[bytes], columns: Columns) -> Iterator[Put]:
    """The archive that :func:`read` takes, with the goals under their name; it is held in memory until the end."""
    arrays: list[NDArray[np.float32]] = []
    goals: list[str] = []

    def put(example: Example, answer: Answer) -> None:
        if not isinstance(example.items, np.ndarray):
            raise example.place.error("an array, which npz is made of", "text; format=jsonl takes it")
        arrays.append(example.items)
        labels = answer[columns.key] if columns.per_item else [answer[columns.key]]
        refuse(example, labels, _NULL_AT_END, "no null character at the end of what npz holds")
        goals.extend(labels)

    yield put
    vectors = np.concatenate([array for array in arrays if len(array)] or [np.zeros((0, 1), np.float32)])
    named: dict[str, Any] = {columns.goal_name: np.array(goals, dtype=np.str_)}
    np.savez(file, **named, vectors=vectors, offsets=np.cumsum([0, *map(len, arrays)]))


def _open(file: File) -> dict[str, NDArray[Any]]:
    check_file(file.path)
    try:
        with Path(file.path).open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            arrays = None if isinstance(archive, np.ndarray) else dict(archive)
    except _DAMAGE as error:
        raise DataError("a NumPy archive (.npz) without pickled objects", str(error).lower(), path=file.name) from None
    if arrays is None:
        raise DataError("a NumPy archive (.npz) of named arrays", "a single array; write it with savez", path=file.name)
    return arrays


def _take(arrays: dict[str, NDArray[Any]], key: str, path: str) -> NDArray[Any]:
    if key not in arrays or not arrays[key].ndim:
        raise DataError(f"an array '{key}'", "the arrays " + ", ".join(arrays), path=path)
    return arrays[key]


def _goals(arrays: dict[str, NDArray[Any]], columns: Columns, items: int, sequences: int, path: str) -> NDArray[Any]:
    found = columns.goal.find(arrays)
    goals = _take(arrays, columns.goal_name if found is None else found, path)
    count, what = (items, "vectors") if columns.per_item else (sequences, "sequences")
    if len(goals) != count:
        raise DataError(f"as many labels as {what} ({count})", f"{len(goals)} labels", path=path)
    return goals


def _check_offsets(offsets: NDArray[Any], rows: int, path: str) -> None:
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise DataError("offsets of whole numbers [B+1]", f"{offsets.dtype} of shape {list(offsets.shape)}", path=path)
    if offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets.astype(np.int64)) < 0).any():
        raise DataError(f"offsets that rise from 0 to the {rows} vectors", short(offsets.tolist()), path=path)
