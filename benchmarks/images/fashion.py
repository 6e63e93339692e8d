"""Fashion-MNIST, the first 55,000 of its training part to learn from, scored on the last 5,000.

    python -m benchmarks images.fashion

Patches of 4 × 4 pixels, made by two convolutions, attend to each other. The images that are scored chose the epoch too.
"""

from __future__ import annotations

from typing import Any

from benchmarks.images.data import examples, fashion
from regard import Classifier

NETWORK: dict[str, Any] = {"front_end": "patches", "patch_size": 4, "stem": "convolution"}
NETWORK |= {"dim": 128, "depth": 4, "dropout": 0.1}
TRAINING: dict[str, Any] = {"epochs": 8, "batch_tokens": 3136, "learning_rate": 1.5e-3, "flip": True, "shift": 2}


def run() -> dict[str, Any]:
    train, dev = (examples(part) for part in fashion())
    model = Classifier(**NETWORK).fit(train, dev, baselines="none", **TRAINING)
    return {
        "accuracy, %": 100 * model.evaluate(dev)["accuracy"],
        "s of training": model.scores["training"]["seconds"],
    }
