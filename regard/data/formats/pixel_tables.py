"""Tables of pixels: an image in each row, a number in each column, as MNIST goes round in CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.data.images import square_of
from regard.data.lines import File
from regard.data.records import Columns, Place, Record, name_columns, short

_PIXEL = re.compile(r"[a-z]*[ _.-]?\d+(x\d+)?", re.IGNORECASE)  # pixel0, px_12, 28x28, 783


def holds_pixels(top: Sequence[str], columns: Columns) -> bool:
    """Whether the first row is that of a table of pixels: most of it numbers, or names of pixels."""
    names = [cell.strip() for cell in top]
    found = sum(_is_number(name) or _PIXEL.fullmatch(name) is not None for name in names)
    return columns.pixels and columns.items.find(names) is None and found > len(names) / 2


def pixel_records(rows: Iterable[tuple[int, list[str]]], file: File, columns: Columns) -> Iterator[Record]:
    """A record for each row, with or without a header: its pixels as one list, and its label.

    Raises:
        DataError: no column of labels, a row that is longer or shorter than the first, or one of other than numbers.
    """
    names: list[str] = []
    for line, cells in rows:
        place = Place(file.name, line)
        if not names:
            bare = all(_is_number(cell) for cell in cells)
            names = [str(number) for number in range(1, len(cells) + 1)] if bare else [cell.strip() for cell in cells]
            names = name_columns(names, (columns.goal,), place)
            goal = _goal(names, columns, place, bare=bare)
            taken = [at for at, name in enumerate(names) if at != goal and (bare or _PIXEL.fullmatch(name))]
            if not taken:
                raise place.error("columns of pixels", f"the columns {', '.join(names)}")
            if not bare:
                continue
        with file.bad:
            if len(cells) != len(names):
                raise place.error(f"{len(names)} columns as in the first row", f"{len(cells)}")
            values: dict[str, Any] = {columns.items.name: _pixels([cells[at] for at in taken], place)}
            if goal is not None:
                values[columns.goal.name] = _label(cells[goal].strip(), place)
            yield Record(values, place)


def _goal(names: Sequence[str], columns: Columns, place: Place, *, bare: bool) -> int | None:
    """The place of the column that holds the labels; None where none are wanted and there is none."""
    found = columns.goal.find(names)
    if found is None and columns.labelled:
        number = f"; column={len(names)} takes the last for the label, column=1 the first" if bare else ""
        expected = f"a column {columns.goal.described()}" if not bare else "the number of the column with the labels"
        raise place.error(expected, f"a table of pixels without {'a header' if bare else 'one'}{number}")
    is_whole = bare and not columns.labelled and square_of(len(names)) is not None
    return None if found is None or is_whole else names.index(found)


def _label(cell: str, place: Place) -> str:
    """A whole number is one, however it is written."""
    if cell.lower() == "nan":
        raise place.error("a label", f"'{cell}', which is none; drop such rows or fill them")
    return str(int(float(cell))) if _is_number(cell) and float(cell).is_integer() else cell


def _pixels(cells: Sequence[str], place: Place) -> NDArray[np.float64] | NDArray[np.int64]:
    """Whole numbers are those of a file, from 0 to 255, however they are written, and so is a row with any above 1."""
    try:
        pixels = np.array(cells, dtype=np.float64)
    except ValueError:
        wrong = next(cell for cell in cells if not _is_number(cell))
        raise place.error("pixels, which are numbers", short(wrong)) from None
    if not np.isfinite(pixels).all():
        return pixels
    if pixels.min() < 0 or pixels.max() > 255:
        raise place.error("pixels from 0 to 255, or from 0 to 1", f"{pixels.min():g} to {pixels.max():g}")
    if (pixels == np.floor(pixels)).all():
        return pixels.astype(np.int64)
    return pixels / 255 if pixels.max() > 1 else pixels


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
