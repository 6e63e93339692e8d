"""The network of a labeler, and what it is given to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from regard.ragged import Ragged, on_device


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
        """``[T, labels]``, a row for each item."""
        vectors: Ragged = self.encoder(self.front_end(inputs))
        firsts = getattr(inputs, "firsts", None)
        if firsts is not None:
            vectors = Ragged(F.embedding(firsts, vectors.values), inputs.word_offsets)
        return vectors.with_values(self.head(vectors.values))


@dataclass(frozen=True, eq=False)
class LabelBatch:
    """Encoded sequences and the row of each item's label, ``[T]`` int64, below 0 where it has none."""

    inputs: Any
    labels: Tensor

    to = on_device
