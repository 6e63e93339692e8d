"""Fashion-MNIST, the first 55,000 of its training part to learn from, scored on the last 5,000.

    python -m benchmarks images.fashion

Patches of 4 × 4 pixels, made by two convolutions, attend to each other; beside them a CNN of as many parameters, with a
residual block of 3 × 3 at each of 28, 14 and 7 pixels a side, learns from the same images, mirrored and moved alike.
Nothing is chosen on what is scored: the last epoch counts.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.cnn_vs_attention import BATCH, accuracy, make_cnn, train
from benchmarks.images.data import examples, fashion
from regard import Classifier
from regard.__main__ import keep_freed_memory
from regard.front_ends.image.augment import Changes
from regard.tasks.fitting import count_parameters

NETWORK: dict[str, Any] = {"front_end": "patches", "patch_size": 4, "stem": "convolution"}
NETWORK |= {"dim": 96, "depth": 4, "dropout": 0.1}
TRAINING: dict[str, Any] = {"epochs": 10, "batch_tokens": 3136, "learning_rate": 2e-3, "flip": True, "shift": 2}
CNN_EPOCHS, CHANNELS = 5, (32, 64, 128)


def run() -> dict[str, Any]:
    keep_freed_memory()
    learnt, scored = fashion()
    model = Classifier(**NETWORK).fit(examples(learnt), None, baselines="none", **TRAINING)
    results = {
        "patches that attend: accuracy, %": 100 * model.evaluate(examples(scored))["accuracy"],
        "patches that attend: s of training": model.scores["training"]["seconds"],
        "patches that attend: parameters": count_parameters(model.network),
    }
    torch.manual_seed(0)
    network, start = make_cnn(CHANNELS), time.perf_counter()
    changes = Changes(flip=TRAINING["flip"], shift=TRAINING["shift"])
    train(network, learnt, CNN_EPOCHS * len(learnt[0]) // BATCH, 0, changes=changes)
    return results | {
        "CNN: s of training": time.perf_counter() - start,
        "CNN: accuracy, %": accuracy(network, scored),
        "CNN: parameters": count_parameters(network),
    }
