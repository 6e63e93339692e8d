"""The tables of docs/performance-gpu.md: of tiles, from `regard.attention.triton.tuning`, and of times, from a GPU.

    python docs/performance_gpu.py [gpu.json]

`make gpu-check` writes gpu.json; without it the times stay what they are.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from regard.attention.triton import tuning
from regard.attention.triton.tuning import Tiles
from regard.ragged import counted

PAGE = Path(__file__).with_name("performance-gpu.md")
MARKS = "<!-- {0}: written by docs/performance_gpu.py -->\n", "<!-- end of {0} -->\n"
KERNELS = {
    "FORWARD": "forward",
    "FORWARD_LONG": "forward, rows that see 2,048 keys or more",
    "BY_QUERY": "backward, queries",
    "BY_KEY": "backward, keys and values",
    "RAGGED": "both of backward, ragged",
    "FLOAT32": "all of float32",
    "FLOAT32_BIASED": "backward of float32 with a bias or a table",
    "ADDITIVE": "all of additive scores",
    "PAIRS": "weights, and the gradient of a bias",
}
PASSES = ("forward", "forward + backward")
KEY = re.compile(r"(.+), (forward|forward \+ backward): (.+?)(?:, ms)?")


def tiles() -> str:
    """Rows × columns, warps, stages and the most registers, of each kernel and head size."""
    sizes = (64, 128, 256)
    lines = [f"| kernel | {' | '.join(f'up to {size}' for size in sizes)} |", "|---|" + "---|" * len(sizes)]
    for name, kernel in KERNELS.items():
        table: dict[int, Tiles] = getattr(tuning, name)
        lines.append(f"| {kernel} | {' | '.join(_shown(table[size]) for size in sizes)} |")
    return "\n".join([*lines, ""])


def _shown(tiles: Tiles) -> str:
    most = "" if tiles.registers is None else f", {tiles.registers} registers"
    return f"{tiles.rows} × {tiles.columns}, {tiles.warps} warps, {counted(tiles.stages, 'stage')}{most}"


def times(results: Mapping[str, float | str]) -> str:
    """Of each case milliseconds, and how many times as fast as the best of the others; then whatever else was told."""
    device = results["device"]
    if str(device).startswith("none"):
        raise SystemExit(
            "the numbers of a GPU are wanted, got a rehearsal on a CPU; run make gpu-check where there is one"
        )
    cases: dict[str, dict[str, float]] = {}
    others = []
    for key, value in results.items():
        match = KEY.fullmatch(key)
        if match is not None:
            case, kind, name = match.groups()
            cases.setdefault(case, {})[f"{kind}: {name}"] = float(value)
        elif key != "device":
            others.append(f"| {key} | {float(value):.3g} |")
    heads = [
        f"{kind}: {what}" for kind in PASSES for what in ("ours", "ours in a CUDA graph", "best of the others / ours")
    ]
    lines = [f"{device}, milliseconds:", "", f"| case | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for case, found in cases.items():
        lines.append(f"| {case} | {' | '.join(f'{found[head]:.3g}' if head in found else '' for head in heads)} |")
    return "\n".join([*lines, "", "| | |", "|---|---:|", *others, ""])


def with_table(page: str, name: str, table: str) -> str:
    """The page with one of its tables written anew."""
    begin, end = (mark.format(name) for mark in MARKS)
    before, rest = page.split(begin)
    return before + begin + "\n" + table + "\n" + end + rest.split(end)[1]


def main() -> None:
    page = with_table(PAGE.read_text(encoding="utf-8"), "tiles", tiles())
    if sys.argv[1:]:
        results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        page = with_table(page, "times", times(results["gpu"] | results["gpu_training"]))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
