"""The strokes of handwritten digits by class: which digit, or the background, each pixel of MNIST-5k shows.

    python -m benchmarks images.strokes

The rule of the masks: a pixel of at least half the full brightness shows the digit of its image, 1 to 10 for 0 to 9;
every other is background, 0. That a pixel is part of a stroke stands in it; of which digit, its surroundings tell.
Patches of 2 × 2 pixels are labelled as most of their pixels are. Attention sees the whole image, in four layers; beside
it encoders of other kinds, as wide and deep, of which the sliding one reads the 9 × 9 patches around each, and the most
frequent label. Nothing is chosen on what is scored: the last epoch counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.images.data import Data, mnist
from regard import Image, Labeler
from regard.__main__ import keep_freed_memory
from regard.data import read
from regard.tasks.fitting import count_parameters

BRIGHT = 0.5
NETWORK: dict[str, Any] = {"front_end": "patches", "patch_size": 2, "dim": 64, "depth": 4, "dropout": 0.1}
KINDS: dict[str, dict[str, Any]] = {
    "attention": {},
    "sliding": {"window": 4},
    "convolution": {"window": 1},
    "pointwise": {},
}
TRAINING: dict[str, Any] = {"epochs": 10, "batch_tokens": 6272}


def examples(data: Data) -> list[tuple[Image, Any]]:
    images, classes = (part.numpy() for part in data)
    return [
        (Image.from_pixels(image), np.where(image >= BRIGHT, label + 1, 0))
        for image, label in zip(images[:, 0], classes, strict=True)
    ]


def run() -> dict[str, Any]:
    keep_freed_memory()
    train, test = (examples(part) for part in mnist())
    results: dict[str, Any] = {}
    for kind, options in KINDS.items():
        labeler = Labeler(encoder=kind, **NETWORK, **options)
        labeler.fit(train, None, baselines="none", **TRAINING)
        name = f"{kind}, {count_parameters(labeler.network.encoder):,} parameters"
        results |= _percent(name, labeler.evaluate(test))
        results[f"{name}: s of training"] = labeler.scores["training"]["seconds"]
    goals = [read(part, goal="mask", items="images") for part in (train, test)]
    for name, scores in labeler.baselines(*goals).items():
        results |= _percent(name, scores)
    return results


def _percent(name: str, scores: dict[str, float]) -> dict[str, float]:
    return {f"{name}: {score}, %": 100 * scores[score] for score in ("accuracy", "mean_iou")}
