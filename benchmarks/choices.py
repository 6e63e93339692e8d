"""What each choice is worth: encoders, positions, scores, normalizers, windows and heads, three seeds each.

    python -m benchmarks choices [--json FILE]

UPOS accuracy on EWT dev after training on the first 1,000 sentences of EWT train in batches of 500 words, everything
else at its default; and accuracy on words that only their neighbours tell apart.
"""

from __future__ import annotations

import random
import statistics
import sys
from typing import Any

from benchmarks.data import EWT
from regard import Labeler
from regard.data import Example, read

SENTENCES, EPOCHS, WORDS, SEEDS = 1_000, 8, 500, (1, 2, 3)
CHOICES: dict[str, dict[str, Any]] = {
    "attention (relative positions, dot, softmax, no window, 4 heads)": {},
    "pointwise": {"encoder": "pointwise"},
    "sliding": {"encoder": "sliding"},
    "convolution": {"encoder": "convolution"},
    "attention, positions none": {"positions": "none"},
    "attention, additive score": {"score": "additive"},
    "attention, relu": {"normalizer": "relu"},
    "attention, window 2": {"window": 2},
    "attention, window 8": {"window": 8},
    "attention, 1 head": {"heads": 1},
}

Pair = tuple[list[str], list[str]]


def two_sided_words(count: int, seed: int) -> list[Pair]:
    """ "I saw a saw": every sentence holds words that are verbs in one place and nouns in the other."""
    draw = random.Random(seed)
    words = ["saw", "fish", "duck", "hammer", "book", "cut", "plant", "walk", "drink", "paint"]
    sentences = []
    for _ in range(count):
        subject, article = draw.choice(["I", "You", "We", "They"]), draw.choice(["a", "the", "my"])
        verb, noun = draw.choice(words), draw.choice(words)
        start, labels = [subject, verb, article, noun], ["PRON", "VERB", "DET", "NOUN"]
        if draw.random() < 0.5:
            start, labels = [article, noun, "will", verb], ["DET", "NOUN", "AUX", "VERB"]
        sentences.append((start, labels))
    return sentences


def run() -> dict[str, Any]:
    results = {f"I saw a saw, {kind}: % of verbs and nouns": told_apart(kind) for kind in ("pointwise", "attention")}
    if not EWT.is_dir():
        return results | {"skipped the rest: no treebank at ../shared/data/ewt": 0}
    train = read(EWT / "train.conllu.gz", goal="labels")[:SENTENCES]
    dev = read(EWT / "dev.conllu.gz", goal="labels")
    for name, options in CHOICES.items():
        scores, speeds = zip(*(accuracy(train, dev, options, seed) for seed in SEEDS), strict=True)
        results[f"{name}: mean %"] = statistics.mean(scores)
        results[f"{name}: least %"], results[f"{name}: most %"] = min(scores), max(scores)
        results[f"{name}: words/s"] = statistics.median(speeds)
        print(f"{name:<70} {statistics.mean(scores):6.2f} ({min(scores):.2f} to {max(scores):.2f})", file=sys.stderr)
    return results


def accuracy(train: list[Example], dev: list[Example], options: dict[str, Any], seed: int) -> tuple[float, float]:
    """Per cent on dev after the last epoch, and training words a second."""
    labeler = Labeler(**options).fit(train, epochs=EPOCHS, batch_tokens=WORDS, seed=seed, baselines="none")
    return 100 * labeler.evaluate(dev)["accuracy"], labeler.scores["training"]["tokens_per_second"]


def told_apart(kind: str) -> float:
    """Per cent of the verbs and nouns that are labelled right in sentences never seen."""
    labeler = Labeler(encoder=kind, positions="relative" if kind == "attention" else "none", dim=64, depth=2)
    labeler.fit(two_sided_words(500, seed=1), epochs=20, baselines="none", average=0.9)
    held_out = two_sided_words(200, seed=2)
    guesses = labeler.predict([words for words, _ in held_out])
    pairs = [
        (label, guess)
        for (_, labels), guessed in zip(held_out, guesses, strict=True)
        for label, guess in zip(labels, guessed, strict=True)
        if label in ("VERB", "NOUN")
    ]
    return 100 * sum(label == guess for label, guess in pairs) / len(pairs)
