"""NumPy archives of vectors: all sequences laid end to end in one array, and where each begins."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.data.example import Example
from regard.data.lines import check_file, show
from regard.data.records import Place, make_example, short
from regard.data.whole import Plan
from regard.errors import DataError


def read_npz(path: str | Path, *, column: str, labelled: bool) -> Iterator[Example]:
    """Sequences from the arrays ``vectors [T, C]``, ``offsets [B+1]`` (one sequence if missing) and ``labels [T]``.

    Sequence b is rows ``offsets[b]:offsets[b+1]``, as in :class:`regard.Ragged`. Nothing is unpickled.

    Raises:
        DataError: not such an archive, or arrays that do not fit together.
    """
    arrays, name = _open(path), show(path)
    vectors, offsets = _sequences(arrays, name)
    labels = _take(arrays, column if column in arrays else "labels", name) if labelled else None
    if labels is not None and len(labels) != len(vectors):
        raise DataError(f"as many labels as vectors ({len(vectors)})", f"{len(labels)} labels", path=name)
    for number, (start, end) in enumerate(pairwise(offsets.tolist()), 1):
        place = Place(name, number=number)
        yield make_example(vectors[start:end], None if labels is None else labels[start:end], place, labelled=labelled)


def read_whole_npz(path: str | Path, *, plan: Plan, labelled: bool) -> Iterator[Example]:
    """The same with one label for each sequence, ``labels [B]``.

    Raises:
        DataError: not such an archive, or arrays that do not fit together.
    """
    arrays, name = _open(path), show(path)
    vectors, offsets = _sequences(arrays, name)
    count = len(offsets) - 1
    labels = _take(arrays, plan.goal.find(arrays) or plan.goal.name, name) if labelled else None
    if labels is not None and len(labels) != count:
        raise DataError(f"as many labels as sequences ({count})", f"{len(labels)} labels", path=name)
    for number, (start, end) in enumerate(pairwise(offsets.tolist()), 1):
        label = None if labels is None else labels[number - 1]
        yield plan.make(vectors[start:end], label, Place(name, number=number), labelled=labelled)


def _open(path: str | Path) -> dict[str, NDArray[Any]]:
    check_file(path)
    name = show(path)
    try:
        with Path(path).open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            arrays = None if isinstance(archive, np.ndarray) else dict(archive)
    except (ValueError, TypeError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError("a NumPy archive (.npz) without pickled objects", str(error).lower(), path=name) from None
    if arrays is None:
        raise DataError("a NumPy archive (.npz) of named arrays", "a single array; write it with savez", path=name)
    return arrays


def _sequences(arrays: dict[str, NDArray[Any]], path: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The vectors ``[T, C]`` and where each sequence begins ``[B+1]``."""
    vectors = _take(arrays, "vectors", path)
    offsets = arrays.get("offsets", np.array([0, len(vectors)]))
    _check_offsets(offsets, len(vectors), path)
    return vectors, offsets


def _take(arrays: dict[str, NDArray[Any]], key: str, path: str) -> NDArray[Any]:
    if key not in arrays or not arrays[key].ndim:
        raise DataError(f"an array '{key}'", "the arrays " + ", ".join(arrays), path=path)
    return arrays[key]


def _check_offsets(offsets: NDArray[Any], rows: int, path: str) -> None:
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise DataError("offsets of whole numbers [B+1]", f"{offsets.dtype} of shape {list(offsets.shape)}", path=path)
    if offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets.astype(np.int64)) < 0).any():
        raise DataError(f"offsets that rise from 0 to the {rows} vectors", short(offsets.tolist()), path=path)
