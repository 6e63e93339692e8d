"""The goal of images that are labelled pixel by pixel: a mask, made of a record's value and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.images import as_image
from regard.data.lines import File
from regard.data.records import Items, Place, short
from regard.errors import DataError
from regard.image import MOST_NUMBER, Image, numbers_of

UNLABELLED = 255  # the number of a pixel that has no label, as Pascal VOC has it
NAMES = "classes.txt"  # beside the folders of images and masks


def mask(value: Any, items: Items, place: Place) -> Image:
    """The mask of an image: another of the same size, whose numbers are those of labels, and 255 of none.

    Its numbers are read when they are wanted, as :meth:`regard.Image.numbers` has them.

    Arguments:
        value: the path of a file, gray or of a palette; a picture of Pillow, of such a kind too; an array
            ``[rows, columns]``; or one as a text of JSON.

    Raises:
        MissingFile: there is no such file.
        DataError: it is something else, or of another size.
    """
    if not isinstance(items, Image):
        raise place.error("an image, to which the mask belongs", f"a {type(items).__name__}; front_end=pixels")
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise place.error("a mask: the path of an image, or rows of numbers", short(value)) from None
    if hasattr(value, "getbands"):
        try:
            value = numbers_of(value, "a mask of Pillow")
        except DataError as error:
            raise place.error(error.expected, error.found) from None
    found = as_image(_small(value, place), place)
    if isinstance(found.held, np.ndarray):
        try:
            found.numbers()
        except DataError as error:
            raise place.error(error.expected, error.found) from None
    if found.size != items.size:
        expected = f"a mask of {_shown(items)} pixels, the size of {items.name}"
        raise place.error(expected, f"{_shown(found)} in {found.name.replace('an image', 'one')}")
    return found


def _small(value: Any, place: Place) -> Any:
    """Whole numbers of any type as 16 bits, for a mask has those of labels and not shades; the rest as it is."""
    if not isinstance(value, list | np.ndarray):
        return value
    try:
        numbers = np.asarray(value)
    except ValueError:  # rows of several lengths
        return value
    if numbers.dtype.kind not in "iu" or not numbers.size:
        return value
    if numbers.min() < 0 or numbers.max() > MOST_NUMBER:
        raise place.error(f"a mask of numbers from 0 to {MOST_NUMBER:,}", f"{numbers.min()} to {numbers.max()}")
    return numbers.astype(np.uint16)


def read_names(path: str | Path) -> list[str]:
    """What the numbers of masks are called, from 0, one a line.

    Raises:
        DataError: no such file, or none of text.
    """
    return [line.strip() for line in File(path).read_lines(path)]


def _shown(image: Image) -> str:
    return f"{image.rows} × {image.columns}"
