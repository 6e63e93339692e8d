"""Cutting one call into pieces of bounded size: blocks of consecutive query rows, each with the keys it can see.

A piece has n blocks of R rows and W keys. It hands out tensors with the plane axis P (batch · key heads) first, and
takes results back; what is between is the same arithmetic for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.attention.spec import Sequences

PACK = 32  # short sequences share a block up to so many rows and keys
APART = 1 << 13  # scores from which a run of equally long sequences is worth pieces of its own
SHORT = 256  # longer sequences are cut into blocks instead
FEWEST_ROWS, MOST_ROWS = 16, 128  # of a block

Array = NDArray[np.int64]
Sequence = tuple[int, int, int, int]  # query start, query stop, key start, key stop
Limit = Array | np.int64


@dataclass(frozen=True, eq=False)
class Visible:
    """Which columns of its block each row may see: ``low <= column < high``.

    Arguments:
        low, high: ``[n or 1, R]``; None where every row sees every column.
        shift: ``[n or 1]``; key position − query position is ``column − row + shift``.
        some_see_nothing: whether there are such rows.
    """

    low: Tensor | None
    high: Tensor | None
    shift: Tensor
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
        into = self._rows_of(x)
        into.copy_(values.view(into.shape))

    def add_keys(self, x: Tensor, values: Tensor) -> None:
        """Neighbouring blocks share keys: those that share none are added together."""
        into = self._keys_of(x)
        values = values.view(into.shape)
        apart = -(-self.size[2] // self.key_step) if self.size[0] > 1 else 1
        for first in range(apart):
            into[:, first::apart].add_(values[:, first::apart])

    def row_numbers(self, device: torch.device) -> Tensor:
        return _numbers(self.size[0], self.size[1], self.row_start, self.row_step, device)  # [n, R]

    def key_numbers(self, device: torch.device) -> Tensor:
        return _numbers(self.size[0], self.size[2], self.key_start, self.key_step, device)  # [n, W]

    def _rows_of(self, x: Tensor) -> Tensor:
        return _blocks_of(x, self.size[0], self.size[1], self.row_start, self.row_step)

    def _keys_of(self, x: Tensor) -> Tensor:
        return _blocks_of(x, self.size[0], self.size[2], self.key_start, self.key_step)


@dataclass(frozen=True, eq=False)
class Gathered:
    """Whole short sequences, copied side by side and filled up to one size. What fills up is never written back."""

    size: tuple[int, int, int]  # n, R, W
    row_index: Tensor  # [n·R], any row where there is none
    key_index: Tensor  # [n·W]
    filled: Tensor | None  # [n·R, 1] True where there is no row
    real: Tensor | None  # the places of rows that are there; None: all
    planes: int
    visible: Visible

    def take_rows(self, x: Tensor) -> Tensor:
        taken = x.index_select(1, self.row_index)  # [P, n·R, D]
        if self.filled is not None:
            taken.masked_fill_(self.filled, 0)
        return taken.view(-1, self.size[1], x.shape[2])

    def take_keys(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.key_index).view(-1, self.size[2], x.shape[2])

    def put_rows(self, x: Tensor, values: Tensor) -> None:
        values = values.reshape(x.shape[0], -1, x.shape[2])  # [P, n·R, D]
        if self.real is None:
            x.index_copy_(1, self.row_index, values)
        else:
            x.index_copy_(1, self.row_index[self.real], values.index_select(1, self.real))

    def add_keys(self, x: Tensor, values: Tensor) -> None:
        x.index_add_(1, self.key_index, values.reshape(x.shape[0], -1, x.shape[2]))

    def row_numbers(self, device: torch.device) -> Tensor:
        return self.row_index.view(self.size[0], -1)

    def key_numbers(self, device: torch.device) -> Tensor:
        return self.key_index.view(self.size[0], -1)


Piece = Strided | Gathered


@dataclass(frozen=True)
class Cut:
    """What decides how a call is cut, beside its sequences."""

    planes: int
    left: int | None
    right: int | None
    query_start: int
    relative: bool  # whether distances must be told
    budget: int  # scores in a piece
    device: torch.device


@lru_cache(maxsize=32)
def cut(sequences: Sequences, how: Cut) -> tuple[Piece, ...]:
    """All pieces of a call; every query row that may see a key is in just one of them."""
    short: list[Sequence] = []
    pieces: list[Piece] = []
    for _, alike in groupby(sequences, lambda sequence: (sequence[1] - sequence[0], sequence[3] - sequence[2])):
        run = list(alike)
        q0, q1, k0, k1 = run[0]
        if q0 == q1 or k0 == k1:
            continue
        if len(sequences) == 1 or max(q1 - q0, k1 - k0) > SHORT:
            for sequence in run:
                pieces.extend(_strided(sequence, how))
        elif len(run) * (q1 - q0) * (k1 - k0) * how.planes >= APART:
            pieces.extend(_equal(run, how))
        else:
            short.extend(run)
    if short:
        pieces.extend(_gathered(np.array(short), how))
    return tuple(pieces)


def _equal(run: list[Sequence], how: Cut) -> Iterator[Strided]:
    """Neighbouring short sequences of one size: each is a block."""
    rows, keys = run[0][1] - run[0][0], run[0][3] - run[0][2]
    most = max(1, how.budget // (rows * keys))
    for place in range(0, len(run), most):
        some = run[place : place + most]
        piece = _strided_piece(some[0][0], rows, some[0][2], keys, len(some), rows, some[0], how)
        yield replace(piece, key_step=keys, planes=max(1, most // len(some)))


def _strided(sequence: Sequence, how: Cut) -> Iterator[Strided]:
    q0, q1, k0, k1 = sequence
    rows = _block_rows(q1 - q0, k1 - k0, how)
    starts = np.arange(q0, q1, rows)
    stops = np.minimum(starts + rows, q1)
    low, high = _limits(np.arange(q0, q1), np.int64(q0), np.int64(k0), np.int64(k1), how)
    first, last = low[starts - q0], high[stops - 1 - q0]  # both limits rise with the row
    block = 0
    while block < len(starts):
        start, stop, key_start, width = starts[block], stops[block], first[block], last[block] - first[block]
        run = 1
        alike = first[block:] - key_start == np.arange(len(starts) - block) * rows
        alike &= (last[block:] - first[block:] == width) & (stops[block:] - starts[block:] == stop - start)
        if alike[1:2].all() and width > 0:
            run = int(alike.argmin()) if not alike.all() else len(alike)
            together = max(1, how.budget // int((stop - start) * width))
            run = min(run, together) if run > how.planes else 1
        if width > 0:
            yield _strided_piece(int(start), int(stop - start), int(key_start), int(width), run, rows, sequence, how)
        block += run


def _strided_piece(
    start: int,
    rows: int,
    key_start: int,
    width: int,
    run: int,
    step: int,
    sequence: Sequence,
    how: Cut,
) -> Strided:
    q0, _, k0, k1 = sequence
    low, high = _limits(np.arange(start, start + rows), np.int64(q0), np.int64(k0), np.int64(k1), how)
    low, high = low - key_start, high - key_start
    shift = np.array([(key_start - k0) - (start - q0 + how.query_start)])
    return Strided(
        size=(run, rows, width),
        row_start=start,
        row_step=step,
        key_start=key_start,
        key_step=step if run > 1 else 0,
        planes=1 if run > 1 else max(1, how.budget // (rows * width)),
        visible=_visible(low[None], high[None], shift, width, how.device),
    )


def _block_rows(rows: int, keys: int, how: Cut) -> int:
    """A quarter of the window: short blocks touch fewer keys in vain at its edges, long ones multiply faster."""
    sides = [keys if side is None else side for side in (how.left, how.right)]
    band = min(keys, sum(sides) + 1)
    wanted = min(MOST_ROWS, max(FEWEST_ROWS, 1 << round(math.log2(max(1, band / 4)))))
    while wanted > 1 and wanted * min(keys, band + wanted) > how.budget:
        wanted //= 2
    return min(rows, wanted)


def _limits(rows: Array, q0: Limit, k0: Limit, k1: Limit, how: Cut) -> tuple[Array, Array]:
    """First visible key of each row, and one past the last, by where they stand in the batch."""
    position = rows - q0 + how.query_start
    low = np.zeros_like(position) if how.left is None else position - how.left
    high = np.broadcast_to(k1 - k0, position.shape) if how.right is None else position + how.right + 1
    return k0 + low.clip(0, k1 - k0), k0 + high.clip(0, k1 - k0)


def _visible(low: Array, high: Array, shift: Array, width: int, device: torch.device) -> Visible:
    def on_device(x: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(device)

    all_seen = bool((low <= 0).all() and (high >= width).all())
    shift = shift[:1] if (shift == shift[0]).all() else shift
    limits = (None, None) if all_seen else (on_device(low), on_device(high))
    return Visible(limits[0], limits[1], on_device(shift), bool((low >= high).any()))


def _gathered(sequences: Array, how: Cut) -> Iterator[Gathered]:
    """Packs of sequences that lie side by side, grouped with packs of like size so that little is filled up."""
    owner = _pack(sequences, how)
    heads, tails = np.unique(owner, return_index=True)[1], np.append(np.flatnonzero(np.diff(owner)), len(owner) - 1)
    row_start, key_start = sequences[heads, 0], sequences[heads, 2]
    rows, keys = sequences[tails, 1] - row_start, sequences[tails, 3] - key_start

    total = int(sequences[-1, 1])
    low_of, high_of = np.zeros(total, np.int64), np.zeros(total, np.int64)  # by row of the batch
    lengths = sequences[:, 1] - sequences[:, 0]
    which = np.repeat(np.arange(len(sequences)), lengths)
    row = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + sequences[which, 0]
    q0, _, k0, k1 = sequences[which].T
    low_of[row], high_of[row] = _limits(row, q0, k0, k1, how)

    order = np.lexsort((keys, rows))
    for group in _groups(rows[order], keys[order], how):
        packs = order[group]
        yield _gathered_piece(row_start[packs], rows[packs], key_start[packs], keys[packs], low_of, high_of, how)


def _pack(sequences: Array, how: Cut) -> Array:
    """``[B]`` which pack each sequence belongs to; a pack is contiguous in rows and in keys."""
    owner, pack = [], -1
    first_row = first_key = last_row = last_key = -1
    for q0, q1, k0, k1 in sequences.tolist():
        fits = q0 == last_row and k0 == last_key and q1 - first_row <= PACK and k1 - first_key <= PACK
        if not fits or (how.relative and k0 - q0 != first_key - first_row):
            pack, first_row, first_key = pack + 1, q0, k0
        last_row, last_key = q1, k1
        owner.append(pack)
    return np.array(owner)


def _groups(rows: Array, keys: Array, how: Cut) -> Iterator[slice]:
    """Runs of packs, sorted by size, that may be filled up to their largest."""
    start = filled = most_rows = most_keys = 0
    for place, (r, k) in enumerate(zip(rows.tolist(), keys.tolist(), strict=True)):
        most_rows, most_keys = max(most_rows, r), max(most_keys, k)
        padded = most_rows * most_keys * (place + 1 - start)
        if place > start and (padded > how.budget or padded > 1.5 * (filled + r * k) + 2 * PACK**2):
            yield slice(start, place)
            start, filled, most_rows, most_keys = place, 0, r, k
        filled += r * k
    yield slice(start, len(rows))


def _gathered_piece(
    row_start: Array, rows: Array, key_start: Array, keys: Array, low_of: Array, high_of: Array, how: Cut
) -> Gathered:
    most_rows, most_keys = int(rows.max()), int(keys.max())
    row_real = np.arange(most_rows) < rows[:, None]  # [n, R]
    key_real = np.arange(most_keys) < keys[:, None]  # [n, W]
    row_index = np.where(row_real, row_start[:, None] + np.arange(most_rows), row_start[:1])
    key_index = np.where(key_real, key_start[:, None] + np.arange(most_keys), key_start[:1])
    low = np.where(row_real, low_of[row_index] - key_start[:, None], 0)  # what fills up sees all: no empty row
    high = np.where(row_real, high_of[row_index] - key_start[:, None], most_keys)
    shift = np.full(len(rows), -how.query_start)
    filled = None if row_real.all() else torch.from_numpy(~row_real.reshape(-1, 1)).to(how.device)
    return Gathered(
        size=(len(rows), most_rows, most_keys),
        row_index=torch.from_numpy(row_index.ravel()).to(how.device),
        key_index=torch.from_numpy(key_index.ravel()).to(how.device),
        filled=filled,
        real=None if filled is None else (~filled).flatten().nonzero().flatten(),
        planes=max(1, how.budget // (len(rows) * most_rows * most_keys)),
        visible=_visible(low, high, shift, most_keys, how.device),
    )


def _blocks_of(x: Tensor, n: int, length: int, start: int, step: int) -> Tensor:
    """``[P, N, D]`` → ``[P, n, length, D]``, a view."""
    plane, row, column = x.stride()
    planes, _, dim = x.shape
    return x.as_strided((planes, n, length, dim), (plane, step * row, row, column), x.storage_offset() + start * row)


def _numbers(n: int, length: int, start: int, step: int, device: torch.device) -> Tensor:
    blocks = torch.arange(n, device=device) * step + start
    return blocks[:, None] + torch.arange(length, device=device)
