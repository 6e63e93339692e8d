"""Attention weights as bytes for the page: quantized, in blocks of rows, pooled by the largest; small maps of them.

A weight w is the byte ``round(255 · sqrt(w / largest))``, with the largest weight of its head, and is read back as
``largest · (byte / 255)²``: within 0.4 % of the largest, and small weights far more exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor

from regard.attention import AttentionWeights

ROWS = 4096  # of one block
SIDE = 64  # of a small map, at most
NARROW = 8  # a band that takes less than this part of the keys is shown beside the diagonal: a column for each distance
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Packed:
    """The heads of one layer in one example.

    Arguments:
        values: ``[H, Q, W]``: dense, W keys; or a band, whose column c in row q is the key ``q − left + c``.
        left: how far the band begins before its row; None: dense.
        keys: how many there are.
        largest: of each head, its largest weight.

    >>> import torch
    >>> packed = Packed.of(AttentionWeights.from_dense([torch.eye(3)[None, None]], heads=1, left=None, right=None))
    >>> packed.block(0, 0, 0).tolist()
    [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    >>> packed.block(0, 1, 0).tolist()
    [[255, 0], [0, 255]]
    """

    values: Tensor
    left: int | None
    keys: int
    largest: list[float]
    _pooled: dict[tuple[int, int, int], Bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, weights: AttentionWeights) -> Packed:
        """Those of one example, whose values stay where they are."""
        values = heads_first(weights)
        keys = int(weights.key_lengths[0])
        return cls(values, left_of(weights), keys, [largest_of(head) for head in values])

    @property
    def heads(self) -> int:
        return len(self.values)

    @property
    def queries(self) -> int:
        return self.values.shape[1]

    def numbers(self, level: int = 0) -> range:
        """The blocks of a level."""
        return range(max(1, -(-self.queries // (ROWS << level))))

    def block(self, head: int, level: int, number: int) -> Bytes:
        """``[rows, W_level]``: up to 4,096 rows of a level, whose cells join ``2^level × 2^level`` cells into one."""
        if level == 0:
            rows = self.values[head, number * ROWS : (number + 1) * ROWS]
            return quantized(rows, self.largest[head])
        place = (head, level, number)
        if place not in self._pooled:
            halves = [n for n in (2 * number, 2 * number + 1) if n in self.numbers(level - 1)]
            below = np.concatenate([self.block(head, level - 1, n) for n in halves])
            self._pooled[place] = pooled(below, self.left_at(level - 1))
        return self._pooled[place]

    def left_at(self, level: int) -> int | None:
        """How far the band of a level begins before its row, in cells of that level."""
        return None if self.left is None else -(-self.left >> level)

    @property
    def straight(self) -> bool:
        """Whether its small map has a column for each distance: in a square the band would be but a line."""
        return self.left is not None and self.values.shape[2] * NARROW < self.keys

    @cached_property
    def thumbs(self) -> list[Bytes]:
        """Of each head a map of at most 64 × 64, each cell the largest of what it joins; see ``straight``."""
        return [self._thumb(head) for head in range(self.heads)]

    def _thumb(self, head: int) -> Bytes:
        level, cells = 0, np.concatenate([self.block(head, 0, n) for n in self.numbers()])
        left = self.left
        if left is not None and not self.straight:
            while len(cells) > 4 * SIDE:  # so that no whole square is made of a band
                cells, level = pooled(cells, left), level + 1
                left = self.left_at(level)
                assert left is not None
            cells = spread(cells, left, -(-self.keys >> level))
        return shrunk(shrunk(cells).T).T


def heads_first(weights: AttentionWeights) -> Tensor:
    """``[H, Q, W]`` of weights of one example, dense or ragged."""
    return (weights.values[0] if weights.offsets is None else weights.values.transpose(0, 1)).detach()


def left_of(weights: AttentionWeights) -> int | None:
    """How far a band begins before its row; None where column c is the key c in every row."""
    first, width = weights.first, weights.values.shape[-1]
    whole = width == int(weights.key_lengths[0]) and not bool(first.any())
    return None if whole or not len(first) else -int(first[0])


def largest_of(weights: Tensor) -> float:
    """The largest number among weights; 0 where there is none."""
    found = float(weights.max()) if weights.numel() else 0.0
    return found if math.isfinite(found) else float(weights.float().nan_to_num(0.0, 0.0, 0.0).max())


def quantized(weights: Tensor, largest: float) -> Bytes:
    """Bytes of weights; what is no number is 0."""
    if largest <= 0:
        return np.zeros(weights.shape, np.uint8)
    shares = np.nan_to_num(weights.float().cpu().numpy() / np.float32(largest), nan=0.0, posinf=0.0, neginf=0.0)
    found: Bytes = np.rint(255 * np.sqrt(shares.clip(0, 1))).astype(np.uint8)
    return found


def pooled(cells: Bytes, left: int | None) -> Bytes:
    """Cells of the next level: of each 2 × 2 the largest. A band stays one, with ⌈left / 2⌉ and ⌈right / 2⌉.

    Arguments:
        cells: ``[Q, W]``; their number of rows is even, but for the last block.
    """
    rows, columns = cells.shape
    before, wide = (0, 0), -(-columns // 2)
    if left is not None:
        right, half = columns - 1 - left, -(-left // 2)
        shift = 2 * half - left  # of the even rows; a band moves on by one with each row
        before, wide = (shift, shift + 1), half - (-right // 2) + 1
    joined = np.zeros((-(-rows // 2), 2 * wide), np.uint8)
    for parity, start in enumerate(before):
        part = cells[parity::2]
        place = joined[: len(part), start : start + columns]
        np.maximum(place, part, out=place)
    return np.maximum(joined[:, ::2], joined[:, 1::2])


def spread(cells: Bytes, left: int, keys: int) -> Bytes:
    """``[Q, keys]`` of a band ``[Q, W]``."""
    index = np.arange(len(cells))[:, None] - left + np.arange(cells.shape[1])
    inside = (index >= 0) & (index < keys)
    found = np.zeros((len(cells), keys), np.uint8)
    found[np.nonzero(inside)[0], index[inside]] = cells[inside]
    return found


def shrunk(cells: Bytes) -> Bytes:
    """At most 64 rows, each the largest of those that it joins."""
    rows = len(cells)
    if rows <= SIDE:
        return cells
    found: Bytes = np.maximum.reduceat(cells, np.arange(SIDE) * rows // SIDE, axis=0)
    return found
