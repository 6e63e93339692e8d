"""Attention of one image as pictures: the map of a patch over the image, rollout, and how far each head looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.ragged import counted
from regard.viewer.distances import draw_distances
from regard.viewer.maps import dense
from regard.viewer.page.axes import image_axis, text_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.pictures import Shown
from regard.viewer.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

At = tuple[int, int] | Literal["class"] | None
COLORS = "Blues"
MARK = "#e8590c"  # stands out from blue, and from gray
DARKEST, OPAQUE = 0.35, 0.85  # of an image under a map: what is black, from white, and how much a weight of 1 hides
SCALE_HEIGHT = 2.0  # inches of a scale of colours
FINEST = 200  # rows or columns of pixels under a map


class ImageMaps:
    """The weights of one image by layer and head, over its rows and columns.

    Arguments:
        recording: of the layers, and of how the vectors of the last become one, where they do.
        picture: pixels ``[rows, columns, C]`` from 0 to 1, as the network read them.
        grid: rows and columns of patches.
        stride: pixels from one patch to the next.
        before: vectors before those of the patches: 1, that of the class, or 0.
        page: makes a page that tells more of them.

    >>> maps = ImageMaps(Recording.of([torch.eye(4)[None]]), torch.zeros(4, 4, 1), grid=(2, 2), stride=2)
    >>> maps.image((0, 1)).tolist(), maps.distance().tolist()
    ([[[[0.0, 1.0], [0.0, 0.0]]]], [[0.0]])
    """

    def __init__(
        self,
        recording: Recording,
        picture: Tensor,
        *,
        grid: tuple[int, int],
        stride: int,
        before: int = 0,
        page: Callable[[], Page] | None = None,
    ) -> None:
        self.recording, self._make = recording, page
        self.picture, self.grid, self.stride, self.before = picture, grid, stride, before
        pooling = recording.of_role("pooling")
        self.layers = [dense(layer) for layer in recording if layer.role != "pooling"]  # [H, N, N] each
        self.pooling = dense(pooling[0])[:, 0] if pooling else None  # [H, N]

    def __repr__(self) -> str:
        rows, columns = self.grid
        layers, heads = counted(len(self.layers), "layer"), counted(len(self.layers[0]), "head")
        return f"ImageMaps({layers} of {heads}, {rows} × {columns} patches)"

    def __getitem__(self, layer: int) -> Tensor:
        """``[H, N, N]``."""
        return self.layers[layer]

    def __len__(self) -> int:
        return len(self.layers)

    def image(self, at: At = None) -> Tensor:
        """``[layers, H, rows, columns]``: how much the patch at a row and column, from 0, attends to each patch.

        Arguments:
            at: (row, column); None for the middle one, "class" for the vector before them all.

        Raises:
            RegardError: there is no such patch, or no vector of the class.
        """
        row = self._row(at)
        return torch.stack([self._over(layer[:, row]) for layer in self.layers])

    def rollout(self, at: At = None) -> Tensor:
        """``[rows, columns]``: of which patches a vector is made over all layers, ``a · A_L … A_1``.

        ``A_l = (W_l + I) / 2``, with W_l the mean over heads and I for the way around the attention; rows sum to 1.
        a is how the vectors of the last layer become one: pooling, or the mean.

        Arguments:
            at: (row, column), or "class", for the vector of one instead.

        Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers".
        """
        N = self.layers[0].shape[-1]
        made = torch.full((N,), 1 / N) if self.pooling is None else self.pooling.mean(0)
        if at is not None:
            made = torch.eye(N)[self._row(at)]
        for layer in reversed(self.layers):
            mixed = layer.mean(0) + torch.eye(N)
            made = made @ (mixed / mixed.sum(1, keepdim=True))
        return self._over(made)

    def distance(self) -> Tensor:
        """``[layers, H]``: how far patches look, in pixels: ``Σ_k w_qk |place(q) − place(k)|``, averaged over q.

        The weights are those between patches, made to sum to 1 where the vector of the class has a share of them.

        Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", figure 7.
        """
        rows, columns = (torch.arange(side, dtype=torch.float32) * self.stride for side in self.grid)
        places = torch.cartesian_prod(rows, columns)
        far = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
        found = []
        for layer in self.layers:
            between = layer[:, self.before :, self.before :]  # [H, N, N]
            found.append(((between * far).sum(-1) / between.sum(-1).clamp(min=1e-12)).mean(-1))
        return torch.stack(found)

    def figure(self, at: At = None) -> Figure:
        """The image, what its vector is made of and how far heads look; below, layers as rows, heads as columns.

        Arguments:
            at: (row, column) of the patch whose maps are drawn, from 0; None for the middle one.
        """
        from matplotlib.figure import Figure

        parts = self._parts(at)
        size = max(part.width for part in parts), sum(part.height for part in parts)
        figure = Figure(figsize=size, layout="constrained")
        places: Any = figure.subfigures(len(parts), 1, height_ratios=[part.height for part in parts], squeeze=False)
        for part, place in zip(parts, places[:, 0], strict=True):
            place.suptitle(part.title, fontsize=10, x=0.01, ha="left", fontweight="bold")
            part.draw(place)
        return figure

    def page(self) -> Page:
        """The page that shows them, which :meth:`save` writes and a notebook displays."""
        if self._make is not None:
            return self._make()
        axes = {"input": image_axis(self.picture.numpy(), grid=self.grid, stride=self.stride, before=self.before)}
        attentions = [layer for layer in self.recording if layer.role != "pooling"]
        stacks = [Stack("encoder", "input to itself", "input", "input", attentions)]
        if pooling := self.recording.of_role("pooling"):
            axes["answer"] = text_axis(["answer"])
            stacks.append(Stack("pool", "answer to input", "answer", "input", pooling))
        return Page("attention", axes, stacks)

    def save(self, path: str | Path, at: At = None) -> Path:
        """Writes ``.png``, ``.svg``, ``.pdf`` of :meth:`figure`, or ``.html``, a page that works offline."""
        return self._shown(at).write(path)

    def show(self, at: At = None) -> None:
        """Displays the pictures of :meth:`figure`: in a notebook, or in a browser."""
        self._shown(at).show()

    def _repr_html_(self) -> str:
        return self._shown()._repr_html_()

    def _repr_png_(self) -> bytes | None:
        return self._shown()._repr_png_()

    def _shown(self, at: At = None) -> Shown:
        return Shown("attention", partial(self.figure, at), page=self.page)

    def _row(self, at: At) -> int:
        """Which of the vectors it is."""
        rows, columns = self.grid
        if at == "class":
            if not self.before:
                raise RegardError("at: this network has no vector of the class; name a row and a column, from 0")
            return 0
        row, column = (rows // 2, columns // 2) if at is None else at
        if not (0 <= row < rows and 0 <= column < columns):
            raise RegardError(
                f"at: there is no patch in row {row + 1}, column {column + 1}, counted from 1; "
                f"the image has {rows} rows and {columns} columns of them"
            )
        return self.before + row * columns + column

    def _over(self, weights: Tensor) -> Tensor:
        """``[..., N]`` → ``[..., rows, columns]``, without what stands before the patches."""
        return weights[..., self.before :].view(*weights.shape[:-1], *self.grid)

    def _parts(self, at: At) -> list[Part]:
        """What the picture is made of, from top to bottom."""
        row = self._row(at)
        mark = divmod(row - self.before, self.grid[1]) if row >= self.before else None
        parts, layers = [self._overview(mark)], [f"layer {layer + 1}" for layer in range(len(self))]
        if mark is not None:
            title = f"The patch in row {mark[0] + 1}, column {mark[1] + 1} attends to"
            parts.append(self._tiles(title, self.image(mark), layers, mark))
        if self.before:
            parts.append(self._tiles("The vector of the class attends to", self.image("class"), layers))
        if self.pooling is not None and len(self.pooling) > 1:
            parts.append(self._tiles("Pooling attends to", self._over(self.pooling)[None], ["pooling"]))
        return parts

    def _overview(self, mark: tuple[int, int] | None) -> Part:
        def draw(figure: FigureBase) -> None:
            axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.6])
            self._draw_picture(axes[0], mark)
            axes[0].set_title("image", fontsize=9)
            made = self.rollout()
            self._draw_map(axes[1], made, float(made.max()))
            axes[1].set_title("what it is made of (rollout)", fontsize=9)
            draw_distances(axes[2], self.distance())

        return Part("Overview", 8.0, 2.6, draw)

    def _tiles(self, title: str, maps: Tensor, names: list[str], mark: tuple[int, int] | None = None) -> Part:
        """Maps ``[layers, H, rows, columns]`` with the names of layers as rows, heads as columns."""
        (depth, heads), (rows, columns) = maps.shape[:2], self.picture.shape[:2]
        side = 1.6 if heads <= 6 else 1.1
        height = side * min(3.0, max(1 / 3, rows / columns))

        def draw(figure: FigureBase) -> None:
            axes = figure.subplots(depth, heads, squeeze=False)
            top = float(maps.max())
            for layer in range(depth):
                for head in range(heads):
                    picture = self._draw_map(axes[layer, head], maps[layer, head], top, mark)
            for head in range(heads):
                axes[0, head].set_title(f"head {head + 1}", fontsize=9)
            for layer, name in enumerate(names):
                axes[layer, 0].set_ylabel(name, fontsize=9)
            shrink = min(0.8, SCALE_HEIGHT / (height * depth))
            figure.colorbar(picture, ax=axes, shrink=shrink, aspect=20, label="weight")

        return Part(title, side * heads + 1.0, height * depth + 0.6, draw)

    def _draw_picture(self, axis: Axes, mark: tuple[int, int] | None = None, *, under: bool = False) -> None:
        """The image; under a map it is light and gray."""
        from matplotlib.patches import Rectangle

        rows, columns, channels = self.picture.shape
        step = max(1, max(rows, columns) // FINEST) if under else 1
        pixels = self.picture[::step, ::step].clamp(0, 1).numpy()
        extent = -0.5, columns - 0.5, rows - 0.5, -0.5
        if channels != 3 or under:
            gray = pixels.mean(2)
            axis.imshow(1 - DARKEST * (1 - gray) if under else gray, cmap="gray", vmin=0.0, vmax=1.0, extent=extent)
        else:
            axis.imshow(pixels, extent=extent)
        axis.set_xlim(-0.5, columns - 0.5)
        axis.set_ylim(rows - 0.5, -0.5)
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_color("0.8")
        if mark is not None:
            corner = mark[1] * self.stride - 0.5, mark[0] * self.stride - 0.5
            axis.add_patch(Rectangle(corner, self.stride, self.stride, fill=False, edgecolor=MARK, linewidth=1.5))

    def _draw_map(self, axis: Axes, weights: Tensor, top: float, mark: tuple[int, int] | None = None) -> Any:
        """Weights ``[rows, columns]`` over the image, which the largest hide most."""
        self._draw_picture(axis, mark, under=True)
        down, across = (side * self.stride - 0.5 for side in self.grid)
        shares = (weights / (top or 1.0)).numpy()
        return axis.imshow(
            weights.numpy(),
            cmap=COLORS,
            vmin=0.0,
            vmax=top or 1.0,
            alpha=OPAQUE * shares**0.5,
            extent=(-0.5, across, down, -0.5),
            interpolation="nearest",
        )


@dataclass(frozen=True)
class Part:
    """A part of a picture: what it is called, its size in inches, and what draws it."""

    title: str
    width: float
    height: float
    draw: Callable[[FigureBase], None]
