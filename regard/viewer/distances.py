"""How far heads look in images, by layer and head: of one image, and on average over many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.viewer.pictures import Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Distances:
    """The mean attention distance over many images; Dosovitskiy et al. 2021, figure 7.

    Arguments:
        mean: ``[layers, H]``, in pixels.
        images: of how many it is the mean.

    >>> from regard.viewer.images import ImageMaps
    >>> from regard.viewer.recording import Recording
    >>> maps = ImageMaps(Recording.of([torch.full((1, 2, 2), 0.5)]), torch.zeros(1, 2, 1), grid=(1, 2), stride=4)
    >>> Distances.of([maps, maps]).mean.tolist()
    [[2.0]]
    """

    mean: Tensor
    images: int

    @classmethod
    def of(cls, maps: Iterable[Any]) -> Distances:
        """Those of maps of images, of which one is held at a time: ``Distances.of(map(model.attention, images))``.

        Raises:
            RegardError: there is none, or maps of something else.
        """
        total, count = torch.zeros(()), 0
        for one in maps:
            if not hasattr(one, "distance"):
                raise RegardError("distances are those of images, got maps of a sequence; give a model of images")
            total, count = total + one.distance(), count + 1
        if not count:
            raise RegardError("distances are the mean over images, got none; give at least one")
        return cls(total / count, count)

    def figure(self) -> Figure:
        """A dot for each head of each layer."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(max(4.0, 1.0 + 0.4 * len(self.mean)), 3.0), layout="constrained")
        draw_distances(figure.subplots(), self.mean)
        return figure

    def save(self, path: str | Path) -> Path:
        """Writes ``.png``, ``.svg``, ``.pdf``, or one ``.html`` page with the picture inside."""
        return self._shown().write(path)

    def show(self) -> None:
        """Displays the picture: in a notebook, or in a browser."""
        self._shown().show()

    def _repr_html_(self) -> str:
        return self._shown()._repr_html_()

    def _repr_png_(self) -> bytes | None:
        return self._shown()._repr_png_()

    def _shown(self) -> Shown:
        return Shown(f"attention over {self.images} images", self.figure)


def draw_distances(axis: Axes, distances: Tensor) -> None:
    """``[layers, H]``: a dot for each head, a line through their means."""
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    blue, layers = colormaps["Blues"](0.8), range(1, len(distances) + 1)
    axis.plot(layers, distances.mean(1).tolist(), color="0.7", linewidth=1, zorder=1)
    for layer, heads in zip(layers, distances.tolist(), strict=True):
        axis.scatter([layer] * len(heads), heads, color=blue, alpha=0.7, s=22, linewidths=0, zorder=2)
    axis.set_ylim(0, 1.15 * float(distances.max()) or 1.0)
    axis.set_xlim(0.5, len(distances) + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("layer", fontsize=9)
    axis.set_ylabel("mean distance, pixels", fontsize=9)
    axis.set_title("how far each head looks", fontsize=9)
