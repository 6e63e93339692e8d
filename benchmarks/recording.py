"""What `regard.record` costs beside a forward pass of 20,000 vectors with a window of ±128: time, and memory kept.

Freed memory is kept, as the command line keeps it: the bands of one recording, 330 MB, else cost more for their new
pages than for their numbers.

python -m benchmarks recording
"""

from __future__ import annotations

from typing import Any

import torch

import regard
from benchmarks.timing import in_turns
from regard.__main__ import keep_freed_memory
from regard.nn import build_encoder

LENGTH, WINDOW, DEPTH, HEADS = 20_000, 128, 4, 4


def run() -> dict[str, Any]:
    keep_freed_memory()
    results: dict[str, Any] = {}
    for dim in (128, 256):
        network = build_encoder("attention", dim=dim, depth=DEPTH, heads=HEADS, window=WINDOW).eval()
        batch = regard.Ragged.from_list([torch.randn(LENGTH, dim)])

        def plain(network: Any = network, batch: Any = batch) -> None:
            with torch.inference_mode():
                network(batch)

        def recorded(network: Any = network, batch: Any = batch) -> Any:
            with torch.inference_mode(), regard.record(network) as recording:
                network(batch)
            return recording

        seconds = in_turns({"forward": plain, "recorded": recorded}, rounds=5)
        kept = sum(layer.weights.values.nbytes for layer in recorded())
        results |= {f"{name}, dim {dim}, s": value for name, value in seconds.items()}
        results[f"recorded over forward, dim {dim}"] = seconds["recorded"] / seconds["forward"]
        results[f"kept over O(N·window), dim {dim}"] = kept / (DEPTH * HEADS * LENGTH * (2 * WINDOW + 1) * 4)
    return results
