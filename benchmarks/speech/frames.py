"""Who of five voices speaks when, N→N: frames of mixes of prompts whose texts training never had.

    python -m benchmarks speech.frames

Attention in a window beside encoders of other kinds with as many parameters, each trained in the same way, and the
most frequent label. Dev chooses the epoch and chose the options; scores are of test. The error is that of all vectors,
silence among them; 20 ms each.
"""

from __future__ import annotations

from typing import Any

from benchmarks.speech.data import Labelled, mixed
from regard import Labeler
from regard.data import read
from regard.demo.speech import LENGTH, NETWORK, TRAINING
from regard.tasks.fitting import count_parameters

EPOCHS = 8
OTHERS = {"convolution": {"window": 2}, "sliding": {}, "pointwise": {}}


def train(parts: dict[str, Labelled], **options: Any) -> Labeler:
    labeler = Labeler(front_end="audio", **(NETWORK | options))
    return labeler.fit(parts["train"], parts["dev"], epochs=EPOCHS, baselines="none", **TRAINING)


def scored(labeler: Labeler, parts: dict[str, Labelled], title: str) -> dict[str, Any]:
    scores = labeler.evaluate(parts["test"])
    return {
        f"{title}, frame error, %": 100 * (1 - scores["accuracy"]),
        f"{title}, identification error, %": 100 * scores["identification_error"],
        f"{title}, s of training": labeler.scores["training"]["seconds"],
    }


def run() -> dict[str, Any]:
    parts = mixed(seconds=LENGTH)
    labeler = train(parts)
    results: dict[str, Any] = {"test, minutes": sum(recording.seconds for recording, _ in parts["test"]) / 60}
    results |= scored(labeler, parts, "attention")
    examples = [read(parts[name], goal="segments", items="recordings") for name in ("train", "test")]
    ((name, scores),) = labeler.baselines(*examples).items()
    results[f"{name}, frame error, %"] = 100 * (1 - scores["accuracy"])
    for kind, options in OTHERS.items():
        other = train(parts, **{"encoder": kind, "window": None} | options)
        results |= scored(other, parts, f"{kind}, {count_parameters(other.network.encoder):,} parameters")
    return results
