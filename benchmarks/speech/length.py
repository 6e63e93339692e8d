"""What an encoder costs over the length of a recording, truncated and full: 1 minute to 4 hours.

    python -m benchmarks speech.length --json FILE

4 layers × 144, 4 heads, relative positions, 100 vectors a second, forward, float32; each length in a process of its own
that keeps freed memory as the command line does, on one thread, by the processor's time, which what else the machine
does changes little, after a first pass that touches the memory. With a window, of ±128, a recording is read as the
program reads it, in pieces, here of 30 seconds of noise, with what each layer must keep between them.
Without one the cost is the square: lengths that would take over `MOST` seconds by the one before are left out.
`python docs/speech.py FILE` draws them.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

from benchmarks.memory import peak

DIM, DEPTH, HEADS, REACH, RATE = 144, 4, 4, 128, 100
MINUTES = (1, 2, 4, 8, 15, 30, 60, 120, 240)
MOST = 100.0  # seconds of one forward pass
PIECE = 3000  # vectors
AGAIN = 20.0  # seconds, below which it is timed three times


def measure(minutes: float, window: int | None) -> tuple[float, float]:
    """Seconds of the processor for one forward pass, and MiB beyond what was held before; run it in a fresh process."""
    import torch

    from regard import Ragged
    from regard.__main__ import keep_freed_memory
    from regard.nn import build_encoder

    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = build_encoder("attention", dim=DIM, depth=DEPTH, heads=HEADS, window=window).eval()

    @torch.inference_mode()
    def seconds_of(length: int) -> float:
        vectors = torch.randn(length if window is None else PIECE, DIM)
        start = time.process_time()
        if window is None:
            encoder(Ragged.from_list([vectors]))
        else:
            streams = encoder.start(1)
            for left in range(length, 0, -PIECE):
                piece = Ragged.from_list([vectors[:left]])
                encoder.extend(piece, streams, torch.tensor([left <= PIECE]))
        return time.process_time() - start

    seconds_of(1000)
    before, length = peak(), round(minutes * 60 * RATE)
    first = seconds_of(length)  # in it the system hands out the pages: not counted
    times = [seconds_of(length) for _ in range(3 if first < AGAIN else 1)]
    return statistics.median(times), (peak() - before) / 2**20


def growth(times: dict[int, float]) -> float:
    """The most by which a doubling of the length multiplies the time."""
    return max((b / a) ** (1 / math.log2(long / short)) for (short, a), (long, b) in pairwise(times.items()))


def run() -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, window in ((f"window ±{REACH}", REACH), ("full", None)):
        times: dict[int, float] = {}
        for minutes in MINUTES:
            if times:
                longest = max(times)
                if times[longest] * (minutes / longest) ** (2 if window is None else 1) > MOST:
                    break
            command = f"from benchmarks.speech.length import measure; print(*measure({minutes}, {window}))"
            done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
            times[minutes], memory = map(float, done.stdout.split())
            results[f"{name}, {minutes} min, s"] = times[minutes]
            results[f"{name}, {minutes} min, MiB"] = memory
        results[f"{name}: largest ratio of times for a doubling of the length"] = growth(times)
    return results
