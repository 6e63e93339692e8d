"""What tells a network the order of its vectors.

`Sinusoidal` and `Learned` are added to the vectors before the first layer. `Relative`, `Alibi` and `Rotary` leave the
vectors alone and say something to the attention of each layer: an `Order`, made once for a batch. All take ``start``
``[B]``, the position of each sequence's first row, which is not 0 where what came before is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention import GridBias, RelativeBias
from regard.errors import ConfigError
from regard.ragged import Ragged, known, on_host, takes_ragged


@dataclass(frozen=True, eq=False)
class Order:
    """What one attention layer is told of the order in a batch; nothing, unless given.

    Arguments:
        bias: added to the scores by distance.
        rotation: cosine and sine, ``[T, 1, D/2]`` each, by which queries and keys are turned; see :func:`rotate`.
    """

    bias: RelativeBias | GridBias | None = None
    rotation: tuple[Tensor, Tensor] | None = None


NO_ORDER = Order()
TABLE_SCALE = 10.0


class Sinusoidal(nn.Module):
    """Adds fixed waves: ``sin(p / 10000^(2i/E))`` in element 2i and the cosine in 2i+1, for position p.

    Vaswani et al. 2017, "Attention Is All You Need", section 3.5.

    >>> Sinusoidal()(Ragged.from_list([torch.zeros(2, 4)])).values
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Ragged:
        """``[T, E]`` → ``[T, E]``."""
        waves = waves_of(_positions(batch, start), batch.values.shape[-1])
        return batch.with_values(batch.values + waves.to(batch.values.dtype))


class Learned(nn.Module):
    """Adds a learned vector for each position.

    Arguments:
        dim: ``E``.
        length: how many positions there are, so the longest sequence that can be taken.

    Raises:
        ConfigError: on a longer sequence.
    """

    def __init__(self, dim: int, *, length: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(length, dim))
        nn.init.normal_(self.table, std=0.1)  # small beside vectors of unit scale

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Ragged:
        """``[T, E]`` → ``[T, E]``."""
        longest, length = _longest(batch, start), len(self.table)
        if longest > length:
            raise ConfigError(
                f"position_reach: learned positions end at {length} items, got a sequence of {longest}; "
                "train with a larger position_reach, or take positions that have no end (relative, sinusoidal)"
            )
        return batch.with_values(batch.values + F.embedding(_positions(batch, start), self.table))


class Relative(nn.Module):
    """A learned bias for each layer, head and distance between query and key; one for all that is further off.

    Shaw, Uszkoreit and Vaswani 2018, "Self-Attention with Relative Position Representations" (the clipped distance);
    Raffel et al. 2020, "Exploring the Limits of Transfer Learning" (the bias).

    ``bias = 10 · table``: Adam moves all numbers at one pace, which suits weights near 0.1 and lets a bias that begins
    at 0 hardly leave it. It starts normal with deviation 1, so that each head has distances of its own from the first.

    Arguments:
        depth: number of layers.
        heads: ``H``.
        left, right: positions told apart before and after the query.
    """

    def __init__(self, depth: int, heads: int, *, left: int, right: int) -> None:
        super().__init__()
        self.left = left
        self.tables = nn.Parameter(torch.empty(depth, heads, left + right + 1))
        nn.init.normal_(self.tables, std=1 / TABLE_SCALE)

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
        """For each layer a bias, table ``[H, left+right+1]``; the same for all batches."""
        return [Order(bias=RelativeBias(table, self.left)) for table in torch.unbind(self.tables * TABLE_SCALE)]

    def of_layer(self, layer: int, batch: Ragged, start: Tensor | None = None) -> Order:
        """What :meth:`forward` has of a batch ``[T, E]`` for one of the layers, counted from 0."""
        return Order(bias=RelativeBias(self.tables[layer] * TABLE_SCALE, self.left))


class Alibi(nn.Module):
    """A fixed bias that falls with distance, ``−slope_h · |position(k) − position(q)|``; see :func:`alibi_slopes`.

    Press, Smith and Lewis 2022, "Train Short, Test Long"; with both directions alike where keys follow the query.

    Arguments:
        heads: ``H``.
        left, right: positions that may be seen before and after the query; None for no limit.
    """

    slopes: Tensor

    def __init__(self, heads: int, *, left: int | None = None, right: int | None = None) -> None:
        super().__init__()
        self.left, self.right = left, right
        self.register_buffer("slopes", alibi_slopes(heads), persistent=False)

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
        """For all layers of a batch ``[T, E]`` one bias, whose table ends with the window or the longest sequence."""
        return repeat(self.of_layer(0, batch, start))

    def of_layer(self, layer: int, batch: Ragged, start: Tensor | None = None) -> Order:
        """What :meth:`forward` has of a batch ``[T, E]`` for one of the layers, counted from 0."""
        furthest = max(0, _longest(batch, start) - 1)
        left, right = (furthest if side is None else min(side, furthest) for side in (self.left, self.right))
        distance = torch.arange(-left, right + 1, device=self.slopes.device).abs()
        return Order(bias=RelativeBias(-self.slopes[:, None] * distance, left))  # table [H, left+right+1]


