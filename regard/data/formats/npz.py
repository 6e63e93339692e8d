"""NumPy archives: vectors of all sequences laid end to end and where each begins, or an array of images."""

from __future__ import annotations

import lzma
import math
import os
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from regard.data.formats import Answer, Put
from regard.data.formats.refused import array_of, refuse
from regard.data.lines import MIB, File, check_file
from regard.data.records import Columns, Example, Place, Record, short
from regard.errors import DataError

Arrays = dict[str, NDArray[Any] | None]  # by name; None where nobody asked for it
_ONE = b"\x93NUMPY"  # with which a file of one array begins
# What zipfile and NumPy raise about an archive that is damaged, packed in another way or encrypted.
_DAMAGE = (
    *(ValueError, TypeError, EOFError, OSError, OverflowError, KeyError, NotImplementedError, RuntimeError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error, tokenize.TokenError),
)
_NULL_AT_END = re.compile(r"\0\Z")  # which NumPy drops


def read(file: File, columns: Columns) -> Iterator[Record]:
    """Sequences from the arrays ``vectors [T, C]``, ``offsets [B+1]`` (one sequence if missing) and the goal's.

    Sequence b is rows ``offsets[b]:offsets[b+1]``, as in :class:`regard.Ragged`. The goal is an array ``[T]`` with one
    for every item, or ``[B]`` with one for every sequence. Images of one size stand in an array ``[B, ...]`` of their
    name. Nothing is unpickled.

    Raises:
        DataError: not such an archive, or arrays that do not fit together.
    """
    arrays, name = _open(file, columns), file.name
    whole = columns.items.find(arrays) if columns.files else None
    if whole is not None:
        items = _take(arrays, whole, name)
        goals = _goals(arrays, columns, len(items), len(items), name) if columns.labelled else None
        for row, one in enumerate(items):
            goal = {} if goals is None else {columns.goal.name: goals[row]}
            yield Record({columns.items.name: one, **goal}, Place(name, number=row + 1))
        return
    vectors = _take(arrays, columns.items.name if columns.files else "vectors", name)
    offsets = arrays.get("offsets")
    if offsets is None:
        offsets = np.array([0, len(vectors)])
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
        arrays.append(array_of(example, "npz"))
        labels = answer[columns.key] if columns.per_item else [answer[columns.key]]
        refuse(example, labels, _NULL_AT_END, "no null character at the end of what npz holds")
        goals.extend(labels)

    yield put
    vectors = np.concatenate([array for array in arrays if len(array)] or [np.zeros((0, 1), np.float32)])
    named: dict[str, Any] = {columns.goal_name: np.array(goals, dtype=np.str_)}
    np.savez(file, **named, vectors=vectors, offsets=np.cumsum([0, *map(len, arrays)]))


def _open(file: File, columns: Columns) -> Arrays:
    """The arrays that are asked for; of the others the names."""
    check_file(file.path)
    goals = columns.goal.find if columns.labelled else lambda names: None
    try:
        with Path(file.path).open("rb") as stream:
            if stream.peek(len(_ONE)).startswith(_ONE):
                _head(stream)
                found = "a single array; write it with savez"
                raise DataError("a NumPy archive (.npz) of named arrays", found, path=file.name)
            with zipfile.ZipFile(stream) as archive:
                members = {part.filename.removesuffix(".npy"): part for part in archive.infolist()}
                items = (columns.items.find(members),) if columns.files else ("vectors", "offsets")
                wanted = [name for name in (*items, goals(members)) if name in members]
                _check_sizes(archive, {name: members[name] for name in wanted}, file)
                arrays: Arrays = dict.fromkeys(members)
                for name in wanted:
                    with archive.open(members[name]) as opened:
                        arrays[name] = np.lib.format.read_array(opened, allow_pickle=False)
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError("a NumPy archive (.npz) without pickled objects", str(error).lower(), path=file.name) from None
    return arrays


def _check_sizes(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], file: File) -> None:
    """Refuses, before any is unpacked, arrays that are larger than they may be, by what their own heads say."""
    stored, total = os.path.getsize(file.path), 0
    for name, member in members.items():
        with archive.open(member) as opened:
            shape, dtype = _head(opened)
        size = math.prod(shape) * dtype.itemsize
        if member.compress_type == zipfile.ZIP_STORED and size > stored:
            raise ValueError(f"'{name}' cut off: {size} bytes by its head, in a file of {stored}")
        total += 0 if member.compress_type == zipfile.ZIP_STORED else size
        if total > file.limits.unpacked_bytes:
            found = f"'{name}' of shape {list(shape)}, with which there are {math.ceil(total / MIB)}"
            raise file.limits.large_file(file.name, found)


def _head(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array, by what stands before it."""
    version = np.lib.format.read_magic(stream)
    read_head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_head(stream)
    return shape, dtype


def _take(arrays: Arrays, key: str, path: str) -> NDArray[Any]:
    array = arrays.get(key)
    if array is None:
        raise DataError(f"an array '{key}'", "the arrays " + ", ".join(arrays), path=path)
    if not array.ndim:
        raise DataError(f"an array '{key}' with a row for each", "a single value", path=path)
    return array


def _goals(arrays: Arrays, columns: Columns, items: int, sequences: int, path: str) -> NDArray[Any]:
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
