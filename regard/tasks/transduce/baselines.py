"""The simple things that a model of new texts must beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from regard.data import Example
from regard.tasks.transduce.metrics import text_scores


def text_baselines(train: Sequence[Example], scored: Sequence[Example]) -> dict[str, dict[str, float]]:
    """The source as it is, and the most frequent target that each source had in training (the source itself if none).

    None where the sources are vectors.
    """
    if not all(isinstance(example.items, str | list) for example in (*train, *scored)):
        return {}
    gold, sources = [example.goal for example in scored], [_text(example) for example in scored]
    known: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for example in train:
        known[_text(example)][example.goal] += 1
    frequent = [min(known[x], key=lambda target: (-known[x][target], target)) if x in known else x for x in sources]
    return {
        "copy": text_scores(gold, sources),
        "most frequent": text_scores(gold, frequent),
    }


def _text(example: Example) -> str:
    return " ".join(map(str, example.items)) if isinstance(example.items, list) else str(example.items)
