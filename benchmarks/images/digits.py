"""scikit-learn's 1,797 digits of 8 × 8 pixels, five folds.

    python -m benchmarks images.digits

Nothing is chosen on what is scored: the last epoch counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from regard import Classifier
from regard.__main__ import keep_freed_memory

FOLDS = 5
NETWORK: dict[str, Any] = {"front_end": "patches", "patch_size": 2, "stem": "convolution"}
NETWORK |= {"dim": 96, "depth": 3, "dropout": 0.1}
TRAINING: dict[str, Any] = {"epochs": 50, "batch_tokens": 1024, "shift": 1}


def run() -> dict[str, Any]:
    keep_freed_memory()
    digits = load_digits()
    examples = [
        (image, str(label))
        for image, label in zip((digits.images / 16).astype(np.float32), digits.target.tolist(), strict=True)
    ]
    scores, seconds = [], 0.0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(digits.images, digits.target):
        model = Classifier(**NETWORK).fit([examples[n] for n in train], None, baselines="none", **TRAINING)
        scores.append(100 * model.evaluate([examples[n] for n in test])["accuracy"])
        seconds += model.scores["training"]["seconds"]
    return {
        "accuracy over the folds, %": float(np.mean(scores)),
        "the worst fold, %": min(scores),
        "s of training, all folds": seconds,
    }
