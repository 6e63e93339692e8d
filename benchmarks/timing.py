"""Timing that can be compared: everything in one process, in turns, medians over rounds."""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

LIMIT_STEPS = 1_000_000  # some five milliseconds
TARGETS = {"baseline": [], "avx2": ["-mavx2", "-mfma"]}  # of `REGARD_ISA`; the others are all that a processor has


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


@cache
def _limit() -> ctypes._NamedFuncPointer:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "limit.so")
        source = Path(__file__).with_name("limit.cpp")
        flags = [
            "-O3",
            *TARGETS.get(os.environ.get("REGARD_ISA", ""), ["-march=native"]),
            "-shared",
            "-fPIC",
            "-pthread",
        ]
        subprocess.run([os.environ.get("CXX", "c++"), *flags, "-o", str(library), str(source)], check=True)
        limit = ctypes.CDLL(str(library)).limit
    limit.restype, limit.argtypes = ctypes.c_double, (ctypes.c_int, ctypes.c_long)
    return limit


def multiply_limit() -> float:
    """What this processor multiplies at most on all of PyTorch's threads, FLOP/s: multiply-adds in registers alone.

    With the instructions that `REGARD_ISA` allows, if it is set."""
    time.sleep(0.03)  # the threads of the call before wait for more by turning round
    limit, threads = _limit(), torch.get_num_threads()
    return max(float(limit(threads, LIMIT_STEPS)) for _ in range(3))


def share_of_limit(call: Callable[[], object], operations: float, *, rounds: int = 21, seconds: float = 0.05) -> float:
    """How much of the limit a call of so many operations reaches: the median of rounds, each between two looks at it.

    What a processor does at most changes by the minute, with the others on its machine. A call follows others of its
    kind: the first wakes the threads and fills the caches.
    """
    shares = []
    for _ in range(rounds):
        before = multiply_limit()
        call()
        start, runs = time.perf_counter(), 0
        while runs == 0 or time.perf_counter() - start < seconds:
            call()
            runs += 1
        took = (time.perf_counter() - start) / runs
        shares.append(operations / took / ((before + multiply_limit()) / 2))
    return statistics.median(shares)
