"""Which voice says a prompt, N→1, of texts that training never had.

    python -m benchmarks speech.voices

Five voices of four people: Allison Smith speaks English and Spanish, which is told apart too, and once is not. Texts
are parted by their SHA-256: two tenths are test, one tenth dev, which chooses the epoch and chose the options. Prompts
are taken as they were recorded, and, trained anew, cut and with soft noise as in mixes: then neither loudness nor what
each voice's recorder leaves in silence tells it. The equal error rate is that of all pairs of prompts of test, by the
cosine of their vectors.
"""

from __future__ import annotations

from typing import Any

from benchmarks.speech.data import alone, parted
from regard import Classifier, Recording

NETWORK: dict[str, Any] = {"front_end": "audio", "dim": 128, "dropout": 0.1}
# No speed: a voice that is played faster is another voice.
TRAINING: dict[str, Any] = {"epochs": 12, "batch_tokens": 2000, "average": 0.99, "mask_frames": 0.3}
SAME = {"es_MX_f_Allison": "en_US_f_Allison"}

Parts = dict[str, list[tuple[Recording, str]]]


def told(parts: Parts) -> dict[str, float]:
    """Scores on test."""
    model = Classifier(**NETWORK).fit(parts["train"], parts["dev"], baselines="none", **TRAINING)
    true = [voice for _, voice in parts["test"]]
    found = model.predict([recording for recording, _ in parts["test"]])
    people = [SAME.get(a, a) == SAME.get(b, b) for a, b in zip(true, found, strict=True)]
    scores = model.evaluate(parts["test"], pairs=True)
    return {
        "five voices, accuracy, %": 100 * scores["accuracy"],
        "four people, accuracy, %": 100 * sum(people) / len(people),
        "pairs, equal error rate, %": 100 * scores["equal_error_rate"],
        "s of training": model.scores["training"]["seconds"],
    }


def run() -> dict[str, Any]:
    prompts = parted()
    kinds: dict[str, Parts] = {
        "as recorded": {name: [(prompt.recording, prompt.voice) for prompt in part] for name, part in prompts.items()},
        "cut, with noise": {name: alone(part, seed) for seed, (name, part) in enumerate(prompts.items())},
    }
    return {f"{kind}: {name}": score for kind, parts in kinds.items() for name, score in told(parts).items()}
