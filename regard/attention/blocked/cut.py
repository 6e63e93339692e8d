"""Cutting one call into pieces of bounded size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.attention.blocked.pieces import Gathered, Piece, Strided, Visible
from regard.attention.spec import Sequences

PACK = 32  # short sequences share a block up to so many rows and keys
UNPACKED = 1 << 13  # scores from which a run of equally long sequences is worth pieces of its own
SHORT = 256  # longer sequences are cut into blocks instead
FEWEST_ROWS, MOST_ROWS = 16, 128  # of a block

Array = NDArray[np.int64]
Sequence = tuple[int, int, int, int]  # query start, query stop, key start, key stop
Limit = Array | np.int64


@dataclass(frozen=True)
class CutRules:
    """What decides how a call is cut, beside its sequences."""

    planes: int
    left: int | None
    right: int | None
    query_start: int
    relative: bool  # whether the distances within a block must be of one shift
    budget: int  # scores in a piece
    copied_per_key: int  # numbers, where blocks of several planes are taken together; 0: they are not
    device: torch.device


@lru_cache(maxsize=32)
def cut(sequences: Sequences, rules: CutRules) -> tuple[Piece, ...]:
    """All pieces of a call; every query row that may see a key is in just one of them."""
    short: list[Sequence] = []
    pieces: list[Piece] = []
    for _, of_one_size in groupby(sequences, lambda sequence: (sequence[1] - sequence[0], sequence[3] - sequence[2])):
        run = list(of_one_size)
        q0, q1, k0, k1 = run[0]
        if q0 == q1 or k0 == k1:
            continue
        if len(sequences) == 1 or max(q1 - q0, k1 - k0) > SHORT:
            for sequence in run:
                pieces.extend(_strided(sequence, rules))
        elif len(run) * (q1 - q0) * (k1 - k0) * rules.planes >= UNPACKED:
            pieces.extend(_equal(run, rules))
        else:
            short.extend(run)
    if short:
        pieces.extend(_gathered(np.array(short), rules))
    return tuple(pieces)


def _equal(run: list[Sequence], rules: CutRules) -> Iterator[Strided]:
    """Neighbouring short sequences of one size: each is a block."""
    rows, keys = run[0][1] - run[0][0], run[0][3] - run[0][2]
    most = max(1, rules.budget // (rows * keys))
    for place in range(0, len(run), most):
        some = run[place : place + most]
        piece = _strided_piece(some[0][0], rows, some[0][2], keys, len(some), rows, some[0], rules)
        yield replace(piece, key_step=keys, planes=max(1, most // len(some)))


def _strided(sequence: Sequence, rules: CutRules) -> Iterator[Strided]:
    q0, q1, k0, k1 = sequence
    rows = _block_rows(q1 - q0, k1 - k0, rules)
    starts = np.arange(q0, q1, rows)
    stops = np.minimum(starts + rows, q1)
    low, high = _limits(np.arange(q0, q1), np.int64(q0), np.int64(k0), np.int64(k1), rules)
    first, last = low[starts - q0], high[stops - 1 - q0]  # both limits rise with the row
    block = 0
    while block < len(starts):
        start, stop, key_start, width = starts[block], stops[block], first[block], last[block] - first[block]
        run = 1
        regular = first[block:] - key_start == np.arange(len(starts) - block) * rows  # one step further, of one size
        regular &= (last[block:] - first[block:] == width) & (stops[block:] - starts[block:] == stop - start)
        if regular[1:2].all() and width > 0:
            run = int(regular.argmin()) if not regular.all() else len(regular)
            together = max(1, rules.budget // int(max(stop - start, rules.copied_per_key) * width))
            run = min(run, together) if rules.copied_per_key or run > rules.planes else 1
        if width > 0:
            yield _strided_piece(int(start), int(stop - start), int(key_start), int(width), run, rows, sequence, rules)
        block += run


def _strided_piece(
    start: int,
    rows: int,
    key_start: int,
    width: int,
    run: int,
    step: int,
    sequence: Sequence,
    rules: CutRules,
) -> Strided:
    q0, _, k0, k1 = sequence
    low, high = _limits(np.arange(start, start + rows), np.int64(q0), np.int64(k0), np.int64(k1), rules)
    low, high = low - key_start, high - key_start
    shift = (key_start - k0) - (start - q0 + rules.query_start)
    size = run * max(rows, rules.copied_per_key) * width
    return Strided(
        size=(run, rows, width),
        row_start=start,
        row_step=step,
        key_start=key_start,
        key_step=step if run > 1 else 0,
        planes=1 if run > 1 and not rules.copied_per_key else max(1, rules.budget // size),
        visible=_visible(low[None], high[None], shift, width, rules.device),
    )


def _block_rows(rows: int, keys: int, rules: CutRules) -> int:
    """A quarter of the window: short blocks touch fewer keys in vain at its edges, long ones multiply faster."""
    sides = [keys if side is None else side for side in (rules.left, rules.right)]
    band = min(keys, sum(sides) + 1)
    wanted = min(MOST_ROWS, max(FEWEST_ROWS, 1 << round(math.log2(max(1, band / 4)))))
    while wanted > 1 and wanted * min(keys, band + wanted) > rules.budget:
        wanted //= 2
    return min(rows, wanted)


def _limits(rows: Array, q0: Limit, k0: Limit, k1: Limit, rules: CutRules) -> tuple[Array, Array]:
    """First visible key of each row, and one past the last, by where they stand in the batch."""
    position = rows - q0 + rules.query_start
    low = np.zeros_like(position) if rules.left is None else position - rules.left
    high = np.broadcast_to(k1 - k0, position.shape) if rules.right is None else position + rules.right + 1
    return k0 + low.clip(0, k1 - k0), k0 + high.clip(0, k1 - k0)


def _visible(low: Array, high: Array, shift: int, width: int, device: torch.device) -> Visible:
    all_seen = bool((low <= 0).all() and (high >= width).all())
    limits = (None, None) if all_seen else (_on(device, low), _on(device, high))
    return Visible(limits[0], limits[1], shift, bool((low >= high).any()))


def _gathered(sequences: Array, rules: CutRules) -> Iterator[Gathered]:
    """Packs of sequences that lie side by side, grouped with packs of like size so that little is padded."""
    owner = _pack(sequences, rules)
    heads, tails = np.unique(owner, return_index=True)[1], np.append(np.flatnonzero(np.diff(owner)), len(owner) - 1)
    row_start, key_start = sequences[heads, 0], sequences[heads, 2]
    rows, keys = sequences[tails, 1] - row_start, sequences[tails, 3] - key_start

    total = int(sequences[-1, 1])
    low_of, high_of = np.zeros(total, np.int64), np.zeros(total, np.int64)  # by row of the batch
    lengths = sequences[:, 1] - sequences[:, 0]
    which = np.repeat(np.arange(len(sequences)), lengths)
    row = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + sequences[which, 0]
    q0, _, k0, k1 = sequences[which].T
    low_of[row], high_of[row] = _limits(row, q0, k0, k1, rules)

    order = np.lexsort((keys, rows))
    for group in _groups(rows[order], keys[order], rules):
        packs = order[group]
        yield _gathered_piece(row_start[packs], rows[packs], key_start[packs], keys[packs], low_of, high_of, rules)


def _pack(sequences: Array, rules: CutRules) -> Array:
    """``[B]`` which pack each sequence belongs to; a pack is contiguous in rows and in keys."""
    owner, pack = [], -1
    first_row = first_key = last_row = last_key = -1
    for q0, q1, k0, k1 in sequences.tolist():
        fits = q0 == last_row and k0 == last_key and q1 - first_row <= PACK and k1 - first_key <= PACK
        if not fits or (rules.relative and k0 - q0 != first_key - first_row):
            pack, first_row, first_key = pack + 1, q0, k0
        last_row, last_key = q1, k1
        owner.append(pack)
    return np.array(owner)


def _groups(rows: Array, keys: Array, rules: CutRules) -> Iterator[slice]:
    """Runs of packs, sorted by size, that may be padded to their largest."""
    start = wanted = most_rows = most_keys = 0
    for place, (r, k) in enumerate(zip(rows.tolist(), keys.tolist(), strict=True)):
        most_rows, most_keys = max(most_rows, r), max(most_keys, k)
        padded = most_rows * most_keys * (place + 1 - start)
        if place > start and (padded > rules.budget or padded > 1.5 * (wanted + r * k) + 2 * PACK**2):
            yield slice(start, place)
            start, wanted, most_rows, most_keys = place, 0, r, k
        wanted += r * k
    yield slice(start, len(rows))


def _gathered_piece(
    row_start: Array, rows: Array, key_start: Array, keys: Array, low_of: Array, high_of: Array, rules: CutRules
) -> Gathered:
    most_rows, most_keys = int(rows.max()), int(keys.max())
    row_real = np.arange(most_rows) < rows[:, None]  # [n, R]
    key_real = np.arange(most_keys) < keys[:, None]  # [n, W]
    row_index = np.where(row_real, row_start[:, None] + np.arange(most_rows), row_start[:1])
    key_index = np.where(key_real, key_start[:, None] + np.arange(most_keys), key_start[:1])
    low = np.where(row_real, low_of[row_index] - key_start[:, None], 0)  # padding sees all: no empty row
    high = np.where(row_real, high_of[row_index] - key_start[:, None], most_keys)
    filled_up, device = not row_real.all(), rules.device
    return Gathered(
        size=(len(rows), most_rows, most_keys),
        row_index=_on(device, row_index.ravel()),
        key_index=_on(device, key_index.ravel()),
        padding=_on(device, ~row_real.reshape(-1, 1)) if filled_up else None,
        real=_on(device, np.flatnonzero(row_real)) if filled_up else None,
        planes=max(1, rules.budget // (len(rows) * most_rows * most_keys)),
        visible=_visible(low, high, -rules.query_start, most_keys, rules.device),
    )


def _on(device: torch.device, x: NDArray[Any]) -> Tensor:
    """Numbers on a device, which nobody waits for: they have left the array when this returns."""
    return torch.from_numpy(np.ascontiguousarray(x)).to(device, non_blocking=True)
