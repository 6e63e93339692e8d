"""Heat maps of weights: a row of them for each layer, a column for each head, labelled with the items."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from regard.errors import RegardError
from regard.viewer.fonts import families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ITEMS = 300  # of a longer sequence no picture can be read
LARGEST = 16.0  # inches, of one map
NAME_SPACE = 0.1  # inches that a name needs
NARROWEST = 1.4  # inches, so that titles have room
STRIP = 0.4  # inches of one row
TITLE = 0.5  # inches
LONGEST_NAME = 14


@dataclass(frozen=True)
class MapRow:
    """The heads of one layer.

    Arguments:
        title: of the layer.
        weights: ``[H, Q, K]``; one row high, ``[H, 1, K]``, where it ``is_strip`` without the names of queries.
        first: the number of the first head, from 0.
    """

    title: str
    weights: Tensor
    first: int = 0
    is_strip: bool = False

    @classmethod
    def of(cls, title: str, weights: Tensor, head: int | None, *, is_strip: bool = False) -> MapRow:
        """All heads, or one of them, of which there is none where the layer has fewer."""
        if head is None:
            return cls(title, weights, is_strip=is_strip)
        return cls(title, weights[head : head + 1], head, is_strip)


def draw_maps(
    rows: Sequence[MapRow], items: Sequence[str] | None, seen: Sequence[str] | None, *, title: str = ""
) -> Figure:
    """All of them, in one scale of colours.

    Arguments:
        items: that attend; None: they are counted.
        seen: that are attended to.
        title: above all.
    """
    from matplotlib.figure import Figure

    columns = rows[0].weights.shape[2]
    tall = max((row.weights.shape[1] for row in rows if not row.is_strip), default=1)
    check_drawable(tall, columns)
    cell = min(_side(columns) / columns, _side(tall) / tall)
    width, height = max(NARROWEST, cell * columns), max(STRIP, cell * tall)
    heights = [STRIP if row.is_strip else height for row in rows]
    heads = max(len(row.weights) for row in rows)
    are_strips = all(row.is_strip for row in rows)
    more = (TITLE if title else 0) + (TITLE if are_strips else 0)  # inches
    size = width * heads + _room(items) + 1, sum(heights) + (_room(seen) + 0.35) * len(rows) + more
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(len(rows), heads, squeeze=False, height_ratios=heights)
    top = max(float(row.weights.max()) for row in rows) or 1.0
    fonts = families([*(items or ()), *(seen or ())])
    for row, places in zip(rows, axes, strict=True):
        apart = width / columns if row.is_strip else cell  # inches from one name to the next
        for column, axis in enumerate(places):
            if column >= len(row.weights):
                axis.set_axis_off()
                continue
            shape = "auto" if row.is_strip else "equal"
            colors: Any = {"cmap": "Blues", "vmin": 0.0, "vmax": top}
            picture = axis.imshow(row.weights[column].numpy(), aspect=shape, interpolation="nearest", **colors)
            axis.set_title(f"{row.title}, head {row.first + column + 1}", fontsize=9)
            _name(axis.xaxis, seen, columns, apart, fonts, rotation=90)
            if row.is_strip:
                axis.set_yticks([])
            elif column == 0:
                _name(axis.yaxis, items, tall, cell, fonts)
            else:
                axis.tick_params(labelleft=False)
            axis.tick_params(length=0)
    figure.colorbar(picture, ax=axes, shrink=0.5, label="weight")
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    if not are_strips:
        figure.supylabel("who attends", fontsize=9)
    figure.supxlabel("to whom", fontsize=9)
    return figure


def check_drawable(*counts: int) -> None:
    """Refuses maps of no items, or of more than can be told apart.

    Raises:
        RegardError: how many there are, and what to do.
    """
    if not all(0 < count <= MOST_ITEMS for count in counts):
        found = " and ".join(str(count) for count in dict.fromkeys(counts))
        raise RegardError(
            f"a map can be drawn of 1 to {MOST_ITEMS} items, got {found}; take a part of the sequence, of a recording "
            "by the times `start` and `end`"
        )


def _side(count: int) -> float:
    """Inches of a map with so many rows or columns, so that as many as can be have names."""
    return min(LARGEST, max(2.2, min(6.0, 0.24 * count + 0.8), NAME_SPACE * count))


def _room(names: Sequence[str] | None) -> float:
    """Inches beside a map for names."""
    return 0.065 * min(LONGEST_NAME, max((len(name) for name in names or ()), default=2))


def _name(axis: Any, names: Sequence[str] | None, count: int, cell: float, fonts: list[str], **options: Any) -> None:
    """Names items on an axis, every second or third where all have no room; or counts them."""
    from matplotlib.ticker import MaxNLocator

    if names is None:
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        return
    step = math.ceil(NAME_SPACE / cell - 1e-9)
    places = range(0, count, step)
    size = 7 if step * cell >= 0.12 else 6
    axis.set_ticks(
        places,
        [_written(names[place]) for place in places],
        fontsize=size,
        fontfamily=fonts,
        parse_math=False,
        **options,
    )


def _written(name: str) -> str:
    """What stands beside an axis: not too long, in one line, and nothing that cannot be seen.

    >>> _written("a\\n"), _written(" "), _written("a very long word")
    ('a⟨0a⟩', '␣', 'a very long w…')
    """
    if name.isspace() and name.isprintable():
        return "␣"
    short = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return "".join(f"⟨{ord(letter):02x}⟩" if unicodedata.category(letter) == "Cc" else letter for letter in short)
