"""A training as a picture: the loss of the steps, and the scores of the evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.files import atomic_write
from regard.training.progress import read_journal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_curves(journal: Path, picture: Path, select: str) -> None:
    """Draws a ``metrics.jsonl`` as PNG: loss on the left axis, the metric ``select`` on the right."""
    figure = curves_figure(read_journal(journal), select)
    with atomic_write(picture, binary=True) as file:
        figure.savefig(file, format="png", dpi=120)


def curves_figure(lines: Sequence[dict[str, Any]], select: str) -> Figure:
    """The figure of a journal's lines."""
    from matplotlib.figure import Figure

    steps = [line for line in lines if line["kind"] == "step"]
    scored = [line for line in lines if line["kind"] == "evaluation" and line.get(select) is not None]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.add_subplot()
    axis.plot([line["step"] for line in steps], [line["loss"] for line in steps], color="C0", linewidth=1)
    axis.set_xlabel("step")
    axis.set_ylabel("loss in training", color="C0")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    if scored:
        right = axis.twinx()
        right.margins(y=0.12)  # room for the number over the best point
        numbers, scores = [line["step"] for line in scored], [100 * line[select] for line in scored]
        right.plot(numbers, scores, color="C1", marker="o", markersize=3)
        place = max(range(len(scores)), key=scores.__getitem__)
        best = (numbers[place], scores[place])
        right.annotate(f"{best[1]:.2f} %", best, (0, 5), textcoords="offset points", ha="right")
        right.set_ylabel(f"{select} on dev, %", color="C1")
    return figure
