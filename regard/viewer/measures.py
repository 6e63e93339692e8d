"""What can be told of each head of a layer in one number: how widely it looks, how far, and at what."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from regard.attention import AttentionWeights
from regard.viewer.page.pack import heads_first, left_of

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

    ``entropy`` in nats: 0, all on one key, to ln K. ``distance`` of key and query, in positions; of an image between
    patches alone, in patches. The shares of the weight on ``self``, on ``neighbours``, on the ``first`` key and on
    ``punctuation``.

    Arguments:
        weights: of one example.
        positions: whether queries and keys are the same sequence; if not, only entropy, first and punctuation are told.
        punctuation: ``[K]`` bool: which keys are.
        grid: rows and columns of patches, of an image.
        before: vectors before the patches, which have no place.
    """
    values, left = heads_first(weights), left_of(weights)
    sums: dict[str, Tensor] = {}
    count, placed = torch.zeros(2, len(values), dtype=torch.float64)
    for row, part, first in _parts(values, weights.first):
        total = part.sum(-1)  # [H, q]
        some = total > 0
        count += some.sum(1)
        total = torch.where(some, total, 1)
        entropy = total.log() - torch.xlogy(part, part).sum(-1) / total  # of weights divided by their sum
        found = {"entropy": torch.where(some, entropy, 0)}
        keys = first[:, None] + torch.arange(part.shape[-1])  # [q, W]
        given = {"first": (keys if left is not None else keys[0]) == 0}
        if punctuation is not None:
            given["punctuation"] = _of_keys(punctuation, keys if left is not None else keys[0])
        if positions:
            queries = torch.arange(row, row + len(first)) + weights.query_start
            straight = left is not None and grid is None  # each row of a band has the same distances
            far, near = _distances(queries[:1] if straight else queries, keys[:1] if straight else keys, grid, before)
            given |= {"distance": far, "self": keys[: len(far)] == queries[: len(far), None], "neighbours": near}
        found |= {name: _weighed(part, numbers) / total for name, numbers in given.items()}
        if positions and before:
            between = _weighed(part, (queries[:, None] >= before) & (keys >= before))
            some = between > 0
            found["distance"] *= total / torch.where(some, between, 1)
        placed += some.sum(1)
        for name, means in found.items():
            sums[name] = sums.get(name, 0) + means.sum(1, dtype=torch.float64)
    order = ("entropy", "distance", "self", "neighbours", "first", "punctuation")
    counts = {name: placed if name == "distance" else count for name in order}
    return {name: (sums[name] / counts[name].clamp(min=1)).tolist() if name in sums else None for name in order}


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


def _weighed(part: Tensor, numbers: Tensor) -> Tensor:
    """``[H, q]``: sums of ``[H, q, W]`` times numbers, of columns ``[W]``, ``[1, W]`` or of cells ``[q, W]``."""
    if not bool(numbers.any()):
        return torch.zeros(part.shape[:2])
    numbers = numbers.to(part.dtype)
    return part @ numbers.view(-1) if numbers.numel() == part.shape[-1] else torch.einsum("hqw,qw->hq", part, numbers)


def _of_keys(chosen: Tensor, keys: Tensor) -> Tensor:
    """Which keys are chosen; those outside the sequence are not."""
    inside = (keys >= 0) & (keys < len(chosen))
    return inside & chosen[keys.clamp(0, max(0, len(chosen) - 1))]


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
