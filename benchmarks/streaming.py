"""Sound as it comes: what one stream costs, how many go at once, how long a chunk takes; and an hour in pieces.

    python -m benchmarks streaming

A network of 4 layers of 144 that has learned nothing, which changes no speed: log-mel frames at 8 kHz, of which two
make a vector. Noise, in chunks of 80 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from regard import Labeler, Recording
from regard.front_ends import learn_front_end

RATE, CHUNK = 8000, 0.08  # Hz, seconds
SIZES = {"front_end": "audio", "dim": 144, "depth": 4, "heads": 4, "dropout": 0.0}
COUNTS = (1, 5, 20, 50, 100)
HOUR = 3600  # seconds


def noise(seconds: float, seed: int = 1) -> NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, 3000, round(seconds * RATE)).astype(np.int16)


def untrained(**options: Any) -> Labeler:
    """A labeler of sound with its first weights."""
    torch.manual_seed(1)
    model = Labeler(**(SIZES | options))
    model.labels = ["noise", "speech"]
    known = [Recording.from_samples(noise(1), RATE)]
    model.network = model.build({"front_end": learn_front_end("audio", known, model.config)})
    return model


def chunk_seconds(model: Labeler, count: int, *, seconds: float = 20.0, rate: int = RATE) -> list[float]:
    """What each chunk of so many streams takes to go through."""
    streams, size, took = model.streams(count, rate=rate), round(CHUNK * rate), []
    sound = noise(seconds * rate / RATE)
    for start in range(0, len(sound), size):
        began = time.perf_counter()
        streams.push([sound[start : start + size]] * count)
        took.append(time.perf_counter() - began)
    return took[len(took) // 10 :]  # the first are not yet those of a stream that has run for a while


def peak() -> float:
    """The most memory that this process has held, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def label_an_hour(path: str) -> dict[str, float]:
    """In a process of its own."""
    empty, model = peak(), untrained(window=128)
    began = time.perf_counter()
    (labels,) = model.predict([Path(path)])
    return {"seconds": time.perf_counter() - began, "memory": peak() - empty, "vectors": len(labels)}


def run() -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, options in {
        "window (64, 16)": {"window": (64, 16)},
        "window (64, 16), running mean": {"window": (64, 16), "normalize": "running"},
        "windows (64, 16), (64, 0), (64, 0), (64, 0)": {"windows": ((64, 16), *[(64, 0)] * 3)},
    }.items():
        took = chunk_seconds(untrained(**options), 1)
        results[f"{name}: one stream, real-time factor"] = float(np.mean(took)) / CHUNK
        results[f"{name}: one stream, ms of a chunk, median"] = 1000 * float(np.median(took))
        results[f"{name}: one stream, ms of a chunk, 99th percentile"] = 1000 * float(np.percentile(took, 99))
    for count in COUNTS:
        took = chunk_seconds(untrained(window=(64, 16)), count)
        name = f"{count} streams at once"
        results[f"{name}: real-time factor of all together"] = float(np.mean(took)) / CHUNK
        results[f"{name}: ms of a chunk of each, 99th percentile"] = 1000 * float(np.percentile(took, 99))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/hour.wav"
        soundfile.write(path, noise(HOUR), RATE)
        code = f"import json, torch, benchmarks.streaming as s; print(json.dumps(s.label_an_hour({path!r})))"
        hour = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    results["an hour, window 128: times real time"] = HOUR / hour["seconds"]
    results["an hour, window 128: MiB over a process that has imported torch"] = hour["memory"]
    return results
