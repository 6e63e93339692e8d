"""The goal of images that are labelled pixel by pixel: a mask, made of a record's value and checked."""

from __future__ import annotations

import json
from typing import Any

from regard.data.images import as_image
from regard.data.records import Items, Place, short
from regard.image import Image

UNLABELLED = 255  # the number of a pixel that has no label, as Pascal VOC has it


def mask(value: Any, items: Items, place: Place) -> Image:
    """The mask of an image: another of the same size, whose numbers are those of labels, and 255 of none.

    Its numbers are read when they are wanted, as :meth:`regard.Image.numbers` has them.

    Arguments:
        value: the path of a file, gray or of a palette; an array ``[rows, columns]``; or one as a text of JSON.

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
    found = as_image(value, place)
    if found.size != items.size:
        expected = f"a mask of {_shown(items)} pixels, the size of {items.name}"
        raise place.error(expected, f"{_shown(found)} in {found.name.replace('an image', 'one')}")
    return found


def _shown(image: Image) -> str:
    return f"{image.rows} × {image.columns}"
