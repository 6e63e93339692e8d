"""Images as items, made of a record's value: a path, pixels, a picture of Pillow, or what `datasets` has of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.paths import placed, read_named
from regard.data.records import Place, short
from regard.errors import DataError
from regard.image import Image

_EXPECTED = "an image: the path of a file, pixels [rows, columns] or [rows, columns, channels], or a regard.Image"


def as_image(value: Any, place: Place) -> Image:
    """An image: the path of a file, as a list in the folder of ``place`` names it, or pixels in memory.

    A row of N numbers, as tables of pixels have it, is a square of them, gray or with three channels one after another.

    Raises:
        MissingFile: there is no such file.
        DataError: it is something else, or a file that cannot be read.
    """
    if isinstance(value, Image):
        return value
    if isinstance(value, str | Path):
        if not str(value).strip():
            raise place.error("the path of an image file", "an empty one")
        return read_named(value, place, "an image file", Image.from_file)
    if isinstance(value, Mapping):
        return _of_dataset(value, place)
    if hasattr(value, "getbands"):
        return Image.from_pillow(value)
    if not hasattr(value, "__len__") and not hasattr(value, "__array__"):
        raise place.error(_EXPECTED, f"{short(value)} ({type(value).__name__})")
    try:
        pixels = np.asarray(value)
        return Image.from_pixels(_square(pixels, place) if pixels.ndim == 1 else pixels)
    except DataError as error:
        raise place.error(error.expected, error.found) from None
    except (ValueError, TypeError, RuntimeError):  # rows of several lengths; a tensor that NumPy cannot hold
        raise place.error(_EXPECTED, short(value)) from None


def _of_dataset(value: Mapping[str, Any], place: Place) -> Image:
    """What the `datasets` library has in a column of images that it does not decode."""
    if isinstance(value.get("bytes"), bytes):
        name = value.get("path") or "an image in memory"
        with placed(name, place):
            return Image.from_file(name, content=value["bytes"])
    if isinstance(value.get("path"), str):
        return read_named(value["path"], place, "an image file", Image.from_file)
    raise place.error("an image with the key path or bytes", f"the keys {', '.join(map(str, value))}")


def _square(pixels: np.ndarray, place: Place) -> np.ndarray:
    """``[side, side, 1]`` of so many numbers, or ``[side, side, 3]``."""
    size = square_of(len(pixels))
    if size is None:
        raise place.error("a row of pixels that make a square, gray or of three channels", f"{len(pixels)} numbers")
    return np.moveaxis(pixels.reshape(size), 0, -1)


def square_of(count: int) -> tuple[int, int, int] | None:
    """Channels, rows and columns of the square that so many numbers make, gray or in colours; None of other counts.

    >>> square_of(784), square_of(3072), square_of(785)
    ((1, 28, 28), (3, 32, 32), None)
    """
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if side and side * side * channels == count:
            return channels, side, side
    return None
