"""An image: a file, or numbers in memory. Its size is known at once, its pixels are read when they are wanted."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError, UnsupportedError
from regard.image_file import (
    GRAY,
    INSTALL,
    REFUSED,
    SWAPPED,
    array_of,
    converted,
    opened,
    orientation,
    unpacked,
    upright,
)

A_MASK = "a mask: a whole number for each pixel, gray or of a palette"
MOST_NUMBER = 2**16 - 1  # of a mask
AT_ONCE = 4  # images that are unpacked at a time, each of which may take a gigabyte
CHUNK = 256  # images that wait for that


@dataclass(frozen=True, eq=False)
class Image:
    """A grid of pixels, each a vector of its channels.

    Made by :meth:`from_file`, :meth:`from_pixels` and :meth:`from_pillow`.

    Arguments:
        rows, columns: its size, in pixels.
        channels: 1 (gray) or 3 (red, green, blue) of a file; any number of an array.
        path: of the file, as messages name it too; None for an array.
        held: pixels ``[rows, columns, channels]``, or the bytes of a file; None for a file on disk.
        resized: rows and columns to which all of it is brought; None for those that it has by itself.
        box: the row and the column with which it begins, in all of it.
        is_part: whether it is a part of that.
    """

    rows: int
    columns: int
    channels: int
    path: str | None = None
    held: NDArray[Any] | bytes | None = field(default=None, repr=False)
    resized: tuple[int, int] | None = None
    box: tuple[int, int] = (0, 0)
    is_part: bool = False

    @classmethod
    def from_file(cls, path: str | Path, *, content: bytes | None = None) -> Image:
        """A file of any kind that Pillow reads by itself, the first picture of several; turned as the camera was held.

        Arguments:
            content: the file's bytes, where they are in memory; ``path`` is then a name for messages.

        Raises:
            DataError: no such file, none of an image, one of more than 100 million pixels, or one of PostScript, which
                would be run.
            UnsupportedError: Pillow is not installed.
        """
        name = os.fspath(path)
        with opened(name, content) as picture:
            columns, rows = picture.size
            if orientation(picture) in SWAPPED:
                columns, rows = rows, columns
            if picture.mode in REFUSED:
                raise DataError("pixels of 8 or 16 bits", REFUSED[picture.mode], path=name)
            return cls(rows, columns, 1 if picture.mode in GRAY else 3, name, content)

    @classmethod
    def from_pixels(cls, pixels: Any) -> Image:
        """An array ``[rows, columns]`` or ``[rows, columns, channels]``: floats from 0 to 1, or integers as in a file.

        Floats on another scale stay on it.

        >>> Image.from_pixels(np.zeros((28, 28), np.uint8)).size
        (28, 28)

        Raises:
            DataError: another shape or type, none at all, or numbers that are not finite.
        """
        array = np.asarray(pixels)
        if array.dtype.kind not in "buif" or array.ndim not in (2, 3) or not array.size:
            found = f"{array.dtype} of shape {list(array.shape)}"
            raise DataError("pixels [rows, columns] or [rows, columns, channels], at least one, of numbers", found)
        if array.ndim == 3 and len(array) in (1, 3) and array.shape[2] > 4:
            found = f"shape {list(array.shape)}, channels first; move them with numpy.moveaxis(pixels, 0, -1)"
            raise DataError("pixels [rows, columns, channels]", found)
        array = array[:, :, None] if array.ndim == 2 else array
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes Inf and is refused as such
                finite = np.isfinite(array.astype(np.float32, copy=False))
            if not finite.all():
                row, column, channel = np.argwhere(~finite)[0].tolist()
                found = f"{array[row, column, channel]} at row {row + 1}, column {column + 1}"
                raise DataError("finite numbers", found)
        elif array.dtype.kind in "ui" and array.dtype not in (np.uint8, np.uint16):
            if array.min() < 0 or array.max() > 255:
                raise DataError("whole numbers from 0 to 255, or floats from 0 to 1", f"{array.min()} to {array.max()}")
            array = array.astype(np.uint8)
        rows, columns, channels = array.shape
        return cls(rows, columns, channels, None, array)

    @classmethod
    def from_pillow(cls, picture: Any) -> Image:
        """A ``PIL.Image.Image``, whose pixels are taken over.

        Raises:
            DataError: it is of a file that is damaged.
        """
        with unpacked("an image of Pillow"):
            if picture.mode == "F":
                return cls.from_pixels(np.asarray(picture))
            return cls.from_pixels(array_of(converted(upright(picture), 1 if picture.mode in GRAY else 3)))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def name(self) -> str:
        """As messages call it."""
        return "an image in memory" if self.path is None else self.path

    def at_size(self, rows: int, columns: int) -> Image:
        """The same brought to another size, without keeping its shape; the pixels of a part are read at once.

        Raises:
            DataError: a part, of a file that is damaged.
        """
        if self.size == (rows, columns):
            return self
        if self.is_part:
            return replace(Image.from_pixels(self.pixels()).at_size(rows, columns), path=self.path)
        return replace(self, rows=rows, columns=columns, resized=(rows, columns))

    def part(self, top: int, bottom: int, left: int, right: int) -> Image:
        """What lies between two rows and two columns."""
        bottom, right = min(bottom, self.rows), min(right, self.columns)
        box = self.box[0] + top, self.box[1] + left
        return replace(self, rows=bottom - top, columns=right - left, box=box, is_part=True)

    def pixels(self, channels: int | None = None) -> NDArray[np.float32]:
        """``[rows, columns, channels]``, from 0 to 1.

        What is transparent lies on white. Colours are made gray as the eye weighs them, gray is put in all channels.

        Arguments:
            channels: 1 or 3, to which those of a file or an array of 1, 3 or 4 are brought; its own unless given.

        Raises:
            DataError: the file is damaged, or an array has channels that cannot be brought to so many.
        """
        channels = self.channels if channels is None else channels
        if isinstance(self.held, np.ndarray):
            if self.resized is None:
                return _in_channels(_scaled(self._inside(self.held)), channels)
            return self._inside(_resized(_in_channels(_scaled(self.held), channels), *self.resized))
        from PIL import Image as pillow

        with opened(self.name, self.held) as picture:
            wanted = None if self.resized is None else self.resized[::-1]
            if wanted is not None:  # a JPEG is read smaller
                stored = wanted[::-1] if orientation(picture) in SWAPPED else wanted
                picture.draft("L" if channels == 1 else "RGB", stored)
            whole = converted(upright(picture), channels)
            if wanted is not None:
                whole = whole.resize(wanted, pillow.Resampling.BICUBIC, reducing_gap=3.0)
            top, left = self.box
            part = whole.crop((left, top, left + self.columns, top + self.rows))
            return _in_channels(_scaled(array_of(part)), channels)

    def numbers(self) -> NDArray[np.int64]:
        """``[rows, columns]`` of an image that is a mask: numbers as they stand in the file, of a palette its places.

        Raises:
            DataError: it has colours, numbers that are not whole, below 0 or above 65,535, or that JPEG changed, or the
                file is damaged.
        """
        if isinstance(self.held, np.ndarray):
            whole = self.held
            if self.channels != 1 or whole.dtype.kind == "f" or self.resized is not None:
                raise DataError(A_MASK, f"{whole.dtype} of shape {list(whole.shape)}", path=self.path)
            whole = whole[:, :, 0]
        else:
            with opened(self.name, self.held) as picture:
                whole = numbers_of(picture, self.name)
        if whole.min() < 0 or whole.max() > MOST_NUMBER:
            raise DataError(f"{A_MASK}, from 0 to {MOST_NUMBER:,}", f"{whole.min()} to {whole.max()}", path=self.path)
        numbers: NDArray[np.int64] = self._inside(whole).astype(np.int64)
        return numbers

    def _inside(self, whole: NDArray[Any]) -> NDArray[Any]:
        """What lies in the box."""
        top, left = self.box
        return whole[top : top + self.rows, left : left + self.columns]

    def identity(self) -> str:
        """Tells it from another."""
        if isinstance(self.held, np.ndarray):
            held = self.held.tobytes()
        else:
            held = Path(self.name).read_bytes() if self.held is None else self.held
        return f"{[*self.size, self.channels, self.resized, self.box]} {held.hex()}"

    def __len__(self) -> int:
        """How many pixels it has."""
        return self.rows * self.columns


def numbers_of(picture: Any, name: str) -> NDArray[Any]:
    """``[rows, columns]`` of a picture of Pillow that is a mask, as they stand in it, of a palette its places.

    Raises:
        DataError: with that name, it has colours, numbers that JPEG changed, or is damaged.
    """
    with unpacked(name):
        if picture.format == "JPEG":
            raise DataError(A_MASK, "a JPEG, which changes numbers; make it a PNG")
        whole = np.asarray(upright(picture))
        channels = whole[:, :, :3] if whole.ndim == 3 else whole[:, :, None]
        if picture.mode not in ("P", *GRAY) and not (channels == channels[:, :, :1]).all():
            raise DataError(A_MASK, "colours; put a number in the place of each")
        numbers: NDArray[Any] = channels[:, :, 0]
        return numbers


def _scaled(array: NDArray[Any]) -> NDArray[np.float32]:
    """From 0 to 1."""
    if array.dtype.kind in "ui":
        scaled: NDArray[np.float32] = np.divide(array, np.iinfo(array.dtype).max, dtype=np.float32)
        return scaled
    return array.astype(np.float32)


def _in_channels(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """``[rows, columns, channels]`` of pixels that have others."""
    own = pixels.shape[2]
    if own == channels:
        return pixels
    if own == 1:
        return np.repeat(pixels, channels, 2)
    if own == 4 and channels in (1, 3):
        pixels = pixels[:, :, :3] * pixels[:, :, 3:] + 1 - pixels[:, :, 3:]
        own = 3
    if own == 3 and channels == 1:
        return pixels @ np.array([[0.299], [0.587], [0.114]], np.float32)
    if own != channels:
        raise DataError(f"images of {channels} channels", f"one of {own}")
    return pixels


def _resized(pixels: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """``[rows, columns, channels]``, each channel by Pillow's bicubic, which goes beyond its numbers at edges.

    As of files, nothing comes out below 0 or above 1; of numbers on another scale, nothing beyond their own.
    """
    try:
        from PIL import Image as pillow
    except ImportError:
        raise UnsupportedError(INSTALL) from None
    channels = [pillow.fromarray(pixels[:, :, channel]) for channel in range(pixels.shape[2])]
    resized = [np.asarray(x.resize((columns, rows), pillow.Resampling.BICUBIC)) for x in channels]
    return np.stack(resized, 2).clip(min(0, pixels.min()), max(1, pixels.max()))


def check_whole(images: Iterable[Any]) -> None:
    """Unpacks every file once, of which nothing is kept.

    Arguments:
        images: of :class:`Image`, taken a few at a time.

    Raises:
        DataError: the first that is damaged.
    """
    files = (image for image in images if not isinstance(image.held, np.ndarray))
    with warnings.catch_warnings(), ThreadPoolExecutor(AT_ONCE) as pool:  # threads leave each other's filters behind
        while some := list(islice(files, CHUNK)):
            for _ in pool.map(lambda image: image.at_size(1, 1).pixels(1), some):
                pass
