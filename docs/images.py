"""Draws accuracy over the number of training images, CNN beside attention, and prints it as a table.

    python -m benchmarks cnn_vs_attention --json docs/images.json
    python docs/images.py docs/images.json [FOLDER]

The same file draws the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import matplotlib
from drawing import COLOURS, GREY, STYLE
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

FOLDER = Path(__file__).with_name("figures")
ACCURACY = re.compile(r"(.+), (\d+) images: (\w+)")
Curves = dict[str, dict[str, dict[int, float]]]  # of each data set and network, accuracy over images


def curves(results: dict[str, float]) -> Curves:
    found: Curves = {}
    for key, value in results.items():
        if match := ACCURACY.fullmatch(key):
            found.setdefault(match[1], {}).setdefault(match[3], {})[int(match[2])] = value
    return found


def accuracy(results: dict[str, float]) -> Figure:
    """One panel for each data set, one curve for each network."""
    data = curves(results)
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    for axis, (name, networks) in zip(figure.subplots(1, len(data), squeeze=False)[0], data.items(), strict=True):
        for (network, scores), colour in zip(networks.items(), COLOURS, strict=True):
            axis.plot(list(scores), list(scores.values()), ".-", color=colour, label=network)
        axis.set(title=name, xlabel="training images", xscale="log")
        sizes = list(next(iter(networks.values())))
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(color=GREY, linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("accuracy, %")
    figure.axes[-1].legend(frameon=False)
    return figure


def table(results: dict[str, float]) -> str:
    """A row for each number of images, a column for each network; the best in bold."""
    data = curves(results)
    networks = list(next(iter(data.values())))
    lines = [f"| images | {' | '.join(networks)} |", f"|---|{'---:|' * len(networks)}"]
    for name, scores in data.items():
        for size in next(iter(scores.values())):
            row = [scores[network][size] for network in networks]
            cells = [f"**{value:.1f}**" if value == max(row) else f"{value:.1f}" for value in row]
            lines.append(f"| {name}, {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(path: str, folder: str | Path = FOLDER) -> None:
    results = json.loads(Path(path).read_text(encoding="utf-8"))["cnn_vs_attention"]
    Path(folder).mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure = accuracy(results)
        figure.savefig(Path(folder) / "images-accuracy.svg", dpi=150, metadata={"Date": None})
    print(table(results))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
