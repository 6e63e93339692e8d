"""Which voice says a prompt, N→1, of texts that training never had.

    python -m benchmarks speech.voices

Five voices of four people: Allison Smith speaks English and Spanish. Texts are parted by their SHA-256: two tenths are
test, one tenth dev, which chooses the epoch and chose the options. The equal error rate is that of all pairs of prompts
of test, by the cosine of their vectors.
"""

from __future__ import annotations

from typing import Any

from benchmarks.speech.data import alone, parted
from regard import Classifier

NETWORK: dict[str, Any] = {"front_end": "audio", "dim": 64, "depth": 2, "subsample": 4, "dropout": 0.1}
TRAINING: dict[str, Any] = {"epochs": 6, "batch_tokens": 1000}


def run() -> dict[str, Any]:
    parts = {name: alone(prompts, seed) for seed, (name, prompts) in enumerate(parted().items())}
    model = Classifier(**NETWORK).fit(parts["train"], parts["dev"], **TRAINING)
    results: dict[str, Any] = {"s of training": model.scores["training"]["seconds"]}
    results |= {f"dev, accuracy: {name}": scores["accuracy"] for name, scores in model.scores["scores"].items()}
    title = f"test, {len(parts['test'])} prompts"
    scores = model.evaluate(parts["test"], pairs=True)
    return results | {f"{title}, {name}": scores[name] for name in ("accuracy", "equal_error_rate")}
