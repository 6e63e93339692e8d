"""A layer without attention, to compare with: it sees a fixed run of neighbours, or none."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.nn.layers import NORM_EPS, FeedForward, Residual
from regard.ragged import Ragged


class NeighbourLayer(nn.Module):
    """A :class:`Residual` around a fully connected network that reads a run of neighbours at once.

    ``y_p = W_2 activation(W_1 [x_{p−left}; …; x_{p+right}] + b_1) + b_2``: W_1 is a 1-D convolution, and takes each
    vector by itself where left = right = 0.

    Arguments:
        feed_forward: from ``[T, (left+right+1)·E]`` to ``[T, E]``.
        dim: E.
        left, right: neighbours seen to each side.
        norm, dropout, norm_eps: as in :class:`Residual`.
    """

    def __init__(
        self,
        feed_forward: FeedForward,
        *,
        dim: int,
        left: int,
        right: int,
        norm: str = "pre",
        dropout: float = 0.0,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.left, self.right = left, right
        self.feed_forward = feed_forward
        self.around_feed_forward = Residual(dim, norm=norm, dropout=dropout, norm_eps=norm_eps)

    def forward(self, batch: Ragged) -> Ragged:
        def read(x: Tensor) -> Tensor:
            near = neighbours(batch.with_values(x), left=self.left, right=self.right)
            return self.feed_forward(near)  # type: ignore[no-any-return]

        return batch.with_values(self.around_feed_forward(batch.values, read))


def neighbours(batch: Ragged, *, left: int, right: int) -> Tensor:
    """``[T, (left+right+1)·E]``: each vector between its neighbours in the same sequence, zeros beyond its ends.

    >>> neighbours(Ragged.from_list([torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0]])]), left=1, right=1)
    tensor([[0., 1., 2.],
            [1., 2., 0.],
            [0., 3., 0.]])
    """
    if left == right == 0:
        return batch.values
    T, width = len(batch.values), left + right + 1
    around = F.pad(batch.values, (0, 0, left, right))
    near = torch.stack([around[start : start + T] for start in range(width)], 1)  # [T, width, E]
    place = batch.positions[:, None] + torch.arange(-left, right + 1, device=batch.values.device)  # [T, width]
    beyond = (place < 0) | (place >= batch.lengths[batch.sequence_ids][:, None])
    near.flatten(0, 1).index_fill_(0, beyond.flatten().nonzero().squeeze(1), 0)
    return near.flatten(1)
