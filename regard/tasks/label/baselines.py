"""The simple things that a model must beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.data import Example
from regard.training.metrics import label_scores


@dataclass(frozen=True)
class MostFrequent:
    """The most frequent label of each item in training; the most frequent of all for an item never seen."""

    by_item: dict[Any, str]
    overall: str

    @classmethod
    def from_examples(cls, examples: Sequence[Example]) -> MostFrequent:
        """Counts; of two equally frequent labels the first in the alphabet wins."""
        counts: defaultdict[Any, Counter[str]] = defaultdict(Counter)
        total: Counter[str] = Counter()
        for example in examples:
            labels = example.goal
            total.update(labels)
            if isinstance(example.items, list):
                for item, label in zip(example.items, labels, strict=True):
                    counts[item][label] += 1
        return cls({item: _first(labels) for item, labels in counts.items()}, _first(total))

    def predict(self, items: Sequence[Any]) -> list[str]:
        return [self.by_item.get(item, self.overall) for item in items]


def simple_baselines(train: Sequence[Example], scored: Sequence[Example]) -> dict[str, dict[str, float]]:
    """What counting in ``train`` scores on ``scored``; per word only where items are words."""
    simple = MostFrequent.from_examples(train)
    gold = [example.goal for example in scored]
    scores = {"majority label": label_scores(gold, [[simple.overall] * len(labels) for labels in gold])}
    if all(isinstance(example.items, list) for example in train):
        guesses = [simple.predict(example.items) for example in scored if isinstance(example.items, list)]
        scores["most frequent label per word"] = label_scores(gold, guesses)
    return scores


def _first(labels: Counter[str]) -> str:
    return min(labels, key=lambda label: (-labels[label], label))
