"""Which voice says a prompt, N→1, of texts that training never had.

    python -m benchmarks speech.voices

Five voices of four people: Allison Smith speaks English and Spanish, which is told apart too, and once is not. Texts
are parted by their SHA-256: two tenths are test, one tenth dev, which chooses the epoch and chose the options. Half of
the prompts are of less than 1.3 s; so that short ones are told apart too, training has each whole and
six parts of it. The equal error rate is that of all pairs of prompts of test, by the cosine of their vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.speech.data import RATE, parted
from regard import Classifier, Recording

NETWORK: dict[str, Any] = {"front_end": "audio", "dim": 128, "dropout": 0.1}
# No speed: a voice that is played faster is another voice.
TRAINING: dict[str, Any] = {"epochs": 8, "batch_tokens": 2000, "average": 0.99, "mask_frames": 0.3}
PARTS, SHORTEST, LONGEST = 6, 0.35, 1.2  # of each prompt; seconds
QUIET = 0.02  # of 1, the largest sample, up to which a part is silence
SAME = {"es_MX_f_Allison": "en_US_f_Allison"}

Labelled = list[tuple[Recording, str]]


def with_parts(prompts: Labelled) -> Labelled:
    """The prompts and so many parts of each, drawn at random, but for silence."""
    draw, found = np.random.default_rng(0), list(prompts)
    for _ in range(PARTS):
        for recording, voice in prompts:
            length = min(recording.seconds, draw.uniform(SHORTEST, LONGEST))
            first = draw.uniform(0, recording.seconds - length) if recording.seconds > length else 0.0
            part = recording.part(first, first + length)
            if np.abs(part.samples(RATE)).max() > QUIET:
                found.append((part, voice))
    return found


def run() -> dict[str, Any]:
    train, dev, test = ([(prompt.recording, prompt.voice) for prompt in part] for part in parted().values())
    model = Classifier(**NETWORK).fit(with_parts(train), dev, baselines="none", **TRAINING)
    true = [voice for _, voice in test]
    found = model.predict([recording for recording, _ in test])
    people = [SAME.get(a, a) == SAME.get(b, b) for a, b in zip(true, found, strict=True)]
    scores = model.evaluate(test, pairs=True)
    return {
        "five voices, accuracy, %": 100 * scores["accuracy"],
        "four people, accuracy, %": 100 * sum(people) / len(people),
        "pairs, equal error rate, %": 100 * scores["equal_error_rate"],
        "s of training": model.scores["training"]["seconds"],
    }
