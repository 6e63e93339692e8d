"""What the figures are drawn with: colours, matrices as cells, boxes and arrows."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

BLUE, PALE, ORANGE, GREEN, GREY, DARK = "#2f6db3", "#cfe0f3", "#d9822b", "#3c8d5a", "#d8d8d8", "#333333"
COLOURS = (BLUE, ORANGE, GREEN, "#8a5fb0", "#b04a4a")
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": "#666666",
    "savefig.facecolor": "white",
    "svg.hashsalt": "regard",  # names inside the file that do not change from run to run
    "svg.fonttype": "path",
}


def cells(axis: Axes, values: Tensor, colours: list[str], *, grid: bool = True) -> None:
    """A matrix of small whole numbers as coloured cells."""
    heat(axis, values, cmap=ListedColormap(colours), most=len(colours) - 0.5, least=-0.5, grid=grid)


def heat(
    axis: Axes, values: Tensor, *, cmap: Colormap | str, least: float, most: float, grid: bool = True
) -> AxesImage:
    """A matrix whose cell in row i, column j covers i … i+1 and j … j+1, row 0 on top."""
    rows, columns = values.shape
    extent = (0, columns, rows, 0)
    picture = axis.imshow(
        values.float().numpy(), cmap=cmap, vmin=least, vmax=most, extent=extent, interpolation="nearest"
    )
    if grid:
        axis.hlines(range(1, rows), 0, columns, color="white", linewidth=1)
        axis.vlines(range(1, columns), 0, rows, color="white", linewidth=1)
    axis.tick_params(length=0)
    return picture


def middles(axis: Axes, rows: list[object], columns: list[object]) -> None:
    """One label in the middle of each row and column; an empty list for none."""
    axis.set_yticks(np.arange(len(rows)) + 0.5, [str(row) for row in rows], fontsize=7)
    axis.set_xticks(np.arange(len(columns)) + 0.5, [str(column) for column in columns], fontsize=7)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """One unit is half an inch."""
    figure = Figure(figsize=(width / 2, height / 2))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(0, height))
    axis.axis("off")
    return figure, axis


def box(axis: Axes, x: float, y: float, width: float, height: float, text: str, colour: str = "white") -> None:
    shape = FancyBboxPatch(
        (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.12", facecolor=colour, edgecolor="#666666"
    )
    axis.add_patch(shape)
    axis.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)


def arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#666666", "shrinkA": 0, "shrinkB": 0})
