"""Who attended to whom, as large as the window and no larger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from regard.errors import ShapeError
from regard.ragged import counted, shape_of


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """The weights of one call of attention: column c of row q belongs to key ``first[q] + c`` of the row's sequence.

    A truncated window is held as a band of W = left+right+1 columns whose ``first`` is the query's position − left;
    where a side has no limit, W is the largest number of keys and ``first`` is 0. Columns outside the sequence, and
    keys that the query may not see, weigh 0.

    Arguments:
        values: dense ``[B, H, Q, W]``; ragged ``[T, H, W]``.
        first: ``[Q]`` or ``[T]`` int64; negative where the band sticks out before the sequence.
        key_lengths: ``[B]`` int64, how many keys each sequence has.
        query_start: position of the first query of every sequence.
        offsets: ragged: ``[B+1]`` of the queries; None: dense.

    >>> band = torch.tensor([[0.0, 0.75, 0.25], [0.5, 0.5, 0.0]])  # two queries, window=1
    >>> weights = AttentionWeights(band.view(1, 1, 2, 3), torch.tensor([-1, 0]), torch.tensor([2]), 0)
    >>> weights.dense()
    tensor([[[[0.7500, 0.2500],
              [0.5000, 0.5000]]]])
    >>> weights.top(1)[1].flatten()
    tensor([0, 0])
    """

    values: Tensor
    first: Tensor
    key_lengths: Tensor
    query_start: int
    offsets: Tensor | None = None

    def __repr__(self) -> str:
        """Its layout and sizes, and no tensor of it."""
        layout = "dense" if self.offsets is None else f"ragged, {counted(len(self.offsets) - 1, 'sequence')}"
        return f"AttentionWeights({layout}, values {shape_of(self.values)})"

    @classmethod
    def from_dense(
        cls,
        weights: Sequence[Tensor],
        *,
        heads: int,
        left: int | None,
        right: int | None,
        query_start: int = 0,
        offsets: Tensor | None = None,
    ) -> AttentionWeights:
        """Weights of every pair: one ``[B, H, Q, K]``, or with offsets one ``[1, H, Q_b, K_b]`` for each sequence."""
        reach = None if left is None or right is None else (left, right)
        width = max((w.shape[-1] for w in weights), default=0) if reach is None else sum(reach) + 1
        bands, firsts = [], []
        for w in weights:
            Q, K = w.shape[-2:]
            row = torch.arange(Q, device=w.device)
            first = torch.zeros_like(row) if reach is None else row + query_start - reach[0]
            index = _columns(first, width, K).expand(*w.shape[:-1], width)
            bands.append(functional.pad(w, (0, 1)).gather(-1, index))  # [B, H, Q, W]
            firsts.append(first)
        lengths = torch.tensor([w.shape[-1] for w in weights for _ in w], dtype=torch.int64)
        if offsets is None:
            return cls(bands[0], firsts[0], lengths.to(bands[0].device), query_start)
        if not weights:
            return cls(torch.zeros(0, heads, width), lengths, lengths, query_start, offsets)
        values = torch.cat([band[0].transpose(0, 1) for band in bands])  # [T, H, W]
        return cls(values, torch.cat(firsts), lengths.to(values.device), query_start, offsets)

    def dense(self) -> Tensor | list[Tensor]:
        """Every pair: ``[B, H, Q, K]``, or a list of ``[H, Q_b, K_b]`` of a ragged batch. Memory O(Q·K)."""
        if self.offsets is None:
            return self._spread(self.values, self.first, self._keys)
        offsets, lengths = self.offsets.tolist(), self.key_lengths.tolist()
        return [
            self._spread(self.values[q0:q1].transpose(0, 1), self.first[q0:q1], keys)
            for q0, q1, keys in zip(offsets, offsets[1:], lengths, strict=False)
        ]

    def row(self, query: int, sequence: int = 0) -> Tensor:
        """``[H, K]``: what one query gave to each key of its sequence.

        Arguments:
            query: row in its sequence, from 0, whatever ``query_start`` is; negative counts from the end.
            sequence: which one of the batch.
        """
        rows = self._row_counts
        if not -len(rows) <= sequence < len(rows):
            raise ShapeError(f"sequence must be one of the batch's {len(rows)}, got {sequence}")
        count = rows[sequence]
        if not -count <= query < count:
            raise ShapeError(f"query must be one of the {count} rows of sequence {sequence}, got {query}")
        query %= count
        if self.offsets is None:
            values, place = self.values[sequence, :, query], query
        else:
            place = int(self.offsets[sequence % len(rows)]) + query
            values = self.values[place]
        keys = int(self.key_lengths[sequence])
        return self._spread(values[:, None], self.first[place, None], keys)[:, 0]

    def top(self, k: int) -> tuple[Tensor, Tensor]:
        """The k heaviest keys of each query: their weights and their places in the sequence, heaviest first.

        Both ``[B, H, Q, k]`` or ``[T, H, k]``. Where fewer than k keys weigh anything, weight 0 stands at place −1.
        """
        return heaviest(self.values, k, lambda columns: columns + self._by_row(self.first[:, None]))

    def entropy(self) -> Tensor:
        """How widely each query looks, ``−Σ p·ln p`` in nats with p the weights divided by their sum; 0 for no weight.

        From 0, all on one key, to ln K, all alike. ``[B, H, Q]`` or ``[T, H]``.
        """
        return entropy(self.values)

    def distance(self) -> Tensor:
        """How far each query looks, the mean of ``|key position − query position|``; 0 for no weight.

        The mean is taken under the weights divided by their sum, which relu and sigmoid do not hold at 1.
        ``[B, H, Q]`` or ``[T, H]``.
        """
        start = self.first - self._positions  # [Q] or [T]: the first column's distance
        away = (start[:, None] + torch.arange(self.values.shape[-1], device=start.device)).abs()  # [Q, W] or [T, W]
        return mean(self.values, self._by_row(away))

    @property
    def _positions(self) -> Tensor:
        row = torch.arange(len(self.first), device=self.first.device)
        if self.offsets is not None:
            row = row - torch.repeat_interleave(self.offsets[:-1], self.offsets.diff(), output_size=len(row))
        return row + self.query_start

    @property
    def _row_counts(self) -> list[int]:
        """Queries of each sequence."""
        return [self.values.shape[2]] * len(self.values) if self.offsets is None else self.offsets.diff().tolist()

    @property
    def _keys(self) -> int:
        return int(self.key_lengths.max()) if len(self.key_lengths) else 0

    def _by_row(self, x: Tensor) -> Tensor:
        """``[Q, n]`` or ``[T, n]`` beside ``values``, whose rows stand after the heads, or before them."""
        return x if self.offsets is None else x[:, None]

    def _spread(self, values: Tensor, first: Tensor, keys: int) -> Tensor:
        """``[..., Q, W]`` → ``[..., Q, K]``."""
        index = _columns(first, values.shape[-1], keys).expand(values.shape)
        return values.new_zeros(*values.shape[:-1], keys + 1).scatter(-1, index, values)[..., :keys]


def heaviest(values: Tensor, k: int, places: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The k largest of ``values [..., W]`` and the places of their columns; −1 where nothing weighs anything."""
    if k < 1:
        raise ShapeError(f"k must be at least 1, got {k}; it is how many keys to return for each query")
    weights, columns = values.topk(min(k, values.shape[-1]), -1)
    found, missing = torch.where(weights > 0, places(columns), -1), (0, k - weights.shape[-1])
    return functional.pad(weights, missing), functional.pad(found, missing, value=-1)


def entropy(values: Tensor) -> Tensor:
    """``−Σ p·ln p`` over the columns of ``values [..., W]``, with p their shares."""
    terms: Tensor = torch.special.entr(_shares(values))
    return terms.sum(-1)


def mean(values: Tensor, numbers: Tensor) -> Tensor:
    """``Σ p·x`` over the columns of ``values [..., W]``, with p their shares and x a number for each."""
    shares = _shares(values)
    return (shares * numbers.to(shares.dtype)).sum(-1)


def _shares(values: Tensor) -> Tensor:
    values = values if values.dtype == torch.float64 else values.float()
    total = values.sum(-1, keepdim=True)
    return values / torch.where(total > 0, total, 1)


def _columns(first: Tensor, width: int, keys: int) -> Tensor:
    """``[Q, W]``: the key that each column belongs to; outside the sequence, one past its last key."""
    index = first[:, None] + torch.arange(width, device=first.device)
    return torch.where((index >= 0) & (index < keys), index, keys)
