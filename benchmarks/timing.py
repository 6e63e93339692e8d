"""Timing that can be compared: everything in one process, in turns, medians over rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def in_turns(cases: dict[str, Callable[[], object]], *, rounds: int = 7, seconds: float = 0.3) -> dict[str, float]:
    """Median seconds of each case. Every round runs each case once, or more often until ``seconds`` have passed.

    Just before, it runs once without the clock: the first run pays for memory that the case before has given back.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            case()
            start, runs = time.perf_counter(), 0
            while runs == 0 or time.perf_counter() - start < seconds / rounds:
                case()
                runs += 1
            times[name].append((time.perf_counter() - start) / runs)
    return {name: statistics.median(values) for name, values in times.items()}


def matmul_rate(rounds: int = 5) -> float:
    """What this machine multiplies: FLOP/s of a 2048³ float32 product."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / in_turns({"matmul": lambda: a @ b}, rounds=rounds)["matmul"]
