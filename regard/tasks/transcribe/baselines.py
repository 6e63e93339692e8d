"""The simple thing that a model of transcripts must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from regard.data import Example
from regard.tasks.model import Scores
from regard.training.metrics import transcript_scores


def transcript_baselines(train: Sequence[Example], scored: Sequence[Example]) -> Scores:
    """The most frequent target, whatever was said; among equals the first in the alphabet."""
    counts = Counter(example.goal for example in train)
    frequent = min(counts, key=lambda target: (-counts[target], target))
    return {"most frequent": transcript_scores([example.goal for example in scored], [frequent] * len(scored))}
