"""IDX, the format of MNIST: bytes of images in one file, plain or gzip, their labels in another beside it."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.data.lines import File, check_file, show, unpacked
from regard.data.records import Columns, Place, Record
from regard.errors import DataError

_BYTES = 0x08  # the type of numbers that these files have
_MOST_AXES = 4
_IMAGES, _LABELS = ("images", "idx3", "idx4"), ("labels", "idx1", "idx1")  # in the names of files that go together


def read(file: File, columns: Columns) -> Iterator[Record]:
    """Images ``[rows, columns]`` or ``[rows, columns, channels]``, labels the numbers of ``train-labels-idx1-ubyte``.

    Raises:
        DataError: no such file, one of other numbers, damaged or cut off, or labels that are missing or not as many.
    """
    images = _array(file, file.path)
    if images.ndim not in (3, 4):
        found = f"{images.ndim}, of {list(images.shape)}" + ("; name the file of images" if images.ndim == 1 else "")
        raise DataError("images: an array of 3 axes, or 4 with channels", found, path=file.name)
    labels = None
    if columns.labelled:
        beside = _labels_beside(Path(file.path))
        labels = _array(file, beside)
        if labels.shape != images.shape[:1]:
            found = f"numbers of shape {list(labels.shape)}"
            raise DataError(f"a label for each of the {len(images)} images of {file.name}", found, path=show(beside))
    for number, image in enumerate(images):
        goal = {} if labels is None else {columns.goal.name: int(labels[number])}
        yield Record({columns.items.name: image, **goal}, Place(file.name, number=number + 1))


def _array(file: File, path: str | Path) -> NDArray[np.uint8]:
    check_file(path)
    name = show(path)
    try:
        with unpacked(path, file.limits) as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] != _BYTES or not 1 <= head[3] <= _MOST_AXES:
                found = f"the first bytes {head.hex(' ')}" if head else "an empty file"
                raise DataError("an IDX file of bytes, which begins 00 00 08 and its number of axes", found, path=name)
            sizes = stream.read(4 * head[3])
            if len(sizes) < 4 * head[3]:
                found = "a head that is cut off; fetch it again"
                raise DataError(f"the sizes of {head[3]} axes", found, path=name)
            shape = [int.from_bytes(sizes[place : place + 4], "big") for place in range(0, 4 * head[3], 4)]
            count = math.prod(shape)
            most = max(os.path.getsize(path), file.limits.unpacked_bytes)  # that can be, whatever the head says
            content = stream.read(min(count, most) + 1)
    except EOFError:
        raise DataError("a whole gzip file", "one that is cut off; fetch it again", path=name) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError("a sound gzip file", f"damage ({error}); fetch it again", path=name) from None
    if len(content) != count:
        found = "more" if len(content) > count else f"{len(content):,}; fetch it again"
        raise DataError(f"{count:,} bytes, as its head says ({' × '.join(map(str, shape))})", found, path=name)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _labels_beside(images: Path) -> Path:
    """The file of labels that goes with one of images, packed or not."""
    name = images.name
    for own, other in zip(_IMAGES, _LABELS, strict=True):
        name = name.replace(own, other)
    plain = name.removesuffix(".gz")
    found = next((path for path in (images.with_name(name), images.with_name(plain)) if path.exists()), None)
    found = images.with_name(f"{plain}.gz") if found is None else found
    if found == images or not found.exists():
        expected = f"labels beside it, in a file '{plain}'" if name != images.name else "'images' or 'idx3' in its name"
        raise DataError(f"{expected}, plain or gzip", "none", path=show(images))
    return found
