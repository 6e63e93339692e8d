"""The network of a classifier, and what it is given to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.nn import Pooling
from regard.ragged import on_device
from regard.tasks.classify.ngrams import NGrams


class ClassNetwork(nn.Module):
    """A row of label scores for each sequence: ``head(pool(encoder(front_end(inputs))))``, ``[B, labels]``.

    A sequence that was read in several windows has the mean of what they are pooled to. ``ngrams`` has a say when a
    label is predicted, not in training.
    """

    front_end: Any  # FrontEnd and Module in one

    def __init__(
        self,
        front_end: nn.Module,
        encoder: nn.Module,
        pool: Pooling,
        *,
        dim: int,
        labels: int,
        ngrams: NGrams | None = None,
    ) -> None:
        super().__init__()
        self.front_end, self.encoder, self.pool = front_end, encoder, pool
        self.head = nn.Linear(dim, labels)
        self.ngrams = ngrams

    def forward(self, inputs: Any, offsets: Tensor) -> Tensor:
        """``offsets`` ``[B+1]`` tells which rows of the batch, each a part, belong to which sequence."""
        rows: Tensor = self.head(self.embed(inputs, offsets))
        return rows

    def embed(self, inputs: Any, offsets: Tensor) -> Tensor:
        """``[B, dim]``, what the head reads."""
        rows: Tensor = self.pool(self.encoder(self.front_end(inputs)))
        if len(rows) == len(offsets) - 1:
            return rows
        sums = torch.segment_reduce(rows, "sum", offsets=offsets, initial=0.0)
        return sums / offsets.diff()[:, None]


@dataclass(frozen=True, eq=False)
class ClassBatch:
    """Encoded parts, which of them belong to which sequence ``[B+1]``, and the row of each one's label ``[B]``.

    Where each is mixed with another: the row of that one's label ``[B]``, and the share of its own ``[B]``.
    """

    inputs: Any
    offsets: Tensor
    labels: Tensor
    others: Tensor | None = None
    shares: Tensor | None = None

    to = on_device