class Rotary(nn.Module):
    """Turns queries and keys by angles that grow with position, so that their product depends on the distance alone.

    Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding".

    Arguments:
        head_dim: D, even.
    """

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        if head_dim % 2:
            raise ConfigError(
                f"positions: rotary turns pairs of elements, so the dim of a head must be even, got {head_dim}; "
                "choose another dim or number of heads"
            )
        self.head_dim = head_dim

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
        """For all layers one rotation of the rows ``[T]``."""
        return repeat(self.of_layer(0, batch, start))

    def of_layer(self, layer: int, batch: Ragged, start: Tensor | None = None) -> Order:
        """What :meth:`forward` has of a batch ``[T, E]`` for one of the layers, counted from 0."""
        angles = angles_of(_positions(batch, start), self.head_dim)[:, None]  # [T, 1, D/2]
        return Order(rotation=(angles.cos(), angles.sin()))


class Ordering(Protocol):
    """What tells each layer's attention of order: `Relative`, `Alibi` or `Rotary`, or those of two dimensions."""

    def __call__(self, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
        """What each layer is told."""

    def of_layer(self, layer: int, batch: Ragged, start: Tensor | None = None) -> Order:
        """What one of the layers, counted from 0, is told."""


def enter(
    batch: Ragged,
    positions: nn.Module | None,
    embedding_norm: nn.Module | None = None,
    start: Tensor | None = None,
) -> Ragged:
    """What goes into the first layer of an encoder or a decoder, ``embedding_norm(positions(x))``, ``[T, E]``.

    Arguments:
        positions: `Sinusoidal`, `Learned`, or None.
        start: ``[B]``, position of each sequence's first row; None for 0.
    """
    if positions is not None:
        batch = positions(batch, start)
    return batch if embedding_norm is None else batch.with_values(embedding_norm(batch.values))


def orders_of_layers(ordering: Ordering | None, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
    """What each layer's attention is told of the order in the batch; ``start`` as in :func:`enter`."""
    orders: Iterable[Order] = repeat(NO_ORDER) if ordering is None else ordering(batch, start)
    return orders


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """``[T, H, D]`` with elements i and D/2+i of each row turned as a point of the plane by the row's i-th angle."""
    cos, sin = rotation
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


def alibi_slopes(heads: int) -> Tensor:
    """``[H]``: ``2^(−8/H), 2^(−16/H), …``; where H is no power of 2, every second slope of 2·H' heads fills up.

    >>> alibi_slopes(4).tolist(), alibi_slopes(3).tolist()
    ([0.25, 0.0625, 0.015625, 0.00390625], [0.0625, 0.00390625, 0.25])
    """
    power = 1 << (heads.bit_length() - 1)  # the largest power of 2 in heads
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    between = [2 ** (-4 * (i + 1) / power) for i in range(0, 2 * power, 2)]
    return torch.tensor(slopes + between[: heads - power])


def angles_of(positions: Tensor, dim: int) -> Tensor:
    """``p · 10000^(−2i/dim)`` for each of the positions p, ``[T, dim/2]`` float32."""
    steps = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32)
    return positions[:, None] * torch.exp(steps * (-math.log(10000) / max(dim, 1)))


def waves_of(positions: Tensor, dim: int) -> Tensor:
    """Sine and cosine of those angles in turn, ``[T, dim]``."""
    angles = angles_of(positions, dim + dim % 2)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :dim]


def _positions(batch: Ragged, start: Tensor | None) -> Tensor:
    """``[T]`` int64, of each row."""
    if start is None:
        return batch.positions
    rows = torch.arange(len(batch.values), device=batch.values.device)
    return rows + (start - batch.offsets[:-1])[batch.sequence_ids]


def _longest(batch: Ragged, start: Tensor | None) -> int:
    """How many positions the longest sequence has with this batch."""
    if batch.part is not None:
        return batch.part.longest
    if start is None:
        return batch.longest
    furthest = known(start)
    offsets, begun = on_host(batch.offsets, start if furthest is None else furthest)
    return int((offsets.diff() + begun).max()) if len(batch) else 0
