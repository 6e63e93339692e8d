"""The simple things that a model must beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.data import Example


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
            labels = example.labels or []
            total.update(labels)
            if isinstance(example.items, list):
                for item, label in zip(example.items, labels, strict=True):
                    counts[item][label] += 1
        return cls({item: _first(labels) for item, labels in counts.items()}, _first(total))

    def predict(self, items: Sequence[Any]) -> list[str]:
        return [self.by_item.get(item, self.overall) for item in items]


def _first(labels: Counter[str]) -> str:
    return min(labels, key=lambda label: (-labels[label], label))
