"""What an encoder costs over the length of a recording, truncated and full: 1 minute to 4 hours.

    python -m benchmarks speech.length --json FILE

4 layers × 144, 4 heads, relative positions, 100 vectors a second, forward, float32, on one thread, by the processor's
time, as the command line keeps freed memory. Memory is what each length takes in a process of its own.

With a window, of ±128, a recording is read as the program reads it, in pieces, here of 30 seconds of noise, with what
each layer must keep between them. Recordings of all lengths are read in turn, a piece of each, the shorter ones as
often as the longest has room for them: whatever slows the machine slows all alike.
Without one the cost is the square: the second of two passes counts, the first touches the memory; lengths that would
take over `MOST` seconds by the one before are left out.
`python docs/speech.py FILE` draws them.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from benchmarks.memory import peak

DIM, DEPTH, HEADS, REACH, RATE = 144, 4, 4, 128, 100
MINUTES = (1, 2, 4, 8, 15, 30, 60, 120, 240)  # each of which divides the last
MOST = 100.0  # seconds of one forward pass
PIECE = 3000  # vectors


def _encoder(window: int | None) -> Any:
    import torch

    from regard.__main__ import keep_freed_memory
    from regard.nn import build_encoder

    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return build_encoder("attention", dim=DIM, depth=DEPTH, heads=HEADS, window=window).eval()


def _pieces(encoder: Any, minutes: int) -> Iterator[float]:
    """Reads a recording again and again, a piece at a time; gives the seconds of the processor for each."""
    import torch

    from regard import Ragged

    vectors = torch.randn(PIECE, DIM)
    while True:
        streams = encoder.start(1)
        for left in range(minutes * 60 * RATE, 0, -PIECE):
            start = time.process_time()
            with torch.inference_mode():
                encoder.extend(Ragged.from_list([vectors[:left]]), streams, torch.tensor([left <= PIECE]))
            yield time.process_time() - start


def in_turn() -> list[float]:
    """Seconds of the processor for a recording of each length, with a window."""
    encoder = _encoder(REACH)
    readers = {minutes: _pieces(encoder, minutes) for minutes in MINUTES}
    for _ in range(20):
        next(readers[MINUTES[0]])  # whole recordings, which touch the memory: not counted
    totals = dict.fromkeys(MINUTES, 0.0)
    for _ in range(MINUTES[-1] * 60 * RATE // PIECE):
        for minutes, reader in readers.items():
            totals[minutes] += next(reader)
    return [total * minutes / MINUTES[-1] for minutes, total in totals.items()]


def alone(minutes: int, window: int | None) -> tuple[float, float]:
    """Seconds of the processor, and MiB beyond what was held before; run it in a fresh process."""
    import torch

    from regard import Ragged

    encoder = _encoder(window)

    @torch.inference_mode()
    def seconds_of(length: int) -> float:
        vectors = torch.randn(length, DIM)
        start = time.process_time()
        encoder(Ragged.from_list([vectors]))
        return time.process_time() - start

    seconds_of(1000)
    before, pieces = peak(), minutes * 60 * RATE // PIECE
    if window is None:
        seconds_of(pieces * PIECE)
        seconds = seconds_of(pieces * PIECE)
    else:
        seconds = sum(taken for _, taken in zip(range(pieces), _pieces(encoder, minutes), strict=False))
    return seconds, (peak() - before) / 2**20


def _in_a_process(call: str) -> Any:
    command = f"import json; from benchmarks.speech.length import alone, in_turn; print(json.dumps({call}))"
    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def growth(times: dict[int, float]) -> float:
    """The most by which a doubling of the length multiplies the time."""
    steps = pairwise(times.items())
    return max(math.exp(math.log(b / a) / math.log2(long / short)) for (short, a), (long, b) in steps)


def run() -> dict[str, Any]:
    truncated = dict(zip(MINUTES, _in_a_process("in_turn()"), strict=True))
    memory = {("window", minutes): _in_a_process(f"alone({minutes}, {REACH})")[1] for minutes in MINUTES}
    full: dict[int, float] = {}
    for minutes in MINUTES:
        if full and full[longest := max(full)] * (minutes / longest) ** 2 > MOST:
            break
        full[minutes], memory["full", minutes] = _in_a_process(f"alone({minutes}, None)")
    results: dict[str, Any] = {}
    for kind, name, times in (("window", f"window ±{REACH}", truncated), ("full", "full", full)):
        for minutes, seconds in times.items():
            results[f"{name}, {minutes} min, s"] = seconds
            results[f"{name}, {minutes} min, MiB"] = memory[kind, minutes]
        results[f"{name}: largest ratio of times for a doubling of the length"] = growth(times)
    return results
