"""Attention of one sequence as pictures: a heat map for every layer and head, labelled with the items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from regard.errors import ConfigError, RegardError
from regard.ragged import counted
from regard.viewer.heatmaps import MapRow, check_drawable, draw_maps
from regard.viewer.page.axes import Axis, text_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.pictures import Shown
from regard.viewer.recording import Recorded, Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
            layer, head: one of them alone, from 0, or from the last, −1; of a head the layers that have it.

        Raises:
            ConfigError: there is no such layer or head.
        """
        check_drawable(*self._size)
        chosen = list(enumerate(self._attentions))
        if layer is not None:
            chosen = [chosen[_within(layer, len(chosen), "layer", "layers")]]
        layers = [(f"layer {number + 1}", dense(one)) for number, one in chosen]
        if head is not None:
            head = _within(head, max(len(weights) for _, weights in layers), "head", "heads")
        rows = [MapRow.of(title, weights, head) for title, weights in layers]
        if layer is None and (pooling := self.pooling) is not None:
            rows.append(MapRow.of("pooling", pooling[:, None], head, is_strip=True))
        return draw_maps([row for row in rows if len(row.weights)], self.items, self.seen)

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


def axis_of(count: int, names: list[str] | None) -> Axis:
    """Positions with names, or numbers."""
    return Axis(kind="vectors", count=count) if names is None else text_axis(names)


def dense(layer: Recorded) -> Tensor:
    """``[H, Q, K]``, of a layer that gave weights."""
    assert layer.weights is not None
    found = layer.weights.dense()
    return found[0]


def _within(number: int, count: int, name: str, many: str) -> int:
    """A number as Python counts, from 0 or from the last."""
    if not -count <= number < count:
        raise ConfigError(f"{name}: there are {count} {many}, counted from 0; got {number}")
    return number % count
