"""A training that runs out of memory in a long sequence: `short_of_memory.py FOLDER`."""

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import regard

OPTIONS: dict[str, Any] = {"epochs": 1, "batch_tokens": 4_000, "checkpoint_seconds": 0, "baselines": "none"}
SPARE = 100 << 20  # bytes, of which a short step needs few and the long one more


def examples() -> list[tuple[Any, list[str]]]:
    """Ten of 1,000 vectors, and one of 150,000, of which no batch holds another."""
    random = np.random.default_rng(0)
    arrays = [random.standard_normal((length, 2)).astype(np.float32) for length in (*[1_000] * 10, 150_000)]
    return [(array, ["up" if x > 0 else "down" for x in array[:, 0]]) for array in arrays]


def fit(output: Path | None, some: list[tuple[Any, list[str]]], **options: Any) -> None:
    torch.set_num_threads(1)
    labeler = regard.Labeler(front_end="vectors", dim=16, depth=1, heads=2, window=4)
    labeler.fit(some, output=output, **OPTIONS, quiet=True, **options)


def mapped() -> int:
    """Bytes of address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    long = examples()
    fit(None, long[:1])  # all that is loaded meanwhile
    resource.setrlimit(resource.RLIMIT_AS, (mapped() + SPARE, resource.RLIM_INFINITY))
    try:
        fit(Path(sys.argv[1]), long)
    except regard.RegardError as error:
        print(error)
