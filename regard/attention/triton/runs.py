"""Which run of keys each query of a call sees, and which run of queries sees a key."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.attention.spec import Spec, sequences_of
from regard.attention.triton.arguments import Runs


def runs_of(query: Tensor, key: Tensor, spec: Spec) -> tuple[Runs, Runs]:
    """Those of queries and of keys; a dense batch has none, for a kernel knows its windows.

    They are kept beside the offsets, so that all layers share them, forward and backward.

    Raises:
        ShapeError: offsets that are none.
    """
    if spec.offsets is None:
        return Runs(None, None, None), Runs(None, None, None)
    asked = (query.device, len(query), len(key), int(spec.query_start), *window_of(query, key, spec))
    lasting = not spec.offsets.is_inference() and not (query.is_cuda and torch.cuda.is_current_stream_capturing())
    known: dict[tuple[object, ...], tuple[Tensor | None, object, tuple[Runs, Runs]]] = {}
    if lasting:
        known = spec.offsets.__dict__.setdefault("_runs", known)
    others, versions, found = known.get(asked, (None, None, None))
    now = tuple(None if x is None or x.is_inference() else x._version for x in (spec.offsets, spec.key_offsets))
    if found is None or others is not spec.key_offsets or versions != now:
        found = _found(query, key, spec)
        known[asked] = spec.key_offsets, now, found
    return found


def _found(query: Tensor, key: Tensor, spec: Spec) -> tuple[Runs, Runs]:
    assert spec.offsets is not None
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
