"""Fashion-MNIST, the first 55,000 of its training part to learn from, scored on the last 5,000.

    python -m benchmarks images.fashion

Patches of 4 × 4 pixels, which residual blocks of 3 × 3 at 28 and 14 pixels a side have looked at, attend to each other;
beside them a CNN of as many parameters, with such a block at 28, 14 and 7 pixels a side, learns from the same images,
mirrored and moved alike. Then the convolutions of the CNN are made self-attention, which goes on learning for a while.
Nothing is chosen on what is scored: the last epoch counts.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.cnn_vs_attention import BATCH, RATE, SHARPNESS, accuracy, answers, make_cnn, train
from benchmarks.images.data import examples, fashion
from regard import Classifier
from regard.__main__ import keep_freed_memory
from regard.front_ends.image.augment import Changes
from regard.nn import with_attention
from regard.tasks.fitting import count_parameters

NETWORK: dict[str, Any] = {"front_end": "patches", "patch_size": 4, "stem": "residual"}
NETWORK |= {"dim": 128, "depth": 2, "feed_forward_dim": 256, "dropout": 0.1}
TRAINING: dict[str, Any] = {"epochs": 9, "batch_tokens": 1568, "learning_rate": 2e-3, "flip": True, "shift": 2}
CNN_EPOCHS, CHANNELS = 5, (32, 64, 128)
STEPS_AS_ATTENTION = 500


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
    results |= {
        "CNN: accuracy, %": accuracy(network, scored),
        "CNN: s of training": time.perf_counter() - start,
        "CNN: parameters": count_parameters(network),
    }
    exact, start = with_attention(network), time.perf_counter()
    results["CNN as attention: images that it sees otherwise"] = int(
        (answers(exact, scored) != answers(network, scored)).sum()
    )
    converted = with_attention(network, sharpness=SHARPNESS)
    train(converted, learnt, STEPS_AS_ATTENTION, 0, rate=RATE / 10, changes=changes)
    return results | {
        "CNN as attention, trained on: accuracy, %": accuracy(converted, scored),
        "CNN as attention, trained on: s of training": time.perf_counter() - start,
        "CNN as attention, trained on: parameters": count_parameters(converted),
    }
