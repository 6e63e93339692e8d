"""Which labels are taken for which: a table as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regard.files import atomic_write

MOST_NUMBERS = 15  # labels, beyond which numbers in the cells are too small to read


def draw_confusion(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str], path: Path) -> None:
    """Writes a PNG: a row for each true label, a column for each predicted one, each cell the share of its row."""
    from matplotlib.figure import Figure

    names = sorted({*gold, *labels})
    rows = {name: row for row, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, ([rows[name] for name in gold], [rows[name] for name in predicted]), 1)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    side = min(14.0, 2 + 0.45 * len(names))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
    axis.set_yticks(range(len(names)), names, parse_math=False)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    for row, column in np.argwhere(counts) if len(names) <= MOST_NUMBERS else ():
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=8)
    figure.colorbar(picture, ax=axis, shrink=0.7, label="share of the true label")
    with atomic_write(path, binary=True) as file:
        figure.savefig(file, format="png", dpi=120)
