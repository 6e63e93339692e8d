"""Attention in portable PyTorch, a bounded piece at a time: time and memory O(N·window), forward and backward.

Backward computes each piece's weights again, so that nothing but the inputs is kept. A hidden NaN or Inf would spoil
sums (0 · NaN is NaN), so that a result which is not finite is computed once more, with care.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.attention.band import Band
from regard.attention.cut import Cut, Gathered, Piece, cut
from regard.attention.spec import Sequences, Spec, compute_dtype, read_sequences
from regard.attention.unit import Unit
from regard.attention.weights import AttentionWeights

HIDING = {"table", "bias"}  # what may hold −inf
BUDGET = 1 << 19  # numbers in a piece: what stays in a processor's cache while it is worked on


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> Tensor:
    """``[B, H, Q, Dv]`` or ``[T, H, Dv]``."""
    call = Call.of(query, key, value, spec)
    output = _output(call, query)
    if not bool(output.sum().isfinite()):
        output = _output(replace(call, careful=True), query)
    return output.to(query.dtype)


def gradients(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> dict[str, Tensor]:
    """The gradients of whatever may have one: query, key, value, and where they are given weight, table, bias."""
    call = Call.of(query, key, value, spec, grad)
    given = {"query": query, "key": key, "value": value} | spec.learned()
    sums = _sums(call, given)
    if not bool((sums["query"].sum() + sums["value"].sum()).isfinite()):  # no NaN or Inf passes both by
        sums = _sums(replace(call, careful=True), given)
    return {name: sums[name].to(x.dtype) for name, x in given.items()}


def _output(call: Call, query: Tensor) -> Tensor:
    output = call.query.new_zeros(*query.shape[:-1], call.value.shape[-1])
    by_plane = call.planes_of(output)  # [P, G, Nq, Dv]
    for unit in call.units():
        unit.piece.put_rows(unit.rows(by_plane), unit.mix(unit.drop(unit.weights()), unit.value))
    return output


def _sums(call: Call, given: dict[str, Tensor]) -> dict[str, Tensor]:
    sums = {name: call.query.new_zeros(x.shape) for name, x in given.items()}
    by_plane = {name: call.query.new_zeros(x.shape) for name, x in call.learned.items()}  # [P, G, …]
    by_plane |= {name: call.planes_of(sums[name])[:, 0] for name in ("key", "value")}  # [P, Nk, …]
    by_plane["query"] = call.planes_of(sums["query"])
    if "bias" in sums:
        by_plane["bias"] = sums["bias"]
    for unit in call.units():
        unit.add_gradients(by_plane)
    return sums | {name: by_plane[name].view(-1, *given[name].shape).sum(0) for name in call.learned}


def weights(query: Tensor, key: Tensor, spec: Spec) -> AttentionWeights:
    """The weights, a truncated window as a band."""
    call = replace(Call.of(query, key, key, spec), careful=not bool((query.sum() + key.sum()).isfinite()))
    band, device = Band.of(spec, call.sequences, query.device), query.device
    held = call.query.new_zeros(*query.shape[:-1], band.width)
    values = call.planes_of(held)  # [P, G, Nq, W]
    for unit in call.units():
        rows, keys = unit.piece.row_numbers(device), unit.piece.key_numbers(device)
        column = (
            (band.first + band.starts)[rows][..., None] - keys[:, :1, None] + torch.arange(band.width, device=device)
        )
        inside = (column >= 0) & (column < unit.piece.size[2])  # [n, R, W]
        index = unit.each(column.clamp_(0, unit.piece.size[2] - 1)).expand(len(unit.query), -1, -1)
        taken = unit.drop(unit.weights()).gather(-1, index).masked_fill_(~unit.each(inside), 0)
        unit.piece.put_rows(unit.rows(values), taken)
    return band.weights(held.to(query.dtype), spec)


@dataclass(frozen=True, eq=False)
class Call:
    """One call in one form for both layouts: the plane axis P is batch · key heads, G the query heads of each."""

    query: Tensor  # [P, G, Nq, D]
    key: Tensor  # [P, Nk, D]
    value: Tensor  # [P, Nk, Dv]
    grad: Tensor | None  # [P, G, Nq, Dv]
    learned: dict[str, Tensor]  # "weight" of an additive score [P, G, D], "table" of a relative bias [P, G, L]
    spec: Spec
    key_heads: int
    sequences: Sequences
    hides: bool  # whether −inf in a bias, or a mask, may hide all keys of a row
    careful: bool = False  # something is NaN or Inf: what is hidden is kept out of every sum, at some cost

    @classmethod
    def of(cls, query: Tensor, key: Tensor, value: Tensor, spec: Spec, grad: Tensor | None = None) -> Call:
        dtype, key_heads = compute_dtype(query.dtype), key.shape[1]
        if spec.offsets is None:
            sequences: Sequences = ((0, query.shape[2], 0, key.shape[2]),)
        else:
            sequences = read_sequences(spec.offsets, spec.key_offsets, len(query), len(key))
        ragged = spec.offsets is not None

        def by_plane(x: Tensor) -> Tensor:
            return _planes(x.to(dtype), key_heads, ragged=ragged)  # [P, G or 1, N, …]

        def by_head(x: Tensor) -> Tensor:
            """``[H, …]`` → ``[P, G, …]``."""
            x = x.to(dtype).view(key_heads, -1, x.shape[1])
            return x if ragged else x.repeat(query.shape[0], 1, 1)

        learned = spec.learned()
        return cls(
            query=by_plane(query),
            key=by_plane(key)[:, 0],
            value=by_plane(value)[:, 0],
            grad=None if grad is None else by_plane(grad),
            learned={name: by_head(x) for name, x in learned.items() if name != "bias"},
            spec=spec,
            key_heads=key_heads,
            sequences=sequences,
            hides=spec.key_mask is not None
            or any(bool(learned[name].isneginf().any()) for name in HIDING & learned.keys()),
        )

    @property
    def heads(self) -> int:
        return self.key_heads * self.query.shape[1]

    def units(self) -> Iterator[Unit]:
        spec, (planes, groups, _, dim) = self.spec, self.query.shape
        if planes == 0:
            return
        pair = 1 if spec.additive is None else dim  # additive scores hold a vector for each pair
        device, relative = self.query.device, spec.relative is not None
        how = Cut(planes, spec.left, spec.right, int(spec.query_start), relative, max(1, BUDGET // pair), device)
        for piece in cut(self.sequences, how):
            visible = _visible(piece, device, careful=self.careful)
            for start in range(0, planes, piece.planes):
                for group in range(groups):
                    yield Unit(self, piece, visible, start, min(start + piece.planes, planes), group)

    def planes_of(self, x: Tensor) -> Tensor:
        """``[B, H, N, …]`` or ``[T, H, …]`` → ``[P, G, N, …]``; a view, where x is contiguous."""
        return _planes(x, self.key_heads, ragged=self.spec.offsets is not None)


def _planes(x: Tensor, key_heads: int, *, ragged: bool) -> Tensor:
    """``[B, H, N, D]`` or ``[T, H, D]`` → ``[P, G, N, D]``, a view where the strides allow it."""
    if ragged:
        return x.view(x.shape[0], key_heads, x.shape[1] // key_heads, x.shape[2]).permute(1, 2, 0, 3)
    return x.reshape(x.shape[0] * key_heads, x.shape[1] // key_heads, *x.shape[2:])


def _visible(piece: Piece, device: torch.device, *, careful: bool) -> Tensor | None:
    """``[n or 1, R, W]``; None where every row sees every key."""
    low, high, visible = piece.visible.low, piece.visible.high, None
    if low is not None and high is not None:
        columns = torch.arange(piece.size[2], device=device)
        visible = (columns >= low[..., None]) & (columns < high[..., None])
    if careful and isinstance(piece, Gathered) and piece.filled is not None:
        there = ~piece.filled.view(*piece.size[:2], 1)  # what fills up must not meet NaN either
        visible = there.expand(piece.size) if visible is None else visible & there
    return visible
