"""What can be told of each head of a layer in one number: how widely it looks, how far, and at what."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from regard.attention import AttentionWeights
from regard.viewer.page.pack import heads_first

CELLS = 1 << 22  # weights that are looked at together
MARKS = ("##", "▁", "Ġ", "</w>")  # of tokenizers, which are no punctuation


def measures(
    weights: AttentionWeights,
    *,
    positions: bool,
    punctuation: Tensor | None = None,
    grid: tuple[int, int] | None = None,
    before: int = 0,
) -> dict[str, list[float] | None]:
    """Means over the queries that attend to anything, of each head; weights are divided by their sum first.

    ``entropy`` in nats: 0, all on one key, to ln K. ``distance`` of key and query, in positions, or patches of an
    image. The shares of the weight on ``self``, on ``neighbours``, on the ``first`` key and on ``punctuation``.

    Arguments:
        weights: of one example.
        positions: whether queries and keys are the same sequence; if not, only entropy, first and punctuation are told.
        punctuation: ``[K]`` bool: which keys are.
        grid: rows and columns of patches, of an image.
        before: vectors before the patches, which have no place.
    """
    values = heads_first(weights)
    H = len(values)
    names = ["entropy", "first"] + ["distance", "self", "neighbours"] * positions
    names += ["punctuation"] * (punctuation is not None)
    sums, count = {name: torch.zeros(H, dtype=torch.float64) for name in names}, torch.zeros(H, dtype=torch.float64)
    for row, part, first in _parts(values, weights.first):
        total = part.sum(-1, keepdim=True)
        shares = part / torch.where(total > 0, total, 1)  # [H, q, W]
        keys = first[:, None] + torch.arange(part.shape[-1])  # [q, W]
        count += (total > 0).sum((1, 2))
        sums["entropy"] += torch.special.entr(shares).sum((1, 2), dtype=torch.float64)
        sums["first"] += _where(shares, keys == 0)
        if punctuation is not None:
            inside = (keys >= 0) & (keys < len(punctuation))
            sums["punctuation"] += _where(shares, inside & punctuation[keys.clamp(0, max(0, len(punctuation) - 1))])
        if positions:
            queries = torch.arange(row, row + len(first)) + weights.query_start
            far, near = _distances(queries, keys, grid, before)
            sums["distance"] += (shares * far).sum((1, 2), dtype=torch.float64)
            sums["self"] += _where(shares, keys == queries[:, None])
            sums["neighbours"] += _where(shares, near)
    means = {name: (total / count.clamp(min=1)).tolist() for name, total in sums.items()}
    order = ("entropy", "distance", "self", "neighbours", "first", "punctuation")
    return {name: means.get(name) for name in order}


def is_punctuation(names: Sequence[str]) -> Tensor:
    """``[K]``: which names are nothing but punctuation and symbols, the marks of tokenizers left out."""

    def is_one(name: str) -> bool:
        for mark in MARKS:
            if len(name) > len(mark):
                name = name.removeprefix(mark).removesuffix(mark)
        return bool(name) and all(unicodedata.category(character)[0] in "PS" for character in name)

    return torch.tensor([is_one(name) for name in names], dtype=torch.bool)


def _parts(values: Tensor, first: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Rows that are looked at together: the number of the first, ``[H, q, W]``, and their first keys."""
    H, Q, W = values.shape
    step = max(1, CELLS // max(1, H * W))
    for row in range(0, Q, step):
        yield row, values[:, row : row + step].float().nan_to_num(0.0).cpu(), first[row : row + step].cpu()


def _where(shares: Tensor, chosen: Tensor) -> Tensor:
    """``[H]``: the sum of the shares ``[H, q, W]`` that are chosen ``[q, W]``."""
    return torch.einsum("hqw,qw->h", shares, chosen.to(shares.dtype)).double()


def _distances(queries: Tensor, keys: Tensor, grid: tuple[int, int] | None, before: int) -> tuple[Tensor, Tensor]:
    """How far each key is from its query ``[q, W]``, and which are neighbours; of an image over rows and columns."""
    if grid is None:
        far = (keys - queries[:, None]).abs()
        return far.float(), far == 1
    query, key = (queries - before)[:, None], keys - before
    down, along = key // grid[1] - query // grid[1], key % grid[1] - query % grid[1]
    placed = (query >= 0) & (key >= 0)
    far = torch.where(placed, torch.hypot(down.float(), along.float()), 0.0)
    return far, placed & (torch.maximum(down.abs(), along.abs()) == 1)
