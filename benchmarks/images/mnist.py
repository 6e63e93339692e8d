"""MNIST-5k, 4,000 images of a seeded shuffle to learn from and 1,000 to score, three seeds.

    python -m benchmarks images.mnist

Nothing is chosen on what is scored: the last epoch counts.
"""

from __future__ import annotations

from typing import Any

from benchmarks.images.data import examples, mnist
from regard import Classifier
from regard.__main__ import keep_freed_memory

SEEDS = (0, 1, 2)
NETWORK: dict[str, Any] = {"front_end": "patches", "patch_size": 4, "stem": "convolution"}
NETWORK |= {"dim": 96, "depth": 3, "dropout": 0.1}
TRAINING: dict[str, Any] = {"epochs": 40, "batch_tokens": 1568, "shift": 2}


def run() -> dict[str, Any]:
    keep_freed_memory()
    results: dict[str, Any] = {}
    for seed in SEEDS:
        train, test = (examples(part) for part in mnist(seed))
        model = Classifier(**NETWORK).fit(train, None, baselines="none", seed=seed, **TRAINING)
        results[f"seed {seed}: accuracy, %"] = 100 * model.evaluate(test)["accuracy"]
        results[f"seed {seed}: s of training"] = model.scores["training"]["seconds"]
    return results
