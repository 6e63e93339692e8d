"""How far probabilities are to be believed: a table of bins, and a picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from regard.files import atomic_write
from regard.training.metrics import bins_of


def draw_calibration(gold: Sequence[str], chances: Tensor, labels: Sequence[str], path: Path) -> None:
    """Writes a PNG: of the predictions of about one probability, the share that is right, and how many there are.

    Where bars end on the diagonal, probabilities mean what they say; above it they are too small, below it too large.

    Arguments:
        chances: ``[N, L]``, rows sum to 1; ``labels``: of the columns.
    """
    from matplotlib.figure import Figure

    counts, sure, right = bins_of(gold, chances, labels)
    edges = np.linspace(0, 1, len(counts) + 1)
    figure = Figure(figsize=(5, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    filled = counts > 0
    above.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1)
    above.bar(edges[:-1][filled], right[filled], width=edges[1], align="edge", color="tab:blue", alpha=0.7)
    above.plot(sure[filled], right[filled], "o", color="black", markersize=4)
    above.set_xlim(0, 1)
    above.set_ylim(0, 1)
    above.set_ylabel("share that is right")
    below.bar(edges[:-1], counts, width=edges[1], align="edge", color="0.6")
    below.set_ylabel("examples")
    below.set_xlabel("probability of the predicted label")
    with atomic_write(path, binary=True) as file:
        figure.savefig(file, format="png", dpi=120)
