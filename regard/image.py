"""An image: a file, or numbers in memory. Its size is known at once, its pixels are read when they are wanted."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError, UnsupportedError

EXPECTED = "an image (png, jpg, gif, bmp, tif, webp, ...)"
MOST_PIXELS = 100_000_000  # of a file: what is larger takes a gigabyte, or is made to
INSTALL = "images need Pillow: pip install 'regard[image]'"
_GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")  # modes of Pillow without colours
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112  # the tag of EXIF that tells how a camera was held
_TURNS = {  # what makes the picture upright, a name of Pillow, for each of its values
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_SWAPPED = (5, 6, 7, 8)  # those that make rows of columns
_DAMAGE = (  # what Pillow raises about a file that is damaged
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError),
    *(RuntimeError, struct.error, zlib.error),
)


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
    """

    rows: int
    columns: int
    channels: int
    path: str | None = None
    held: NDArray[Any] | bytes | None = field(default=None, repr=False)
    resized: tuple[int, int] | None = None
    box: tuple[int, int] = (0, 0)

    @classmethod
    def from_file(cls, path: str | Path, *, content: bytes | None = None) -> Image:
        """A file of any kind that Pillow reads, the first picture of several; turned as the camera was held.

        Arguments:
            content: the file's bytes, where they are in memory; ``path`` is then a name for messages.

        Raises:
            DataError: no such file, none of an image, or one of more than 100 million pixels.
            UnsupportedError: Pillow is not installed.
        """
        name = os.fspath(path)
        with _open(name, content) as picture:
            columns, rows = picture.size
            if _orientation(picture) in _SWAPPED:
                columns, rows = rows, columns
            if picture.mode == "F":
                raise DataError("pixels of 8 or 16 bits", "floating-point numbers, whose scale is not told", path=name)
            return cls(rows, columns, 1 if picture.mode in _GRAY else 3, name, content)

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
        if not np.isfinite(array).all():
            row, column, channel = np.argwhere(~np.isfinite(array))[0].tolist()
            raise DataError("finite numbers", f"{array[row, column, channel]} at row {row + 1}, column {column + 1}")
        if array.dtype.kind in "ui" and array.dtype not in (np.uint8, np.uint16):
            if array.min() < 0 or array.max() > 255:
                raise DataError("whole numbers from 0 to 255, or floats from 0 to 1", f"{array.min()} to {array.max()}")
            array = array.astype(np.uint8)
        rows, columns, channels = array.shape
        return cls(rows, columns, channels, None, array)

    @classmethod
    def from_pillow(cls, picture: Any) -> Image:
        """A ``PIL.Image.Image``, whose pixels are taken over."""
        if picture.mode == "F":
            return cls.from_pixels(np.asarray(picture))
        return cls.from_pixels(_array(_converted(_upright(picture), 1 if picture.mode in _GRAY else 3)))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def name(self) -> str:
        """As messages call it."""
        return "an image in memory" if self.path is None else self.path

    def at_size(self, rows: int, columns: int) -> Image:
        """The same brought to another size, without keeping its shape."""
        if self.size == (rows, columns):
            return self
        return replace(self, rows=rows, columns=columns, resized=(rows, columns))

    def part(self, top: int, bottom: int, left: int, right: int) -> Image:
        """What lies between two rows and two columns."""
        bottom, right = min(bottom, self.rows), min(right, self.columns)
        box = self.box[0] + top, self.box[1] + left
        return replace(self, rows=bottom - top, columns=right - left, box=box)

    def pixels(self, channels: int | None = None) -> NDArray[np.float32]:
        """``[rows, columns, channels]``, from 0 to 1.

        What is transparent lies on white. Colours are made gray as the eye weighs them, gray is put in all channels.

        Arguments:
            channels: 1 or 3, to which those of a file or an array of 1, 3 or 4 are brought; its own unless given.

        Raises:
            DataError: the file is damaged, or an array has channels that cannot be brought to so many.
        """
        top, left = self.box
        whole = self._whole(self.channels if channels is None else channels)
        return whole[top : top + self.rows, left : left + self.columns]

    def numbers(self) -> NDArray[np.int64]:
        """``[rows, columns]`` of an image that is a mask: numbers as they stand in the file, of a palette its places.

        Raises:
            DataError: it has colours, numbers that are not whole or that JPEG changed, or the file is damaged.
        """
        expected = "a mask: a whole number for each pixel, gray or of a palette"
        top, left = self.box
        if isinstance(self.held, np.ndarray):
            whole = self.held
            if self.channels != 1 or whole.dtype.kind == "f" or self.resized is not None:
                raise DataError(expected, f"{whole.dtype} of shape {list(whole.shape)}", path=self.path)
            whole = whole[:, :, 0]
        else:
            with _open(self.name, self.held) as picture:
                if picture.format == "JPEG" or picture.mode not in ("P", *_GRAY):
                    lossy = "a JPEG, which changes numbers; make it a PNG"
                    raise DataError(expected, lossy if picture.format == "JPEG" else "colours", path=self.path)
                upright = np.asarray(_upright(picture))
                whole = upright[:, :, 0] if upright.ndim == 3 else upright
        numbers: NDArray[np.int64] = whole[top : top + self.rows, left : left + self.columns].astype(np.int64)
        return numbers

    def _whole(self, channels: int) -> NDArray[np.float32]:
        if isinstance(self.held, np.ndarray):
            found = _in_channels(_scaled(self.held), channels)
            return found if self.resized is None else _resized(found, *self.resized)
        from PIL import Image as pillow

        with _open(self.name, self.held) as picture:
            wanted = None if self.resized is None else self.resized[::-1]
            if wanted is not None:  # a JPEG is read smaller
                stored = wanted[::-1] if _orientation(picture) in _SWAPPED else wanted
                picture.draft("L" if channels == 1 else "RGB", stored)
            converted = _converted(_upright(picture), channels)
            if wanted is not None:
                converted = converted.resize(wanted, pillow.Resampling.BICUBIC, reducing_gap=3.0)
            return _in_channels(_scaled(_array(converted)), channels)

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


