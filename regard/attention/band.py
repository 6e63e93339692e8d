"""Where the weights of a call are held: which key is the first column of each row, and how many columns there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from regard.attention.spec import Sequences, Spec
from regard.attention.weights import AttentionWeights


@dataclass(frozen=True, eq=False)
class Band:
    """A truncated window is held as a band of its width; without limits W is the largest number of keys."""

    first: Tensor  # [Nq] the key of each row's first column, counted in its sequence
    starts: Tensor  # [Nq] where the keys of its sequence begin in the batch
    lengths: Tensor  # [sequences] of keys
    width: int

    @classmethod
    def of(cls, spec: Spec, sequences: Sequences, device: torch.device) -> Self:
        """The band of a call, from its window and its sequences."""
        limits = torch.tensor(sequences, dtype=torch.int64, device="cpu").view(-1, 4)
        q0, _, k0, _ = limits.repeat_interleave(limits[:, 1] - limits[:, 0], 0).T
        lengths = limits[:, 3] - limits[:, 2]
        if spec.left is None or spec.right is None:
            first, width = torch.zeros_like(q0), int(lengths.max()) if len(lengths) else 0
        else:
            first = torch.arange(len(q0), device="cpu") - q0 + spec.query_start - spec.left
            width = spec.left + spec.right + 1
        first, starts, lengths = (x.to(device, non_blocking=True) for x in (first, k0, lengths))
        return cls(first, starts, lengths, width)

    def weights(self, values: Tensor, spec: Spec) -> AttentionWeights:
        """``values [B, H, Q, W]`` or ``[T, H, W]`` with what they mean."""
        if spec.offsets is None:
            return AttentionWeights(values, self.first, self.lengths.expand(len(values)), spec.query_start)
        offsets = spec.offsets.to(values.device, non_blocking=True)
        return AttentionWeights(values, self.first, self.lengths, spec.query_start, offsets)
