"""How far attention must see to label frames: windows of 2, 8, 32, 128 vectors to each side, and none.

    python -m benchmarks speech.windows --json FILE

The network, training and data of `speech.frames`, whose vectors are 20 ms; each of the 3 layers has the window, so that
a vector hears three times as far. `python docs/speech.py FILE` draws it.
"""

from __future__ import annotations

from typing import Any

from benchmarks.speech.data import mixed
from benchmarks.speech.frames import scored, train
from regard.demo.speech import LENGTH

WINDOWS = (2, 8, 32, 128, None)


def run() -> dict[str, Any]:
    parts = mixed(seconds=LENGTH)
    results: dict[str, Any] = {}
    for window in WINDOWS:
        results |= scored(train(parts, window=window), parts, f"window {'none' if window is None else window}")
    return results
