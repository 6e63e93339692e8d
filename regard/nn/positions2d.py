"""What tells a network in which row and which column each of its vectors stands; see `regard.nn.positions`.

All take batches with a ``grid``: `Sinusoidal2d` and `Learned2d` are added to the vectors before the first layer,
`Relative2d`, `Alibi2d` and `Rotary2d` say something to the attention of each layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention import GridBias
from regard.errors import ConfigError, ShapeError
from regard.nn.positions import TABLE_SCALE, Order, alibi_slopes, angles_of, waves_of
from regard.ragged import Ragged, takes_ragged


class Sinusoidal2d(nn.Module):
    """Adds fixed waves: those of the row to the first half of the elements, those of the column to the rest.

    Parmar et al. 2018, "Image Transformer", section 3.1.

    >>> Sinusoidal2d()(Ragged.from_grids([torch.zeros(1, 2, 4)])).values
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.0000, 1.0000, 0.8415, 0.5403]])
    """

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Ragged:
        """``[T, E]`` → ``[T, E]``."""
        dim = batch.values.shape[-1]
        rows, columns = places(batch, start)
        waves = torch.cat([waves_of(rows, dim // 2), waves_of(columns, dim - dim // 2)], 1)  # [T, E]
        return batch.with_values(batch.values + waves.to(batch.values.dtype))


class Learned2d(nn.Module):
    """Adds a learned vector for each row and one for each column.

    Arguments:
        dim: ``E``.
        length: how many rows and how many columns there are, so the largest image that can be taken.

    Raises:
        ConfigError: on a larger image.
    """

    def __init__(self, dim: int, *, length: int) -> None:
        super().__init__()
        self.rows, self.columns = (nn.Parameter(torch.empty(length, dim)) for _ in range(2))
        for table in (self.rows, self.columns):
            nn.init.normal_(table, std=0.1)  # small beside vectors of unit scale

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Ragged:
        """``[T, E]`` → ``[T, E]``."""
        rows, columns = places(batch, start)
        largest, length = 0 if batch.grid is None or not len(batch) else int(batch.grid.max()), len(self.rows)
        if largest > length:
            raise ConfigError(
                f"position_reach: learned positions end at {length} rows and columns, got an image of {largest}; "
                "train with a larger position_reach, or take positions that have no end (relative, sinusoidal)"
            )
        return batch.with_values(batch.values + F.embedding(rows, self.rows) + F.embedding(columns, self.columns))


class Relative2d(nn.Module):
    """A learned bias for each layer, head and distance in rows, and one in columns; one for all that is further off.

    Ramachandran et al. 2019, "Stand-Alone Self-Attention in Vision Models" (rows and columns apart).

    Tables are as those of :class:`regard.nn.Relative`; the two biases of a pair together start with deviation 1.

    Arguments:
        depth: number of layers.
        heads: ``H``.
        reach: rows and columns told apart above, below, before and after the query.
    """

    def __init__(self, depth: int, heads: int, *, reach: tuple[int, int, int, int]) -> None:
        super().__init__()
        up, down, left, right = reach
        self.up, self.left = up, left
        self.rows = nn.Parameter(torch.empty(depth, heads, up + down + 1))
        self.columns = nn.Parameter(torch.empty(depth, heads, left + right + 1))
        for tables in (self.rows, self.columns):
            nn.init.normal_(tables, std=2**-0.5 / TABLE_SCALE)

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
        """For each layer a bias, of tables ``[H, up+down+1]`` and ``[H, left+right+1]``; the same for all batches."""
        return [self.of_layer(layer, batch, start) for layer in range(len(self.rows))]

    def of_layer(self, layer: int, batch: Ragged, start: Tensor | None = None) -> Order:
        """What :meth:`forward` has of a batch ``[T, E]`` for one of the layers, counted from 0."""
        rows, columns = self.rows[layer] * TABLE_SCALE, self.columns[layer] * TABLE_SCALE
        return Order(bias=GridBias(rows, columns, self.up, self.left))


class Alibi2d(nn.Module):
    """A fixed bias that falls with the rows and columns between two vectors, ``−slope_h · (|Δrow| + |Δcolumn|)``.

    Arguments:
        heads: ``H``.
    """

    slopes: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.register_buffer("slopes", alibi_slopes(heads), persistent=False)

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
        """For all layers of a batch ``[T, E]`` one bias, whose tables end with the largest image."""
        return repeat(self.of_layer(0, batch, start))

    def of_layer(self, layer: int, batch: Ragged, start: Tensor | None = None) -> Order:
        """What :meth:`forward` has of a batch ``[T, E]`` for one of the layers, counted from 0."""
        grid = _grid(batch, start)
        rows, columns = grid.amax(0).clamp(min=1).tolist() if len(grid) else (1, 1)
        return Order(bias=GridBias(self._table(rows), self._table(columns)))

    def _table(self, size: int) -> Tensor:
        """``[H, 2·size − 1]``."""
        return -self.slopes[:, None] * torch.arange(1 - size, size, device=self.slopes.device).abs()


class Rotary2d(nn.Module):
    """Turns half of the pairs of queries and keys by angles of the row, the other half by angles of the column.

    Their product then depends on the distance in rows and columns alone; see :class:`regard.nn.Rotary`.

    Arguments:
        head_dim: D, a multiple of 4.
    """

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        if head_dim % 4:
            raise ConfigError(
                f"positions: rotary turns pairs of elements, half of them by row and half by column, so the dim of a "
                f"head must be a multiple of 4, got {head_dim}; choose another dim or number of heads"
            )
        self.head_dim = head_dim

    @takes_ragged
    def forward(self, batch: Ragged, start: Tensor | None = None) -> Iterable[Order]:
        """For all layers one rotation of the vectors ``[T]``."""
        return repeat(self.of_layer(0, batch, start))

    def of_layer(self, layer: int, batch: Ragged, start: Tensor | None = None) -> Order:
        """What :meth:`forward` has of a batch ``[T, E]`` for one of the layers, counted from 0."""
        angles = torch.cat([angles_of(place, self.head_dim // 2) for place in places(batch, start)], 1)[:, None]
        return Order(rotation=(angles.cos(), angles.sin()))  # [T, 1, D/2] each


def places(batch: Ragged, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Row and column of each vector, ``[T]`` int64 each.

    Raises:
        ShapeError: a batch without a grid, or a part of one.
    """
    columns = _grid(batch, start)[:, 1].to(batch.values.device)[batch.sequence_ids]
    return batch.positions // columns, batch.positions % columns


def _grid(batch: Ragged, start: Tensor | None) -> Tensor:
    if batch.grid is None or start is not None:
        found = "sequences that stand in a line" if batch.grid is None else "a part of them"
        raise ShapeError(f"positions in two dimensions are for whole images (Ragged.from_grids), got {found}")
    return batch.grid
