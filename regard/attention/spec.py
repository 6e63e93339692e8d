"""The frozen description of one call, which every implementation reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from regard.attention.scores import Additive, RelativeBias
from regard.errors import ShapeError

Sequences = tuple[tuple[int, int, int, int], ...]  # query start, query stop, key start, key stop


@dataclass(frozen=True, eq=False)
class Spec:
    """All of a call but query, key and value, checked.

    Window, causal, the limits of a sequence and ``query_start`` come down to one run of keys per query row: the query
    at position p of its sequence may see positions ``p-left ... p+right``. ``key_mask``, and −inf in a bias, hide more.
    """

    additive: Additive | None  # None: the scaled dot product
    normalizer: str
    left: int | None
    right: int | None
    query_start: int
    scale: float
    offsets: Tensor | None  # None: the dense layout
    key_offsets: Tensor | None
    key_mask: Tensor | None  # [B, K], True = may be attended
    bias: Tensor | None  # broadcastable to [B, H, Q, K]
    relative: RelativeBias | None
    dropout_p: float
    seed: Tensor | None  # [1] int64, on the CPU; None: no dropout

    def learned(self) -> dict[str, Tensor]:
        """What may need a gradient beside query, key and value."""
        weight = None if self.additive is None else self.additive.weight
        table = None if self.relative is None else self.relative.table
        named = {"weight": weight, "table": table, "bias": self.bias}
        return {name: x for name, x in named.items() if x is not None}


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums are held in: float32 for the half types."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@lru_cache(maxsize=64)
def _checked(offsets: tuple[int, ...], rows: int, name: str, rows_name: str) -> tuple[int, ...]:
    if offsets[0] != 0 or offsets[-1] != rows:
        raise ShapeError(
            f"{name} must run from 0 to the {rows} rows of {rows_name}, got {offsets[0]} to {offsets[-1]}; "
            "sequence b is rows offsets[b]:offsets[b+1]"
        )
    for b, (start, stop) in enumerate(pairwise(offsets)):
        if stop < start:
            raise ShapeError(f"{name} must never fall, got {start} then {stop} at sequence {b}; sort or rebuild them")
    return offsets


def read_sequences(offsets: Tensor, key_offsets: Tensor | None, rows: int, key_rows: int) -> Sequences:
    """``(query start, query stop, key start, key stop)`` of each sequence; refuses offsets that are no offsets."""
    query = _checked(tuple(offsets.tolist()), rows, "offsets", "query")
    key = query
    if key_offsets is not None:
        key = _checked(tuple(key_offsets.tolist()), key_rows, "key_offsets", "key")
    return tuple(zip(query, query[1:], key, key[1:], strict=False))
