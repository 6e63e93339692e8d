"""One hour labelled: how many times as fast as it is heard, and the most memory that it takes.

    python -m benchmarks speech.hour

4 layers × 144, window ±128 vectors of 20 ms, from the file to its segments, in a process of its own; beyond what
Python alone takes, and beyond that with everything imported and the model opened. What the network has learned does
not matter, so it is trained for a moment only.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.memory import peak
from benchmarks.speech.data import RATE, parted
from regard import Labeler
from regard.demo.voices import make_mixes, write_mixes

NETWORK: dict[str, Any] = {"front_end": "audio", "dim": 144, "depth": 4, "window": 128}
SECONDS = 3600.0
MEASURE = "from benchmarks.speech.hour import measure; print(*measure({run!r}, {path!r}))"
EMPTY = "from benchmarks.memory import peak; print(peak())"


def measure(run: str, path: str) -> tuple[float, int, int]:
    """Seconds, peak bytes before and after; run it in a fresh process."""
    import time

    import regard

    model = regard.load(run)
    before, start = peak(), time.perf_counter()
    model.predict([path])
    return time.perf_counter() - start, before, peak()


def run() -> dict[str, Any]:
    prompts = parted()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_mixes(make_mixes(prompts["dev"][:20], RATE, seconds=60, seed=0), RATE, folder / "train.jsonl")
        (whole, *_) = make_mixes(prompts["train"], RATE, seconds=SECONDS, seed=1)
        hour = type(whole)(whole.samples[: round(SECONDS * RATE)], whole.segments, whole.said)
        write_mixes([hour], RATE, folder / "hour.jsonl")
        Labeler(**NETWORK).fit(folder / "train.jsonl", output=folder / "run", epochs=1, baselines="none")
        wav = folder / "hour" / "mix-001.wav"
        (empty,) = python(EMPTY)
        seconds, opened, most = python(MEASURE.format(run=str(folder / "run"), path=str(wav)))
    return {
        "hour labelled, s": seconds,
        "hour labelled, times as fast as heard": SECONDS / seconds,
        "peak beyond an empty Python, MiB": (most - empty) / 2**20,
        "peak beyond the model opened, MiB": (most - opened) / 2**20,
    }


def python(command: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]
