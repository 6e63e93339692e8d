"""Which items of a batch a network must guess, drawn anew at every step."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MASKED, CHANGED = 0.8, 0.1  # shares of what is chosen: hidden; replaced by something else. The rest stays as it is.


def choose(groups: NDArray[np.int64], share: float, generator: torch.Generator | None = None) -> Tensor:
    """Which of T items are chosen, ``[M]`` int64: each group with chance ``share``.

    Arguments:
        groups: ``[T]`` from 0, which items are chosen together (the pieces of a word); −1 is never chosen.
        share: from 0 to 1.
        generator: of the CPU; None for PyTorch's.

    Devlin et al. 2019, "BERT", section 3.1.
    """
    drawn = torch.rand(int(groups.max(initial=-1)) + 1, generator=generator) < share
    never = torch.zeros(1, dtype=torch.bool)  # the last, where −1 leads
    return torch.cat([drawn, never])[torch.from_numpy(groups)].nonzero()[:, 0]


def corrupt(
    tokens: Tensor, chosen: Tensor, *, mask: int, first: int, size: int, generator: torch.Generator | None = None
) -> Tensor:
    """Tokens ``[T]``, 80 % of the chosen hidden behind ``mask``, 10 % replaced by one from ``first`` to ``size``."""
    draw = torch.rand(len(tokens), device=tokens.device, generator=generator)
    others = torch.randint(first, size, tokens.shape, device=tokens.device, generator=generator)
    hidden = tokens.masked_fill(chosen & (draw < MASKED), mask)
    return torch.where(chosen & (draw >= MASKED) & (draw < MASKED + CHANGED), others, hidden)


def corrupt_vectors(
    vectors: Tensor, chosen: Tensor, *, mask: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """The same of vectors ``[T, E]``: ``mask`` ``[E]`` in place of 80 %, another row of the batch of 10 %."""
    draw = torch.rand(len(vectors), 1, device=vectors.device, generator=generator)
    others = vectors[
        torch.randint(0, max(1, len(vectors)), (len(vectors),), device=vectors.device, generator=generator)
    ]
    chosen = chosen[:, None]
    hidden = torch.where(chosen & (draw < MASKED), mask, vectors)
    return torch.where(chosen & (draw >= MASKED) & (draw < MASKED + CHANGED), others, hidden)
