"""A layer without attention, to compare with: it sees a fixed run of neighbours, or none."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ConfigError
from regard.nn.chunk import Chunk, on_device_of, packed
from regard.nn.layers import NORM_EPS, FeedForward, Residual
from regard.nn.positions import NO_ORDER, Order
from regard.nn.streaming import Buffer, LayerState
from regard.parallel.rows import with_neighbours
from regard.ragged import Ragged, takes_ragged


class NeighbourLayer(nn.Module):
    """A :class:`Residual` around a fully connected network that reads a run of neighbours at once.

    ``y_p = W_2 activation(W_1 [x_{p−left}; …; x_{p+right}] + b_1) + b_2``: W_1 is a 1-D convolution, and takes each
    vector by itself where left = right = 0. In images it is a 2-D convolution.

    Arguments:
        feed_forward: from ``[T, (left+right+1)·E]``, in images ``[T, (up+down+1)·(left+right+1)·E]``, to ``[T, E]``.
        dim: ``E``.
        left, right: neighbours seen to each side.
        rows: of images: neighbours seen (up, down); None where vectors stand in a line.
        norm, dropout, norm_eps: as in :class:`Residual`.
    """

    def __init__(
        self,
        feed_forward: FeedForward,
        *,
        dim: int,
        left: int,
        right: int,
        rows: tuple[int, int] | None = None,
        norm: str = "pre",
        dropout: float = 0.0,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.left, self.right, self.rows = left, right, rows
        self.feed_forward = feed_forward
        self.around_feed_forward = Residual(dim, norm=norm, dropout=dropout, norm_eps=norm_eps)

    @property
    def sides(self) -> tuple[int, int]:
        """How many neighbours to the left and right it sees."""
        return self.left, self.right

    @takes_ragged
    def forward(self, batch: Ragged, order: Order = NO_ORDER) -> Ragged:
        """``[T, E]`` → ``[T, E]``; there is no attention that an ``order`` could be told to."""
        _check_order(order)

        def read(x: Tensor) -> Tensor:
            at, sides = batch.with_values(x), {"left": self.left, "right": self.right}
            if at.part is not None:
                around, (first, stop) = with_neighbours(at, at.part, **sides)
                return self.feed_forward(neighbours(around, **sides)[first:stop])  # type: ignore[no-any-return]
            near = neighbours(at, **sides) if self.rows is None else neighbours2d(at, *self.rows, **sides)
            return self.feed_forward(near)  # type: ignore[no-any-return]

        return batch.with_values(self.around_feed_forward(batch.values, read))

    def start(self) -> LayerState[Buffer]:
        """What :meth:`extend` needs for streams of which nothing has come yet."""
        if self.rows is not None:
            raise ConfigError("a stream is of what comes one after another, which the pixels of an image do not")
        return LayerState(Buffer(self.left + self.right), Buffer(self.right))

    @torch.no_grad()
    def extend(self, chunk: Chunk, state: LayerState[Buffer], order: Order = NO_ORDER) -> Chunk:
        """``[T, E]`` → ``[T', E]``: takes in the next rows of R streams; gives those with all their neighbours now.

        Over all chunks of a stream these are the rows of :meth:`forward`; without gradient.
        """
        _check_order(order)

        def read(rows: Chunk) -> Chunk:
            near = newest_neighbours(rows, state.part, left=self.left, right=self.right)
            return Chunk(self.feed_forward(near), rows.places.after(self.right))

        return self.around_feed_forward.extend(chunk, state.waiting, read)


def _check_order(order: Order) -> None:
    if order.bias is not None or order.rotation is not None:
        raise ConfigError(
            "order: a layer of neighbours has no attention that could be told of it; add positions to the vectors"
        )


def newest_neighbours(chunk: Chunk, past: Buffer, *, left: int, right: int) -> Tensor:
    """As :func:`neighbours`, ``[T', (left+right+1)·E]``, of those rows of R streams that have all of theirs now.

    Arguments:
        chunk: the next rows, ``[T, E]``.
        past: the last ``left + right`` rows before them; it takes in the chunk.
    """
    if left == right == 0:
        return chunk.values
    rows = past.extend(chunk.values[:, None], chunk.places)[:, 0]  # [R, N, E]
    (_, N, E), held, picked = rows.shape, chunk.places.held(left + right), chunk.places.picked(right)
    if picked.start == picked.stop:
        return rows.new_empty(0, (left + right + 1) * E)
    if not held.full:
        others = np.arange(N) < N - held.counts[:, None]  # [R, N], in front of a stream's first row
        rows = rows.masked_fill(on_device_of(rows, others)[..., None], 0)
    near = F.pad(rows, (0, 0, left, right)).unfold(1, left + right + 1, 1).permute(0, 3, 1, 2)  # [R, width, N, E]
    near = near[:, :, N - chunk.places.held(right).columns :]  # of the rows that had to wait
    return packed(near[:, :, picked.start : picked.stop], picked).flatten(1)


@takes_ragged
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
    return near.masked_fill_(beyond[..., None], 0).flatten(1)


@takes_ragged
def neighbours2d(batch: Ragged, up: int, down: int, *, left: int, right: int) -> Tensor:
    """``[T, (up+down+1)·(left+right+1)·E]``: each vector among its neighbours in the image, zeros beyond the border.

    >>> neighbours2d(Ragged.from_grids([torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])]), 1, 0, left=0, right=1)
    tensor([[0., 0., 1., 2.],
            [0., 0., 2., 0.],
            [1., 2., 3., 4.],
            [2., 0., 4., 0.]])
    """

    def near(images: Tensor) -> Tensor:
        rows, columns = images.shape[1:3]
        around = F.pad(images, (0, 0, left, right, up, down))
        shifts = [(row, column) for row in range(up + down + 1) for column in range(left + right + 1)]
        return torch.cat([around[:, row : row + rows, column : column + columns] for row, column in shifts], 3)

    return batch.map_grids(near).values
