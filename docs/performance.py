"""Draws how fast attention is, from what `python -m benchmarks performance --json RESULTS.json` wrote.

    python docs/performance.py RESULTS.json [FOLDER]

The same file draws the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib
from drawing import COLOURS, GREY, STYLE
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

FOLDER = Path(__file__).with_name("figures")
KEY = re.compile(r"(\w+), ([\w +]+), D = (\d+), B·H = (\d+), N = ([\d,]+): (.+)")
LABELLED = (32, 128, 512, 2_048, 8_192, 65_536)  # 16,384 has no room
REACH = 128


class Time(NamedTuple):
    kind: str
    passes: str
    dim: int
    heads: int  # B·H
    length: int
    name: str
    milliseconds: float


def read(path: str) -> list[Time]:
    times = []
    for key, milliseconds in json.loads(Path(path).read_text(encoding="utf-8"))["performance"].items():
        match = KEY.fullmatch(key)
        if match is None:
            raise SystemExit(f"{path}: cannot read {key!r}")
        kind, passes, dim, heads, length, name = match.groups()
        times.append(Time(kind, passes, int(dim), int(heads), int(length.replace(",", "")), name, milliseconds))
    return times


def dressed(axis: Axes) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks(LABELLED, [f"{length:,}" for length in LABELLED], fontsize=7)
    axis.minorticks_off()
    axis.tick_params(axis="y", labelsize=7)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.grid(color=GREY, linewidth=0.5)
    axis.spines[["top", "right"]].set_visible(False)


def contest(times: list[Time], kind: str) -> Figure:
    """Milliseconds over N at D = 64: a column for each B·H, a row for each pass, a line for each contestant."""
    times = [time for time in times if time.kind == kind and time.dim == 64]
    counts, names = sorted({time.heads for time in times}), list(dict.fromkeys(time.name for time in times))
    figure = Figure(figsize=(8.6, 5.2), layout="constrained")
    grid = figure.subplots(2, len(counts), sharex=True, sharey=True, squeeze=False)
    for row, passes in zip(grid, ("forward", "forward + backward"), strict=True):
        row[0].set_ylabel(f"{passes}, ms")
        for axis, count in zip(row, counts, strict=True):
            axis.set_yscale("log")
            dressed(axis)
            for name, colour in zip(names, COLOURS, strict=False):
                drawn = [time for time in times if (time.passes, time.heads, time.name) == (passes, count, name)]
                lengths, values = [time.length for time in drawn], [time.milliseconds for time in drawn]
                width, order = (2.4, 3) if name == "native" else (1, 2)
                axis.plot(lengths, values, ".-", color=colour, linewidth=width, zorder=order, label=name)
    for top, bottom, count in zip(*grid, counts, strict=True):
        top.set_title(f"B·H = {count}")
        bottom.set_xlabel("N")
    legend(figure, grid[0, 0])
    return figure


def heads(times: list[Time]) -> Figure:
    """Useful operations each second of the native kernels, window, forward: a panel for each B·H, a line for each D."""
    times = [time for time in times if (time.kind, time.passes, time.name) == ("window", "forward", "native")]
    counts, dims = sorted({time.heads for time in times}), sorted({time.dim for time in times})
    figure = Figure(figsize=(8.6, 2.9), layout="constrained")
    row = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axis, count in zip(row, counts, strict=True):
        dressed(axis)
        for dim, colour in zip(dims, COLOURS, strict=False):
            drawn = [time for time in times if (time.heads, time.dim) == (count, dim)]
            rates = [operations(time) / time.milliseconds / 1e6 for time in drawn]
            axis.plot([time.length for time in drawn], rates, ".-", color=colour, label=f"D = {dim}")
        axis.set(title=f"B·H = {count}", xlabel="N")
    row[0].set(ylabel="GFLOP/s")
    row[0].set_ylim(bottom=0)
    legend(figure, row[0])
    return figure


def legend(figure: Figure, axis: Axes) -> None:
    lines, names = axis.get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), frameon=False)


def operations(time: Time) -> int:
    """Of the pairs inside the window only: N·(2·reach + 1) less what hangs over at both ends."""
    reach = min(REACH, time.length - 1)
    pairs = time.length * (2 * reach + 1) - reach * (reach + 1)
    return 4 * time.heads * time.dim * pairs


def main(path: str, folder: str | Path = FOLDER) -> None:
    times = read(path)
    Path(folder).mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figures = {"window": contest(times, "window"), "full": contest(times, "full"), "heads": heads(times)}
        for name, figure in figures.items():
            figure.savefig(Path(folder) / f"performance-{name}.svg", dpi=150, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