@contextmanager
def _open(name: str, content: bytes | None) -> Iterator[Any]:
    """The file as Pillow opens it, of which only the head is read; what goes wrong with the rest is told in one line.

    Raises:
        DataError: no such file, none of an image, one that is too large, or damaged.
        UnsupportedError: Pillow is not installed.
    """
    try:
        from PIL import Image as pillow
        from PIL import UnidentifiedImageError
    except ImportError:
        raise UnsupportedError(INSTALL) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own limit, and of odd tags
        try:
            picture = pillow.open(name if content is None else io.BytesIO(content))
        except UnidentifiedImageError:
            raise DataError(EXPECTED, "something else, or a damaged one", path=name) from None
        except pillow.DecompressionBombError:
            raise _too_large(name, "more") from None
        except _DAMAGE as error:
            found = getattr(error, "strerror", None) or str(error)
            raise DataError(EXPECTED, found.lower(), path=name) from None
        with picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise _too_large(name, f"{picture.height} × {picture.width}")
            try:
                yield picture
            except DataError:
                raise
            except _DAMAGE as error:
                raise DataError("a whole image", f"{str(error).lower()}; fetch it again", path=name) from None


def _too_large(name: str, found: str) -> DataError:
    return DataError(f"an image of at most {MOST_PIXELS:,} pixels", f"{found}; make it smaller first", path=name)


def _orientation(picture: Any) -> int:
    """How the camera was held, by what stands before the pixels, so that none is unpacked."""
    from PIL import Image as pillow

    found = pillow.Image.getexif(picture).get(_ORIENTATION)
    return found if found in _TURNS else 1


def _upright(picture: Any) -> Any:
    """Turned as the camera was held."""
    from PIL import Image as pillow

    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(pillow.Transpose[turn])


def _converted(picture: Any, channels: int) -> Any:
    """As a picture of mode "L" or "RGB"; of 16 bits "F"."""
    from PIL import Image as pillow

    if picture.mode in _SIXTEEN_BITS:
        return pillow.fromarray(np.asarray(picture).astype(np.float32))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        above = picture.convert("RGBA")
        white = pillow.new("RGBA", above.size, "white")
        picture = pillow.alpha_composite(white, above)
    return picture.convert("L" if channels == 1 else "RGB")


def _array(picture: Any) -> NDArray[Any]:
    """``[rows, columns, channels]`` of what :func:`_converted` gives."""
    array = np.asarray(picture)
    array = array if array.ndim == 3 else array[:, :, None]
    return np.clip(array / np.float32(65535), 0, 1) if picture.mode == "F" else array


def _scaled(array: NDArray[Any]) -> NDArray[np.float32]:
    """From 0 to 1."""
    if array.dtype.kind in "ui":
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
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
    """``[rows, columns, channels]``, each channel by Pillow's bicubic."""
    try:
        from PIL import Image as pillow
    except ImportError:
        raise UnsupportedError(INSTALL) from None
    channels = [pillow.fromarray(pixels[:, :, channel]) for channel in range(pixels.shape[2])]
    return np.stack([np.asarray(x.resize((columns, rows), pillow.Resampling.BICUBIC)) for x in channels], 2)
