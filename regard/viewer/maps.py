"""Attention of one sequence as pictures: a heat map for every layer and head, labelled with the items."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from regard.errors import RegardError
from regard.ragged import counted
from regard.viewer.fonts import families
from regard.viewer.page.axes import Axis, text_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.pictures import Shown
from regard.viewer.recording import Recorded, Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ITEMS = 300  # of a longer sequence no picture can be read
LARGEST = 16.0  # inches, of one map
NAME_SPACE = 0.1  # inches that a name needs
NARROWEST = 1.4  # inches, so that titles have room
POOLING = 0.4  # inches of its one row
LONGEST_NAME = 14
TITLE = 400  # characters, which the page shortens as it has room


class Maps:
    """The weights of one sequence by layer and head.

    Arguments:
        recording: of the layers, and of the pooling where there is one; see :func:`regard.record`.
        items: the N that attend, or None for places counted from 0.
        seen: the M that are attended to, where they are others.
        page: makes a page that tells more of them.

    Raises:
        RegardError: a layer gave no weights.
    """

    def __init__(
        self,
        recording: Recording,
        items: list[str] | None = None,
        seen: list[str] | None = None,
        *,
        page: Callable[[], Page] | None = None,
    ) -> None:
        for layer in recording:
            if layer.weights is None:
                raise RegardError(f"there are no weights of {layer.name}: {layer.why}")
        self.recording = recording
        self.items, self.seen = items, items if seen is None else seen
        self._make = page

    def __repr__(self) -> str:
        rows, columns = self._size
        layers, heads = counted(len(self), "layer"), counted(len(self[0]), "head")
        return f"Maps({layers} of {heads}, {rows} × {columns} items)"

    def __getitem__(self, layer: int) -> Tensor:
        """``[H, N, M]``: row = who attends, column = who is attended to; rows sum to 1 (softmax)."""
        return dense(self._attentions[layer])

    def __len__(self) -> int:
        return len(self._attentions)

    @property
    def layers(self) -> list[Tensor]:
        """``[H, N, M]`` of each. Memory O(N·M); ``recording`` has them as bands."""
        return [dense(layer) for layer in self._attentions]

    @property
    def pooling(self) -> Tensor | None:
        """``[H, N]``: how much each item counts in the one vector that is made of all, which explains a label."""
        found = self.recording.of_role("pooling")
        return dense(found[0])[:, 0] if found else None

    def figure(self, layer: int | None = None, head: int | None = None) -> Figure:
        """Layers as rows, heads as columns; below them the pooling.

        Arguments:
            layer, head: one of them alone, from 0.
        """
        from matplotlib.figure import Figure

        rows, columns = self._size
        check_drawable(rows, columns)
        chosen = range(len(self)) if layer is None else [range(len(self))[layer]]
        pooling = self.pooling if layer is None else None
        first = 0 if head is None else head
        titled = [(f"layer {number + 1}", _heads(self[number], head)) for number in chosen]
        titled += [] if pooling is None else [("pooling", _heads(pooling[:, None], head))]
        cell = min(_side(columns) / columns, _side(rows) / rows)
        width, height = max(NARROWEST, cell * columns), max(POOLING, cell * rows)
        heights = [height] * len(chosen) + [POOLING] * (len(titled) - len(chosen))
        heads = max(len(weights) for _, weights in titled)
        size = width * heads + _room(self.items) + 1, sum(heights) + (_room(self.seen) + 0.35) * len(titled)
        figure = Figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(h_pad=0.1)  # type: ignore[union-attr, call-arg]
        axes = figure.subplots(len(titled), heads, squeeze=False, height_ratios=heights)
        top = max(float(weights.max()) for _, weights in titled) or 1.0
        fonts = families([*(self.items or ()), *(self.seen or ())])
        for (title, weights), places in zip(titled, axes, strict=True):
            apart = width / columns if title == "pooling" else cell  # inches from one name to the next
            for column, axis in enumerate(places):
                if column >= len(weights):
                    axis.set_axis_off()
                    continue
                shape = "auto" if title == "pooling" else "equal"
                colors: Any = {"cmap": "Blues", "vmin": 0.0, "vmax": top}
                picture = axis.imshow(weights[column].numpy(), aspect=shape, interpolation="nearest", **colors)
                axis.set_title(f"{title}, head {first + column + 1}", fontsize=9)
                _name(axis.xaxis, self.seen, columns, apart, fonts, rotation=90)
                if title == "pooling":
                    axis.set_yticks([])
                elif column == 0:
                    _name(axis.yaxis, self.items, rows, cell, fonts)
                else:
                    axis.tick_params(labelleft=False)
                axis.tick_params(length=0)
        figure.colorbar(picture, ax=axes, shrink=0.5, label="weight")
        figure.supylabel("who attends", fontsize=9)
        figure.supxlabel("to whom", fontsize=9)
        return figure

    def page(self) -> Page:
        """The page that shows them, which :meth:`save` writes and a notebook displays."""
        if self._make is not None:
            return self._make()
        axes = {"input": axis_of(self._size[1], self.seen)}
        query = "input" if self.items == self.seen and self._size[0] == self._size[1] else "output"
        axes.setdefault(query, axis_of(self._size[0], self.items))
        stacks = [Stack("encoder", "to whom", query, "input", self._attentions)]
        if pooling := self.recording.of_role("pooling"):
            axes["answer"] = axis_of(1, ["answer"])
            stacks.append(Stack("pool", "answer to input", "answer", "input", pooling))
        return Page(self._title()[:TITLE], axes, stacks)

    def save(self, path: str | Path, *, layer: int | None = None, head: int | None = None) -> Path:
        """Writes ``.html``, a page that works offline, or ``.png``, ``.svg``, ``.pdf`` of :meth:`figure`."""
        return self._shown(layer, head).write(path)

    def show(self) -> None:
        """Displays the page: in a notebook, or in a browser."""
        self._shown().show()

    def _repr_html_(self) -> str:
        return self._shown()._repr_html_()

    def _repr_png_(self) -> bytes | None:
        return self._shown()._repr_png_()

    def _shown(self, layer: int | None = None, head: int | None = None) -> Shown:
        return Shown(self._title(), partial(self.figure, layer, head), page=self.page)

    def _title(self) -> str:
        return " ".join(self.items or ["attention"])

    @property
    def _attentions(self) -> list[Recorded]:
        return [layer for layer in self.recording if layer.role != "pooling"]

    @property
    def _size(self) -> tuple[int, int]:
        """How many attend, and to how many."""
        weights = self._attentions[0].weights
        assert weights is not None
        return weights.values.shape[2], int(weights.key_lengths)


@dataclass(frozen=True)
class PairMaps:
    """Attention of a source and the target that was made of it.

    Arguments:
        encoder: of the source to itself.
        decoder: of the target to itself: a row for each token that is written, a column for each that was read.
        cross: of the target to the source: a row for each token that is written.
        make: makes a page that tells more of them.
    """

    encoder: Maps
    decoder: Maps
    cross: Maps
    make: Callable[[], Page] | None = field(default=None, repr=False)

    def page(self) -> Page:
        """The page that shows all three, which :meth:`save` writes and a notebook displays."""
        if self.make is not None:
            return self.make()
        parts = {"encoder": self.encoder, "cross": self.cross, "decoder": self.decoder}
        sides = {"encoder": ("input", "input"), "cross": ("output", "input"), "decoder": ("output", "before")}
        axes: dict[str, Axis] = {}
        stacks = []
        for (name, maps), (query, key) in zip(parts.items(), sides.values(), strict=True):
            axes |= {query: axis_of(maps._size[0], maps.items), key: axis_of(maps._size[1], maps.seen)}
            stacks.append(Stack(name, f"{query} to {key}", query, key, maps._attentions))
        return Page(self.encoder._title()[:TITLE], axes, stacks)

    def save(self, path: str | Path) -> Path:
        """Writes ``.html``, a page of all three, or ``.png``, ``.svg``, ``.pdf`` of the target to the source."""
        return self._shown().write(path)

    def show(self) -> None:
        """Displays all three: in a notebook, or in a browser."""
        self._shown().show()

    def _repr_html_(self) -> str:
        return self._shown()._repr_html_()

    def _repr_png_(self) -> bytes | None:
        return self._shown()._repr_png_()

    def _shown(self) -> Shown:
        return Shown(self.encoder._title(), self.cross.figure, page=self.page)


def _heads(weights: Tensor, head: int | None) -> Tensor:
    return weights if head is None else weights[head : head + 1]


def axis_of(count: int, names: list[str] | None) -> Axis:
    """Positions with names, or numbers."""
    return Axis(kind="vectors", count=count) if names is None else text_axis(names)


def dense(layer: Recorded) -> Tensor:
    """``[H, Q, K]``, of a layer that gave weights."""
    assert layer.weights is not None
    found = layer.weights.dense()
    return found[0]


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
