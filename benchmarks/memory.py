"""Peak memory of one attention call at growing length, each measured in a process of its own.

    python -m benchmarks memory

Window ±64, 8 heads × 64, float32: the peak resident size beyond what stood before the call, forward and forward +
backward, beside the size of query, key, value and output.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

HEADS, DIM, REACH = 8, 64, 64
LENGTHS = (8_192, 16_384, 32_768, 65_536)


def peak() -> int:
    """Bytes: the most that this process ever held. (What getrusage says, a child inherits from its parent.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def measure(length: int, *, backward: bool, score: str) -> float:
    """MiB beyond what the process held before the call; run it in a fresh process."""
    import torch

    from regard import Additive, attend

    shape = (1, HEADS, length, DIM)
    query, key, value = (torch.randn(shape, requires_grad=backward) for _ in range(3))
    warm = [x[:, :, :256].detach() for x in (query, key, value)]
    chosen = Additive(torch.randn(HEADS, DIM)) if score == "additive" else "dot"
    attend(*warm, window=REACH, score=chosen)
    before = peak()
    output = attend(query, key, value, window=REACH, score=chosen)
    if backward:
        output.sum().backward()
    return (peak() - before) / 2**20


def run() -> dict[str, Any]:
    results: dict[str, Any] = {}
    for length in LENGTHS:
        results[f"N = {length:,}: query, key, value, output, MiB"] = 4 * HEADS * length * DIM * 4 / 2**20
        for score, backward in (("dot", False), ("dot", True), ("additive", False)):
            command = (
                f"from benchmarks.memory import measure; print(measure({length}, backward={backward}, score='{score}'))"
            )
            done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
            name = f"{score}, forward{' + backward' * backward}"
            results[f"N = {length:,}: {name}, MiB more"] = float(done.stdout)
    return results
