"""What heads see that each look at one offset: the weights of an axis, means by them, and plain shifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Axis:
    """How far keys and queries go beyond the first and the last position of an image; negative where they stop short.

    Keys beyond it are there to be looked at, with a value of zero: they are the convolution's padding.
    """

    keys: tuple[int, int]
    queries: tuple[int, int]

    @property
    def span(self) -> tuple[int, int]:
        """The least and the largest offset at which every query has a key."""
        return self.queries[0] - self.keys[0], self.keys[1] - self.queries[1]

    def outputs(self, size: int) -> int:
        """How many queries there are in an image of that size."""
        return size + sum(self.queries)

    def widened(self, by: int) -> Axis:
        """With as many keys more at both ends."""
        return Axis((self.keys[0] + by, self.keys[1] + by), self.queries)


def axis_weights(center: Tensor, sharpness: Tensor, size: int, axis: Axis) -> Tensor:
    """``[H, Q, K]``: ``softmax_k(−α_h (k − q − Δ_h)²)`` along one axis, of the keys that are no padding.

    Arguments:
        center, sharpness: Δ and α, ``[H]``.
        size: positions along the axis, K.
    """
    center, sharpness = (x[:, None, None].to(torch.promote_types(x.dtype, torch.float32)) for x in (center, sharpness))
    query = torch.arange(-axis.queries[0], size + axis.queries[1], device=center.device)
    key = torch.arange(-axis.keys[0], size + axis.keys[1], device=center.device)
    scores = -sharpness * (key - query[:, None] - center).square()  # [H, Q, K with padding]
    return scores.softmax(-1).narrow(-1, axis.keys[0], size)


def seen_around(image: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Each head's mean of the image, by the product of the weights of all axes.

    ``[..., C, K]`` → ``[..., H, C, Q]``, or ``[..., C, K_rows, K_columns]`` → ``[..., H, C, Q_rows, Q_columns]``.

    Arguments:
        image: of one axis or two.
        weights: ``[H, Q, K]`` of each axis.
    """
    if len(weights) == 1:
        return torch.einsum("hqk,...ck->...hcq", weights[0], image)
    rows, columns = weights
    seen = torch.einsum("hqk,...crk->...hcrq", columns, image)
    return torch.einsum("hpk,...hckq->...hcpq", rows, seen)


def seen_at(image: Tensor, offsets: Sequence[tuple[int, ...]], axes: Sequence[Axis]) -> Tensor:
    """What :func:`seen_around` is at α = ∞: for each head the image shifted by its offset, zeros beyond the border."""
    sizes = image.shape[-len(axes) :]
    around = F.pad(image, [beyond for axis in reversed(axes) for beyond in axis.keys])
    heads = []
    for offset in offsets:
        seen = around
        for dim, (step, axis, size) in enumerate(zip(offset, axes, sizes, strict=True), start=-len(axes)):
            seen = seen.narrow(dim, step - axis.span[0], axis.outputs(size))
        heads.append(seen)
    return torch.stack(heads, -len(axes) - 2)


def projected(seen: Tensor, values: Tensor, *, groups: int, axes: int) -> Tensor:
    """``Σ_h W_hᵀ seen_h``: ``[..., H, in, *Q]`` and values ``[H, in/groups, out]`` → ``[..., out, *Q]``."""
    grouped = torch.unflatten(seen.flatten(-axes), -2, (groups, -1)).transpose(-3, -4)  # [..., G, H, in/G, Q]
    matrix = torch.unflatten(values, 2, (groups, -1)).permute(2, 3, 0, 1)  # [G, out/G, H, in/G]
    output = matrix.flatten(2) @ grouped.flatten(-3, -2)  # [..., G, out/G, Q]
    return torch.unflatten(output.flatten(-3, -2), -1, seen.shape[-axes:])
