"""Attention of one sequence as pictures: a heat map for every layer and head, labelled with the items."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from regard.errors import RegardError
from regard.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ITEMS = 300  # of a longer sequence no picture can be read


class Maps:
    """The weights of one sequence by layer and head.

    Arguments:
        layers: ``[H, N, N]`` for every layer: row = who attends, column = who is attended to; rows sum to 1 (softmax).
        items: the words, or None for places counted from 0.
    """

    def __init__(self, layers: list[Tensor], items: list[str] | None = None) -> None:
        self.layers = [layer.detach().float().cpu() for layer in layers]
        self.items = items

    def __getitem__(self, layer: int) -> Tensor:
        """``[H, N, N]``."""
        return self.layers[layer]

    def __len__(self) -> int:
        return len(self.layers)

    def figure(self) -> Figure:
        """Layers as rows, heads as columns."""
        from matplotlib.figure import Figure

        length = self.layers[0].shape[-1]
        if not 0 < length <= MOST_ITEMS:
            raise RegardError(
                f"a map can be drawn of 1 to {MOST_ITEMS} items, got {length}; take a part of the sequence"
            )
        depth, heads = len(self.layers), max(len(layer) for layer in self.layers)
        side = min(6.0, max(2.2, 0.24 * length + 0.8))
        figure = Figure(figsize=(side * heads + 1, (side + 0.3) * depth), layout="constrained")
        axes = figure.subplots(depth, heads, squeeze=False)
        top = max(float(layer.max()) for layer in self.layers) or 1.0
        for number, layer in enumerate(self.layers):
            for head, weights in enumerate(layer):
                axis = axes[number][head]
                picture = axis.imshow(weights.numpy(), cmap="Blues", vmin=0.0, vmax=top, interpolation="nearest")
                axis.set_title(f"layer {number + 1}, head {head + 1}", fontsize=9)
                axis.tick_params(length=0)
                if self.items is not None and length <= 60:
                    short = [item if len(item) <= 14 else item[:13] + "…" for item in self.items]
                    axis.set_xticks(range(length), short, rotation=90, fontsize=7, parse_math=False)
                    axis.set_yticks(range(length), short if head == 0 else [""] * length, fontsize=7, parse_math=False)
        figure.colorbar(picture, ax=axes, shrink=0.5, label="weight")
        figure.supylabel("who attends", fontsize=9)
        figure.supxlabel("to whom", fontsize=9)
        return figure

    def save(self, path: str | Path) -> Path:
        """Writes ``.png``, ``.svg``, ``.pdf``, or one ``.html`` page with the picture inside."""
        path = Path(path)
        kind = path.suffix.lower().lstrip(".")
        if kind not in ("png", "svg", "pdf", "html", "htm"):
            raise RegardError(f"path must end in .png, .svg, .pdf or .html, got '{path.name}'")
        drawn = self._drawn("png" if kind in ("html", "htm") else kind)
        if kind in ("html", "htm"):
            title = html.escape(" ".join(self.items or ["attention"]))
            source = base64.b64encode(drawn).decode()
            page = f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
            drawn = f'{page}<img alt="attention" src="data:image/png;base64,{source}">\n'.encode()
        with atomic_write(path, binary=True) as file:
            file.write(drawn)
        return path

    def show(self) -> Figure:
        """The figure, which a notebook displays."""
        return self.figure()

    def _drawn(self, kind: str) -> bytes:
        buffer = io.BytesIO()
        self.figure().savefig(buffer, format=kind, dpi=140, bbox_inches="tight")
        return buffer.getvalue()
