"""Which run of keys each query of a call sees, and which run of queries sees a key."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from regard.attention.spec import Spec, read_sequences
from regard.attention.triton import doubts
from regard.attention.triton.arguments import Runs
from regard.errors import ShapeError
from regard.ragged import known

NONE = Runs(None, None, None)


class Found(NamedTuple):
    """Of a call."""

    by_query: Runs  # the keys that a query sees; none of a dense batch, for a kernel knows its windows
    by_key: Runs  # the queries that see a key
    ill: Tensor | None  # bool: whether the offsets are none, where only a GPU knows


def runs_of(query: Tensor, key: Tensor, spec: Spec) -> Found:
    """Those of a call; kept beside the offsets, so that all layers share them, forward and backward.

    Raises:
        ShapeError: offsets that are none, or those of an earlier call, which only a GPU knew; offsets on the CPU while
            a CUDA graph is captured.
    """
    captured = query.is_cuda and torch.cuda.is_current_stream_capturing()  # while it is, nothing may be asked
    if not captured:  # pragma: no branch - needs a GPU
        doubts.heed()
    if spec.offsets is None:
        return Found(NONE, NONE, None)
    asked = (query.device, len(query), len(key), int(spec.query_start), *window_of(query, key, spec))
    held: dict[tuple[object, ...], tuple[Tensor | None, object, Found]] = {}
    if not captured and not spec.offsets.is_inference():
        held = spec.offsets.__dict__.setdefault("_runs", held)
    others, versions, found = held.get(asked, (None, None, None))
    now = tuple(None if x is None or x.is_inference() else x._version for x in (spec.offsets, spec.key_offsets))
    if found is None or others is not spec.key_offsets or versions != now:
        found = _found(query, key, spec, captured=captured)
        held[asked] = spec.key_offsets, now, found
    return found


def _found(query: Tensor, key: Tensor, spec: Spec, *, captured: bool) -> Found:
    """On a GPU that knows the offsets alone, or that will be told others in a captured graph, it checks them itself."""
    assert spec.offsets is not None
    given = [spec.offsets] if spec.key_offsets is None else [spec.offsets, spec.key_offsets]
    if captured and any(x.device != query.device for x in given):
        places = ", ".join(str(x.device) for x in given)
        raise ShapeError(
            f"offsets must be on {query.device} while a CUDA graph is captured, got {places}; use .to(device) before"
        )
    own, *others = (x.to(query.device, non_blocking=True) for x in given)
    ill: Tensor | None = None
    if captured or any(known(x) is None for x in given):
        own, ill = doubts.settled(own, len(query), "offsets", "query", asks=not captured)
        if others:
            others[0], also = doubts.settled(others[0], len(key), "key_offsets", "key", asks=not captured)
            ill = ill | also
    else:
        read_sequences(spec.offsets, spec.key_offsets, len(query), len(key))  # refuses what is malformed
    own, *others = (x.int() for x in (own, *others))
    other, start, (left, right) = others[0] if others else own, int(spec.query_start), window_of(query, key, spec)
    by_query = _runs(own, other, len(query), start, left, right)
    return Found(by_query, _runs(other, own, len(key), -start, right, left), ill)


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
