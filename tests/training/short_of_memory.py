"""Trainings that run out of memory in a long sequence, of train and of dev: `short_of_memory.py FOLDER FOLDER`."""

import gc
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import regard

OPTIONS: dict[str, Any] = {"epochs": 1, "batch_tokens": 4_000, "checkpoint_seconds": 0, "baselines": "none"}
Examples = list[tuple[Any, list[str]]]
SPARE = 100 << 20  # bytes, of which a short step needs few and the long one more


def examples() -> Examples:
    """Ten of 1,000 vectors, and one of 150,000, of which no batch holds another."""
    random = np.random.default_rng(0)
    arrays = [random.standard_normal((length, 2)).astype(np.float32) for length in (*[1_000] * 10, 150_000)]
    return [(array, ["up" if x > 0 else "down" for x in array[:, 0]]) for array in arrays]


def fit(output: Path | None, some: Examples, dev: Examples | None = None, **network: Any) -> None:
    torch.set_num_threads(1)
    labeler = regard.Labeler(front_end="vectors", dim=16, depth=1, heads=2, **network)
    labeler.fit(some, dev, output=output, **OPTIONS, quiet=True, resume=output is not None)


def mapped() -> int:
    """Bytes of address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    long = examples()
    short = [(array[:400], labels[:400]) for array, labels in long]
    dev = [(long[-1][0][:15_000], long[-1][1][:15_000])]  # every pair of which is 1.8 GB
    fit(None, short, short, window=4)  # all that is loaded meanwhile
    every_pair: dict[str, Any] = {"window": None, "implementation": "reference"}
    for folder, some, scored, network in ((1, long, None, {"window": 4}), (2, short, dev, every_pair)):
        gc.collect()
        resource.setrlimit(resource.RLIMIT_AS, (mapped() + SPARE, resource.RLIM_INFINITY))
        try:
            fit(Path(sys.argv[folder]), some, scored, **network)
        except regard.RegardError as error:
            print(error)
