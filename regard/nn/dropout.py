"""Dropout that costs less than the multiplication beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Each element zero with probability ``p`` in training, the others divided by ``1 − p``; nothing otherwise.

    The same as ``torch.nn.Dropout``, with other random numbers on the CPU: 16 random bits for each element instead of
    a Bernoulli sample, which takes a fourth of the time there and else a fifth of a whole training step.

    Arguments:
        p: probability, from 0 to below 1, kept to within 1/65536.
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.p)
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        kept = torch.ge(
            bits, round(self.p * 2**16) - 2**15, out=torch.empty_like(x, memory_format=torch.contiguous_format)
        )
        return x * kept.mul_(1 / (1 - self.p))

    def extra_repr(self) -> str:
        return f"p={self.p}"
