"""Pieces of a call: n blocks of R consecutive query rows, each with the W keys it can see.

A piece hands out tensors with the plane axis P (batch · key heads) first, and takes results back; what is between is
the same arithmetic for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Visible:
    """Which columns of its block each row may see: ``low <= column < high``.

    Arguments:
        low, high: ``[n or 1, R]``; None where every row sees every column.
        shift: key position − query position is ``column − row + shift``.
        some_see_nothing: whether there are such rows.
    """

    low: Tensor | None
    high: Tensor | None
    shift: int
    some_see_nothing: bool


@dataclass(frozen=True, eq=False)
class Strided:
    """Blocks that follow each other at equal steps: a view where n = 1 or one plane is taken at a time."""

    size: tuple[int, int, int]  # n, R, W
    row_start: int
    row_step: int
    key_start: int
    key_step: int
    planes: int  # how many are taken together
    visible: Visible

    def take_rows(self, x: Tensor) -> Tensor:
        """``[P, Nq, D]`` → ``[P·n, R, D]``."""
        return self._rows_of(x).reshape(-1, self.size[1], x.shape[2])

    def take_keys(self, x: Tensor) -> Tensor:
        """``[P, Nk, D]`` → ``[P·n, W, D]``."""
        return self._keys_of(x).reshape(-1, self.size[2], x.shape[2])

    def put_rows(self, x: Tensor, values: Tensor) -> None:
        """Writes ``values [P·n, R, D]`` into ``x [P, Nq, D]``."""
        into = self._rows_of(x)
        into.copy_(values.view(into.shape))

    def add_keys(self, x: Tensor, values: Tensor) -> None:
        """Adds ``values [P·n, W, D]`` to ``x [P, Nk, D]``; neighbours share keys: those that share none go together."""
        into = self._keys_of(x)
        values = values.view(into.shape)
        apart = -(-self.size[2] // self.key_step) if self.size[0] > 1 else 1
        for first in range(apart):
            into[:, first::apart].add_(values[:, first::apart])

    def starts(self) -> list[tuple[int, int]]:
        """The first row and the first key of each block."""
        return [(self.row_start + n * self.row_step, self.key_start + n * self.key_step) for n in range(self.size[0])]

    def row_numbers(self, device: torch.device) -> Tensor:
        """``[n, R]``: which rows of the batch they are."""
        return _numbers(self.size[0], self.size[1], self.row_start, self.row_step, device)

    def key_numbers(self, device: torch.device) -> Tensor:
        """``[n, W]``: which keys of the batch they are."""
        return _numbers(self.size[0], self.size[2], self.key_start, self.key_step, device)

    def _rows_of(self, x: Tensor) -> Tensor:
        return _blocks_of(x, self.size[0], self.size[1], self.row_start, self.row_step)

    def _keys_of(self, x: Tensor) -> Tensor:
        return _blocks_of(x, self.size[0], self.size[2], self.key_start, self.key_step)


@dataclass(frozen=True, eq=False)
class Gathered:
    """Whole short sequences, copied side by side and padded to one size. Padding is never written back."""

    size: tuple[int, int, int]  # n, R, W
    row_index: Tensor  # [n·R], any row where there is none
    key_index: Tensor  # [n·W]
    padding: Tensor | None  # [n·R, 1] True where there is no row
    real: Tensor | None  # the places of rows that are there; None: all
    planes: int
    visible: Visible

    def take_rows(self, x: Tensor) -> Tensor:
        """``[P, Nq, D]`` → ``[P·n, R, D]``, zeros where there is no row."""
        taken = x.index_select(1, self.row_index)  # [P, n·R, D]
        if self.padding is not None:
            taken.masked_fill_(self.padding, 0)
        return taken.view(-1, self.size[1], x.shape[2])

    def take_keys(self, x: Tensor) -> Tensor:
        """``[P, Nk, D]`` → ``[P·n, W, D]``."""
        return x.index_select(1, self.key_index).view(-1, self.size[2], x.shape[2])

    def put_rows(self, x: Tensor, values: Tensor) -> None:
        """Writes ``values [P·n, R, D]`` into ``x [P, Nq, D]``, but no padding."""
        values = values.reshape(x.shape[0], -1, x.shape[2])  # [P, n·R, D]
        if self.real is None:
            x.index_copy_(1, self.row_index, values)
        else:
            x.index_copy_(1, self.row_index[self.real], values.index_select(1, self.real))

    def add_keys(self, x: Tensor, values: Tensor) -> None:
        """Adds ``values [P·n, W, D]`` to ``x [P, Nk, D]``."""
        x.index_add_(1, self.key_index, values.reshape(x.shape[0], -1, x.shape[2]))

    def row_numbers(self, device: torch.device) -> Tensor:
        """``[n, R]``: which rows of the batch they are; padding has the number of some other."""
        return self.row_index.view(self.size[0], -1)

    def key_numbers(self, device: torch.device) -> Tensor:
        """``[n, W]``: which keys of the batch they are; padding has the number of some other."""
        return self.key_index.view(self.size[0], -1)


Piece = Strided | Gathered


def _blocks_of(x: Tensor, n: int, length: int, start: int, step: int) -> Tensor:
    """``[P, N, D]`` → ``[P, n, length, D]``, a view."""
    plane, row, column = x.stride()
    planes, _, dim = x.shape
    return x.as_strided((planes, n, length, dim), (plane, step * row, row, column), x.storage_offset() + start * row)


def _numbers(n: int, length: int, start: int, step: int, device: torch.device) -> Tensor:
    blocks = torch.arange(n, device=device) * step + start
    return blocks[:, None] + torch.arange(length, device=device)
