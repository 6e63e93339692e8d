"""Attention of one sequence as pictures: a heat map for every layer and head, labelled with the items."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from regard.errors import RegardError
from regard.files import atomic_write
from regard.ragged import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ITEMS = 300  # of a longer sequence no picture can be read
MOST_NAMES = 60  # beside one axis
STYLE = "<style>body { font-family: sans-serif; margin: 2em } h1 { font-size: 1.2em } img { max-width: 100% }</style>"


class Maps:
    """The weights of one sequence by layer and head.

    Arguments:
        layers: ``[H, N, M]`` for every layer: row = who attends, column = who is attended to; rows sum to 1 (softmax).
        items: the N that attend, or None for places counted from 0.
        seen: the M that are attended to, where they are others.
    """

    def __init__(self, layers: list[Tensor], items: list[str] | None = None, seen: list[str] | None = None) -> None:
        self.layers = [layer.detach().float().cpu() for layer in layers]
        self.items, self.seen = items, items if seen is None else seen

    def __repr__(self) -> str:
        rows, columns = self.layers[0].shape[1:]
        layers, heads = counted(len(self.layers), "layer"), counted(len(self.layers[0]), "head")
        return f"Maps({layers} of {heads}, {rows} × {columns} items)"

    def __getitem__(self, layer: int) -> Tensor:
        """``[H, N, M]``."""
        return self.layers[layer]

    def __len__(self) -> int:
        return len(self.layers)

    def figure(self) -> Figure:
        """Layers as rows, heads as columns."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        rows, columns = self.layers[0].shape[1:]
        check_drawable(rows, columns)
        depth, heads = len(self.layers), max(len(layer) for layer in self.layers)
        width, height = (min(6.0, max(2.2, 0.24 * length + 0.8)) for length in (columns, rows))
        figure = Figure(figsize=(width * heads + 1, (height + 0.3) * depth), layout="constrained")
        axes = figure.subplots(depth, heads, squeeze=False)
        top = max(float(layer.max()) for layer in self.layers) or 1.0
        for number, layer in enumerate(self.layers):
            for head, weights in enumerate(layer):
                axis = axes[number][head]
                picture = axis.imshow(weights.numpy(), cmap="Blues", vmin=0.0, vmax=top, interpolation="nearest")
                axis.set_title(f"layer {number + 1}, head {head + 1}", fontsize=9)
                axis.tick_params(length=0)
                axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
                axis.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
                if self.seen is not None:
                    axis.set_xticks(*_named(self.seen), rotation=90, fontsize=7, parse_math=False)
                if self.items is not None:
                    places, names = _named(self.items)
                    axis.set_yticks(places, names if head == 0 else [""] * len(names), fontsize=7, parse_math=False)
        figure.colorbar(picture, ax=axes, shrink=0.5, label="weight")
        figure.supylabel("who attends", fontsize=9)
        figure.supxlabel("to whom", fontsize=9)
        return figure

    def save(self, path: str | Path) -> Path:
        """Writes ``.png``, ``.svg``, ``.pdf``, or one ``.html`` page with the picture inside."""
        path, kind = Path(path), kind_of(path)
        title = " ".join(self.items or ["attention"])
        content = drawn(self.figure(), "png" if kind == "html" else kind)
        with atomic_write(path, binary=True) as file:
            file.write(page(title, {"": content}) if kind == "html" else content)
        return path

    def show(self) -> Figure:
        """The figure, which a notebook displays."""
        return self.figure()


@dataclass(frozen=True)
class PairMaps:
    """Attention of a source and the target that was made of it.

    Arguments:
        encoder: of the source to itself.
        decoder: of the target to itself: a row for each token that is written, a column for each that was read.
        cross: of the target to the source: a row for each token that is written.
    """

    encoder: Maps
    decoder: Maps
    cross: Maps

    def save(self, path: str | Path) -> Path:
        """Writes ``.html`` with all three, or a picture (``.png``, ``.svg``, ``.pdf``) of the target to the source."""
        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            return self.cross.save(path)
        parts = {"target to source": self.cross, "target to itself": self.decoder, "source to itself": self.encoder}
        pictures = {name: drawn(maps.figure(), "png") for name, maps in parts.items()}
        with atomic_write(path, binary=True) as file:
            file.write(page(" ".join(self.encoder.items or ["attention"]), pictures))
        return path

    def show(self) -> Figure:
        """The figure of the target to the source, which a notebook displays."""
        return self.cross.figure()


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


def kind_of(path: str | Path) -> str:
    """What a picture is to be written as: "png", "svg", "pdf" or "html".

    Raises:
        RegardError: the path ends in something else.
    """
    name = Path(path).name
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf", "html", "htm"):
        raise RegardError(f"path must end in .png, .svg, .pdf or .html, got '{name}'")
    return "html" if kind == "htm" else kind


def drawn(figure: Figure, kind: str) -> bytes:
    """The file of a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=140, bbox_inches="tight")
    return buffer.getvalue()


def page(title: str, pictures: dict[str, bytes]) -> bytes:
    """One page with PNGs, each under its name."""
    head = html.escape(title)
    parts = [f'<!doctype html><meta charset="utf-8"><title>{head}</title>{STYLE}<h1>{head}</h1>']
    for name, picture in pictures.items():
        source = base64.b64encode(picture).decode()
        heading = f"<h2>{html.escape(name)}</h2>" if name else ""
        parts.append(f'{heading}<img alt="attention" src="data:image/png;base64,{source}">\n')
    return "".join(parts).encode()


def _named(names: list[str]) -> tuple[list[int], list[str]]:
    """The places that are named on an axis, all or as many as can be read, and their names."""
    from matplotlib.ticker import MaxNLocator

    places = list(range(len(names)))
    if len(names) > MOST_NAMES:
        ticks = MaxNLocator(integer=True, min_n_ticks=1).tick_values(0, len(names) - 1)
        places = [int(place) for place in ticks if 0 <= place < len(names)]
    chosen = (names[place] for place in places)
    return places, [name if len(name) <= 14 else name[:13] + "…" for name in chosen]
