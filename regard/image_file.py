"""Files of images, as Pillow reads them: opened at their head, turned upright, their pixels brought to one kind."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError, UnsupportedError

EXPECTED = "an image (png, jpg, gif, bmp, tif, webp, ...)"
MOST_PIXELS = 100_000_000  # of a file: what is larger takes a gigabyte, or is made to
INSTALL = "images need Pillow: pip install 'regard[image]'"
GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")  # modes of Pillow without colours
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_MOST = 2**16 - 1  # of 16 bits
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
SWAPPED = (5, 6, 7, 8)  # those that make rows of columns
REFUSED = {  # modes of Pillow whose pixels are no shares of light
    "F": "floating-point numbers, whose scale is not told",
    "LAB": "colours of CIELAB; make it RGB",
}
_HEAD = 32  # bytes of a file that tell what it is
_OTHERS = {  # where first bytes stand, and which → what the file is
    (0, b"<"): "a page or a drawing (HTML, SVG); fetch it again, or draw it as a PNG",
    (4, b"ftyphei"): "a photo in HEIC; make it a JPEG or a PNG",
    (4, b"ftyp"): "a video; take a picture of it",
    (0, b"%PDF"): "a PDF; make it a PNG",
    (0, b"PK\x03\x04"): "a zip archive; unpack it first",
}
_DAMAGE = (  # what Pillow raises about a file that is damaged
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError),
    *(RuntimeError, struct.error, zlib.error),
)


@contextmanager
def opened(name: str, content: bytes | None) -> Iterator[Any]:
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
            raise DataError(EXPECTED, _other(name, content), path=name) from None
        except pillow.DecompressionBombError:
            raise _too_large(name, "more") from None
        except IsADirectoryError:
            raise DataError(EXPECTED, "a folder", path=name) from None
        except _DAMAGE as error:
            found = getattr(error, "strerror", None) or str(error)
            raise DataError(EXPECTED, found.lower(), path=name) from None
        with picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise _too_large(name, f"{picture.height} × {picture.width}")
            if picture.format == "EPS":
                raise DataError(EXPECTED, "PostScript, a program that would be run; make it a PNG", path=name)
            with unpacked(name):
                yield picture


@contextmanager
def unpacked(name: str) -> Iterator[None]:
    """What goes wrong while pixels are unpacked, told in one line with that name.

    Raises:
        DataError: the image is damaged.
    """
    try:
        yield
    except DataError as error:
        raise error if error.path is not None else DataError(error.expected, error.found, path=name) from None
    except _DAMAGE as error:
        raise DataError("a whole image", f"{str(error).lower()}; fetch it again", path=name) from None


def _other(name: str, content: bytes | None) -> str:
    """What stands in the place of an image, by its first bytes."""
    if content is None:
        with open(name, "rb") as file:
            content = file.read(_HEAD)
    if not content:
        return "an empty file"
    kinds = (kind for (start, magic), kind in _OTHERS.items() if content.startswith(magic, start))
    return next(kinds, "something else, or a damaged one")


def _too_large(name: str, found: str) -> DataError:
    return DataError(f"an image of at most {MOST_PIXELS:,} pixels", f"{found}; make it smaller first", path=name)


def orientation(picture: Any) -> int:
    """How the camera was held, by what stands before the pixels, so that none is unpacked; TIFF is turned already."""
    from PIL import Image as pillow

    if picture.format == "TIFF":
        return 1
    found = pillow.Image.getexif(picture).get(_ORIENTATION)
    return found if found in _TURNS else 1


def upright(picture: Any) -> Any:
    """Turned as the camera was held."""
    from PIL import Image as pillow

    turn = _TURNS.get(orientation(picture))
    return picture if turn is None else picture.transpose(pillow.Transpose[turn])


def converted(picture: Any, channels: int) -> Any:
    """As a picture of mode "L" or "RGB"; of 16 bits "F"."""
    from PIL import Image as pillow

    if picture.mode in _SIXTEEN_BITS:
        numbers = np.asarray(picture)
        if numbers.min() < 0 or numbers.max() > _MOST:
            raise DataError("pixels of 8 or 16 bits", f"numbers from {numbers.min():,} to {numbers.max():,}")
        return pillow.fromarray(numbers.astype(np.float32))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        above = picture.convert("RGBA")
        white = pillow.new("RGBA", above.size, "white")
        picture = pillow.alpha_composite(white, above)
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def array_of(picture: Any) -> NDArray[Any]:
    """``[rows, columns, channels]`` of what :func:`converted` gives."""
    array = np.asarray(picture)
    array = array if array.ndim == 3 else array[:, :, None]
    return np.clip(array / np.float32(_MOST), 0, 1) if picture.mode == "F" else array
