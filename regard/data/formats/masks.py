"""A folder with ``images`` and ``masks`` of the same names: a mask has the number of its label for each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from regard.data.formats import Answer, Put
from regard.data.formats.refused import file_name
from regard.data.lines import File, show
from regard.data.records import Columns, Example, Place, Record
from regard.errors import DataError
from regard.files import IMAGE_ENDINGS

IMAGES, MASKS = "images", "masks"


def read(file: File, columns: Columns) -> Iterator[Record]:
    """The images in the order of their names, each with the mask of the same name, whatever the ending of either.

    Without masks to find, the folder may also hold the images itself.

    Raises:
        DataError: no such folder, none in it, or an image without a mask or a mask without an image.
    """
    folder = Path(file.path)
    if not folder.is_dir():
        raise DataError("a folder", "a file" if folder.exists() else "nothing of that name", path=file.name)
    inner = (folder / IMAGES).is_dir()
    if columns.labelled and not (inner and (folder / MASKS).is_dir()):
        raise DataError(f"a folder with the folders {IMAGES} and {MASKS}", _shown(folder), path=file.name)
    images = _files(folder / IMAGES if inner else folder)
    if not columns.labelled:
        yield from (Record({columns.items.name: path}, Place(show(path))) for path in images.values())
        return
    masks = _files(folder / MASKS)
    for stem in sorted(images.keys() | masks.keys()):
        if stem not in masks or stem not in images:
            there, missing = (images, MASKS) if stem in images else (masks, IMAGES)
            file.bad.take(DataError(f"an image of the same name in {missing}", "none", path=show(there[stem])))
            continue
        values = {columns.items.name: images[stem], columns.goal.name: masks[stem]}
        yield Record(values, Place(show(images[stem])), goal_place=Place(show(masks[stem])))


@contextmanager
def write(folder: Path, columns: Columns) -> Iterator[Put]:
    """A PNG for each image, by the name of its file: numbers of labels, each shown in a colour of its own."""
    from PIL import Image as pillow

    written: dict[str, str] = {}  # name → path

    def put(example: Example, answer: Answer) -> None:
        name = file_name(example, "masks", written)
        numbers = np.asarray(answer[columns.key])
        if numbers.max() > 255:
            pillow.fromarray(numbers.astype(np.uint16)).save(folder / f"{name}.png")
            return
        picture = pillow.frombytes("P", numbers.shape[::-1], numbers.astype(np.uint8).tobytes())
        picture.putpalette([part for number in range(256) for part in _colour(number)])
        picture.save(folder / f"{name}.png")

    yield put


def _colour(number: int) -> tuple[int, int, int]:
    """That of Pascal VOC: its bits, three at a time, are the highest of red, green and blue."""
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (number & 1) << bit
        green |= (number >> 1 & 1) << bit
        blue |= (number >> 2 & 1) << bit
        number >>= 3
    return red, green, blue


def _files(folder: Path) -> dict[str, Path]:
    """The images of a folder by their names without ending, hidden files passed over.

    Raises:
        DataError: none, one that is something else, or two of one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")):
        if path.is_dir() or path.suffix.lower() not in IMAGE_ENDINGS:
            what = "the folder" if path.is_dir() else "the file"
            raise DataError(f"images ({', '.join(IMAGE_ENDINGS[:3])}, ...)", f"{what} '{path.name}'", path=show(folder))
        if path.stem in found:
            raise DataError("images of different names", f"'{found[path.stem].name}' and '{path.name}'", path=folder)
        found[path.stem] = path
    if not found:
        raise DataError(f"images ({', '.join(IMAGE_ENDINGS[:3])}, ...)", "none", path=show(folder))
    return found


def _shown(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    return f"the folders {', '.join(names[:5])}" if names else "none"
