"""Lines of three to five handwritten digits → their digits as text, by a decoder and by CTC.

    python -m benchmarks images.strings

Each line is made of digits of MNIST-5k, those that are scored of the 1,000 images that training never saw. The epoch is
chosen on lines of the 4,000 others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.images.data import Data, mnist
from regard import Image, Seq2Seq, Transcriber

TRAIN, DEV, TEST = 5000, 50, 500  # lines
SHORTEST, LONGEST = 3, 5  # digits of a line
NETWORK: dict[str, Any] = {"front_end": "patches", "patch_size": 8, "patch_stride": 8, "stem": "convolution"}
NETWORK |= {"dim": 96, "depth": 3, "dropout": 0.1, "target_units": "characters"}
TRAINING: dict[str, Any] = {"batch_tokens": 2000, "learning_rate": 1.5e-3, "shift": 2, "beam": 1}
TASKS: dict[str, tuple[Any, int]] = {"CTC": (Transcriber, 6), "a decoder": (Seq2Seq, 20)}  # and its epochs


def lines(digits: Data, count: int, seed: int) -> list[tuple[Image, str]]:
    """Images side by side, drawn with replacement, and what they say."""
    images, classes = digits
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        numbers = torch.from_numpy(draw.integers(0, len(classes), draw.integers(SHORTEST, LONGEST + 1)))
        line = torch.cat(list(images[numbers, 0]), 1)  # [28, 28·n]
        found.append((Image.from_pixels(line.numpy()), "".join(map(str, classes[numbers].tolist()))))
    return found


def run() -> dict[str, Any]:
    own, other = mnist()
    train, dev, test = lines(own, TRAIN, 0), lines(own, DEV, 2), lines(other, TEST, 1)
    results: dict[str, Any] = {}
    for name, (task, epochs) in TASKS.items():
        model = task(**NETWORK).fit(train, dev, baselines="none", epochs=epochs, **TRAINING)
        scores = model.evaluate(test)
        results[f"{name}: errors per digit, %"] = 100 * scores["character_error"]
        results[f"{name}: lines that are right, %"] = 100 * scores["exact"]
        results[f"{name}: s of training"] = model.scores["training"]["seconds"]
    return results
