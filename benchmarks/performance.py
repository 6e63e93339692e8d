"""Speed of attention on the CPU over lengths, heads and sizes of a head, beside whatever else computes the same.

    python -m benchmarks performance --json FILE

Milliseconds; batch 1 with B·H heads, float32, the window is ±128. `python docs/performance.py FILE` draws them.
Cells that would take too long or too much memory are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.attention import fastest, unfoldings
from benchmarks.native import both, forward
from benchmarks.timing import in_turns
from regard import attend

REACH = 128
UNFOLDED = "unfolded SDPA"  # the fastest way of it
MOST_GFLOP, MOST_GFLOP_SLOW, MOST_BYTES = 40, 6, 2 << 30


class Cell(NamedTuple):
    kind: str  # "window" or "full"
    passes: str  # "forward" or "forward + backward"
    dim: int
    heads: int  # B·H
    length: int

    @property
    def title(self) -> str:
        return f"{self.kind}, {self.passes}, D = {self.dim}, B·H = {self.heads}, N = {self.length:,}"

    @property
    def gflop(self) -> float:
        keys = min(self.length, 2 * REACH + 1) if self.kind == "window" else self.length
        operations = 4 * self.heads * self.length * keys * self.dim
        return operations * (1.0 if self.passes == "forward" else 3.5) / 1e9

    @property
    def bytes(self) -> int:
        return 4 * self.heads * self.length * self.dim * 8  # query, key, value, output and their gradients


CELLS = [
    cell
    for choice in itertools.product(
        ("window", "full"),
        ("forward", "forward + backward"),
        (16, 32, 64, 128),
        (1, 8, 64),
        (32, 128, 512, 2_048, 8_192, 16_384, 65_536),
    )
    if (cell := Cell(*choice)).gflop <= MOST_GFLOP and cell.bytes <= MOST_BYTES
]


def contestants(cell: Cell, query: Tensor, key: Tensor, value: Tensor) -> dict[str, Callable[[], Tensor]]:
    window = REACH if cell.kind == "window" else None
    calls: dict[str, Callable[[], Tensor]] = {
        name: lambda name=name: attend(query, key, value, window=window, implementation=name)
        for name in ("native", "blocked")
    }
    if cell.kind == "full":
        calls["SDPA"] = lambda: F.scaled_dot_product_attention(query, key, value)
    elif cell.dim == 64 and cell.length % REACH == 0 and cell.gflop <= MOST_GFLOP_SLOW:
        from local_attention import LocalAttention

        # Without rotary positions it computes the same as the others.
        local = LocalAttention(REACH, look_forward=1, exact_windowsize=True, use_rotary_pos_emb=False)
        if cell.length > 2 * REACH:
            calls |= unfoldings(query, key, value, REACH)
        calls["local-attention"] = lambda: local(query[0], key[0], value[0])
    return calls


def timed(cell: Cell) -> dict[str, float]:
    given = [torch.randn(1, cell.heads, cell.length, cell.dim, requires_grad=True) for _ in range(3)]
    calls = contestants(cell, *given)
    if cell.passes == "forward":
        cases = {name: forward(call) for name, call in calls.items()}
    else:
        cases = {name: both(call, *given) for name, call in calls.items()}
    seconds = in_turns(cases, rounds=3, seconds=0.1)
    unfolded = [name for name in seconds if name.startswith(UNFOLDED)]
    if unfolded:
        least = fastest(seconds, UNFOLDED)
        seconds = {name: value for name, value in seconds.items() if name not in unfolded} | {UNFOLDED: least}
    return {f"{cell.title}: {name}": 1000 * value for name, value in seconds.items()}


def run() -> dict[str, float]:
    torch.manual_seed(0)
    results: dict[str, float] = {}
    for cell in CELLS:
        results |= timed(cell)
    return results
