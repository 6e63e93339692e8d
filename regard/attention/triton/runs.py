"""Which run of keys each query of a call sees, and which run of queries sees a key."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.attention.spec import Spec, sequences_of
from regard.attention.triton.arguments import Runs


def runs_of(query: Tensor, key: Tensor, spec: Spec) -> tuple[Runs, Runs]:
    """Those of queries and of keys; a dense batch has none, for a kernel knows its windows.

    Raises:
        ShapeError: offsets that are none.
    """
    if spec.offsets is None:
        return Runs(None, None, None), Runs(None, None, None)
    sequences_of(query, key, spec)  # refuses what is malformed
    own = spec.offsets.to(query.device, torch.int32, non_blocking=True)
    other = own if spec.key_offsets is None else spec.key_offsets.to(query.device, torch.int32, non_blocking=True)
    left, right = window_of(query, key, spec)
    start = int(spec.query_start)
    return _runs(own, other, len(query), start, left, right), _runs(other, own, len(key), -start, right, left)


def window_of(query: Tensor, key: Tensor, spec: Spec) -> tuple[int | None, int | None]:
    """Its sides, no further than there are rows, so that an int32 holds a position beside them."""
    axis = 2 if spec.offsets is None else 0
    furthest = query.shape[axis] + key.shape[axis] + int(spec.query_start)
    left, right = (None if side is None else min(side, furthest) for side in (spec.left, spec.right))
    return left, right


def _runs(own: Tensor, other: Tensor, rows: int, shift: int, before: int | None, after: int | None) -> Runs:
    row = torch.arange(rows, dtype=torch.int32, device=own.device)
    sequence = torch.searchsorted(own[1:], row, right=True, out_int32=True)
    begin, end = other[sequence], other[sequence + 1]
    center = begin + (row - own[sequence]) + shift
    low = begin if before is None else (center - before).clamp_(begin, end)
    high = end if after is None else (center + after + 1).clamp_(begin, end)
    return Runs(low, high, center)
