"""The network that guesses what is hidden, and the batches that it is trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.front_ends.tokens import MASK, SPECIAL
from regard.nn import MaskedHead
from regard.nn.layers import find_activation
from regard.parallel import gather
from regard.ragged import Ragged, on_device
from regard.tasks.pretrain.masking import corrupt, corrupt_vectors


class MaskedNetwork(nn.Module):
    """What the chosen items were, ``masked_head(encoder(hidden(front_end(inputs))))``, ``[M, V]`` or ``[M, C]``.

    Tokens are hidden behind the token [MASK] and guessed by the table they are read with; words and vectors behind a
    learned vector. Words are guessed among those known, vectors as the numbers that they were, brought to one scale.

    Arguments:
        dim, width: of the encoder's vectors, and of the front end's.
        outputs: V, known words, or C, channels; None for tokens.
    """

    front_end: Any  # FrontEnd and Module in one

    def __init__(
        self,
        front_end: nn.Module,
        encoder: nn.Module,
        *,
        dim: int,
        width: int,
        outputs: int | None,
        activation: str,
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.front_end, self.encoder = front_end, encoder
        self.mask = None if outputs is None else nn.Parameter(torch.randn(width))
        if outputs is not None:
            self.masked_head: nn.Module = nn.Linear(dim, outputs)
            return
        tokens: int = self.front_end.embedding.num_embeddings
        self.masked_head = MaskedHead(
            dim, tokens=tokens, width=width, activation=find_activation(activation), norm_eps=norm_eps
        )
        nn.init.constant_(self.masked_head.norm.weight, width**-0.5)  # the table has unit scale

    def forward(self, inputs: Any, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """``rows`` ``[M]`` int64, those that are chosen; four fifths of them are hidden, a tenth are replaced."""
        if self.mask is None:
            table, special = self.front_end.embedding.weight, self.front_end.special
            tokens = corrupt(
                inputs.tokens,
                _among(len(inputs.tokens), rows),
                mask=special[MASK],
                first=len(SPECIAL),
                size=len(table),
                generator=generator,
            )
            return self.guess(self.front_end(replace(inputs, tokens=tokens)), rows)
        vectors: Ragged = self.front_end(inputs)
        chosen = _among(len(vectors.values), rows)
        hidden = corrupt_vectors(vectors.values, chosen, mask=self.mask, generator=generator)
        return self.guess(vectors.with_values(hidden), rows)

    def fill(self, inputs: Any, blanks: Tensor) -> Tensor:
        """Scores for each of the blanks ``[T]`` bool, of tokens that are [MASK] or of words that are nothing yet."""
        vectors: Ragged = self.front_end(inputs)
        if self.mask is not None:
            vectors = vectors.with_values(torch.where(blanks[:, None], self.mask, vectors.values))
        return self.guess(vectors, blanks)

    def guess(self, vectors: Ragged, rows: Tensor) -> Tensor:
        """Scores of what the vectors in these rows stand for, ``[M]`` int64 or ``[T]`` bool."""
        chosen = gather(self.encoder(vectors)).values[rows]
        table = () if self.mask is not None else (self.front_end.embedding.weight,)
        scores: Tensor = self.masked_head(chosen, *table)
        return scores


def _among(size: int, rows: Tensor) -> Tensor:
    """``[T]`` bool, True in these rows."""
    return torch.zeros(size, dtype=torch.bool, device=rows.device).index_fill_(0, rows, True)


@dataclass(frozen=True, eq=False)
class MaskedBatch:
    """Encoded sequences, which of T items are hidden together (−1: never), and the known words that they are, ``[T]``.

    Items are chosen on the CPU, so that no GPU is asked how many they are.
    """

    inputs: Any
    groups: NDArray[np.int64]
    words: Tensor | None = None

    to = on_device
