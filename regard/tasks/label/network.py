"""The network of a labeler, and what it is given to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example
from regard.parallel.rows import of_part
from regard.ragged import Ragged, on_device, on_host
from regard.tasks.label.frames import Smoothing


class LabelNetwork(nn.Module):
    """One row of label scores for every item: ``head(encoder(front_end(inputs)))``, ``[T, labels]``.

    An item of several tokens is labelled by the first of them.
    """

    front_end: Any  # FrontEnd and Module in one

    def __init__(self, front_end: nn.Module, encoder: nn.Module, *, dim: int, labels: int) -> None:
        super().__init__()
        self.front_end, self.encoder = front_end, encoder
        self.head = nn.Linear(dim, labels)

    def forward(self, inputs: Any) -> Ragged:
        """``[T, labels]``, a row for each item; of a part of a batch, for each of its items."""
        vectors: Ragged = self.encoder(self.front_end(inputs))
        firsts = getattr(inputs, "firsts", None)
        if firsts is not None and vectors.part is not None:
            rows, part = vectors.part.picked(firsts, on_host(inputs.word_offsets)[0])
            vectors = of_part(F.embedding(rows, vectors.values), part)
        elif firsts is not None:
            vectors = Ragged(F.embedding(firsts, vectors.values), inputs.word_offsets)
        return vectors.with_values(self.head(vectors.values))


@dataclass(frozen=True, eq=False)
class LabelBatch:
    """Encoded sequences and the row of each item's label, ``[T]`` int64, below 0 where it has none."""

    inputs: Any
    labels: Tensor
    count: int  # of the labels, which a GPU is not asked for

    @classmethod
    def of(cls, inputs: Any, labels: Tensor) -> Self:
        """One whose labels are on the CPU."""
        return cls(inputs, labels, int((labels >= 0).sum()))

    to = on_device


class Seen(NamedTuple):
    """What a network made of examples, from which answers and scores are made.

    Arguments:
        logits: the number of each example that has items, and the scores of its labels, ``[N, labels]``.
        smoothing: of the labels of recordings.
    """

    front_end: Any
    examples: Sequence[Example]
    labels: Sequence[str]
    logits: Iterable[tuple[int, Tensor]]
    smoothing: Smoothing


def rows_of(goals: Iterable[Sequence[str]], labels: Sequence[str]) -> Tensor:
    """``[T]`` int64, the row of each label of all sequences."""
    rows = {label: row for row, label in enumerate(labels)}
    return torch.tensor([rows[label] for goal in goals for label in goal], dtype=torch.int64)
