"""The head that guesses masked tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.nn.layers import NORM_EPS, Activation
from regard.ragged import takes_tensors


class MaskedHead(nn.Module):
    """A score for every token of the table: ``table · norm(activation(W x + b)) + bias``, ``[T, E]`` → ``[T, V]``.

    The output matrix is the table ``[V, I]`` of the front end, so that a token is read and guessed as one vector.

    Arguments:
        dim: ``E``.
        tokens: ``V``.
        width: I; None for E.
        activation: any function of a tensor.
        norm_eps: added to the variance.

    Devlin et al. 2019, "BERT".

    >>> MaskedHead(4, tokens=7)(torch.randn(3, 4), torch.randn(7, 4)).shape
    torch.Size([3, 7])
    """

    def __init__(
        self,
        dim: int,
        *,
        tokens: int,
        width: int | None = None,
        activation: Activation = F.gelu,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        width = dim if width is None else width
        self.dense = nn.Linear(dim, width)
        self.activation = activation
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.bias = nn.Parameter(torch.zeros(tokens))

    @takes_tensors
    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """``[T, E]`` and the table ``[V, I]`` → ``[T, V]``."""
        return F.linear(self.norm(self.activation(self.dense(x))), table, self.bias)
