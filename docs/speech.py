"""Draws what recordings cost over their length, and how far attention must see in them, from benchmarks' results.

    python -m benchmarks speech.length speech.windows --json docs/speech.json
    python docs/speech.py docs/speech.json [FOLDER]

The same file draws the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import matplotlib
from drawing import BLUE, GREY, ORANGE, STYLE
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

FOLDER = Path(__file__).with_name("figures")
LENGTH = re.compile(r"(.+), (\d+) min, s")
WINDOW = re.compile(r"window (\w+), frame error, %")
TIMES = {1: "1 min", 4: "4 min", 15: "15 min", 60: "1 h", 240: "4 h"}


def cost(results: dict[str, float]) -> Figure:
    """Seconds over minutes, truncated and full; what was not measured of the full one is the square of what was."""
    curves: dict[str, dict[int, float]] = {}
    for key, seconds in results.items():
        if match := LENGTH.fullmatch(key):
            curves.setdefault(match[1], {})[int(match[2])] = seconds
    figure = Figure(figsize=(6.6, 3.4), layout="constrained")
    axis = figure.subplots()
    for (name, times), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        minutes, longest = list(times), max(times)
        axis.plot(minutes, list(times.values()), ".-", color=colour, label=name)
        if name == "full":
            beyond = [longest, *(m for m in curves[next(iter(curves))] if m > longest)]
            squares = [times[longest] * (m / longest) ** 2 for m in beyond]
            axis.plot(beyond, squares, ":", color=colour, label="full, as its square goes on")
    axis.set(xlabel="recording, 100 vectors a second", ylabel="processor, s", xscale="log", yscale="log")
    axis.set_xticks(list(TIMES), list(TIMES.values()))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    dressed(axis)
    return figure


def windows(results: dict[str, float]) -> Figure:
    """Frame error over the window."""
    errors = {match[1]: error for key, error in results.items() if (match := WINDOW.fullmatch(key))}
    figure = Figure(figsize=(5.2, 3), layout="constrained")
    axis = figure.subplots()
    axis.plot(range(len(errors)), list(errors.values()), "o-", color=BLUE)
    for place, error in enumerate(errors.values()):
        axis.annotate(f"{error:.1f}", (place, error), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axis.set_xticks(range(len(errors)), [name if name == "none" else f"±{name}" for name in errors])
    axis.set(xlabel="window of each of 3 layers, vectors of 20 ms", ylabel="frame error, %")
    axis.set_ylim(0, 1.2 * max(errors.values()))
    dressed(axis, legend=False)
    return figure


def dressed(axis: Axes, *, legend: bool = True) -> None:
    axis.grid(color=GREY, linewidth=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    if legend:
        axis.legend(frameon=False)


def main(path: str, folder: str | Path = FOLDER) -> None:
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    Path(folder).mkdir(exist_ok=True)
    for name, draw, part in (("length", cost, "speech.length"), ("windows", windows, "speech.windows")):
        if part not in results:
            continue
        with matplotlib.rc_context(STYLE):
            draw(results[part]).savefig(Path(folder) / f"speech-{name}.svg", dpi=150, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
