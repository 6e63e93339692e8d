"""One sequence over two processes: what they send each other, and how long each takes beside one that is alone."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

import regard
from regard import parallel

ROUNDS = 9
LENGTHS = (4096, 16384, 65536, 262144)  # of the whole sequence
WINDOWS = (16, 128, 1024)  # to each side
ROWS, WINDOW, HEADS, HEAD_DIM = 65536, 128, 4, 64  # of each process, where time is taken


def run() -> dict[str, float | int]:
    """Starts the processes, each with one thread."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        file = Path(folder, "found.json")
        subprocess.run([*command, "-m", "benchmarks.parallel", str(file)], check=True, stderr=subprocess.DEVNULL)
        found: dict[str, float | int] = json.loads(file.read_text())
    return found


def main(file: Path) -> None:
    """What one process does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    found = traffic() | times()
    if dist.get_rank() == 0:
        file.write_text(json.dumps(found))
    dist.destroy_process_group()


def leaves(rows: int, heads: int, head_dim: int) -> list[Tensor]:
    return [torch.randn(1, heads, rows, head_dim).requires_grad_() for _ in range(3)]


def step(attend: Callable[..., Tensor], inputs: list[Tensor], window: int | None) -> None:
    attend(*inputs, window=window).sum().backward()


def traffic() -> dict[str, float | int]:
    """Bytes that a process sends in a layer, forward and backward, of one head with 16 float32 numbers for each key."""
    found: dict[str, float | int] = {}
    for window in (*WINDOWS, None):
        for length in LENGTHS[: 2 if window is None else None]:
            inputs = leaves(length // 2, 1, 16)
            with parallel.traffic() as sent:
                step(parallel.attend, inputs, window)
            name = "no window" if window is None else f"window ±{window}"
            found[f"bytes sent by a process, {length:,} rows, {name}"] = sent.bytes
    return found


def times() -> dict[str, float | int]:
    """Seconds of forward and backward in the first process, in turns, medians."""
    inputs = leaves(ROWS, HEADS, HEAD_DIM)
    cases: dict[str, tuple[Callable[..., Tensor], bool]] = {
        "one process alone": (regard.attend, False),
        "two processes, a sequence each": (regard.attend, True),
        "two processes, one sequence": (parallel.attend, True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (attend, both) in cases.items():
            dist.barrier()
            if both or dist.get_rank() == 0:
                start = time.perf_counter()
                step(attend, inputs, WINDOW)
                if both:
                    dist.barrier()  # the slower of both counts
                seconds[name].append(time.perf_counter() - start)
            dist.barrier()
    if dist.get_rank() > 0:
        return {}
    found = {f"seconds, {name}": statistics.median(values) for name, values in seconds.items()}
    one, apart, together = seconds.values()
    for name, other in (("one process alone", one), ("two with a sequence each", apart)):
        ratios = [a / b for a, b in zip(together, other, strict=True)]
        found[f"one sequence over two / {name}"] = statistics.median(ratios)
    return {f"{ROWS:,} rows each, ±{WINDOW}: {name}": value for name, value in found.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
