"""Attention in portable PyTorch, a bounded piece at a time: time and memory O(N·window), forward and backward.

Backward computes each piece's weights again, so that nothing but the inputs is kept. A hidden NaN or Inf would spoil
sums (0 · NaN is NaN). On a processor a result that is not finite is computed once more, with care; of a GPU, which
would have to be waited for, nothing is asked, and all is computed with care.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from regard.attention.band import Band
from regard.attention.blocked.blocks import Blocks
from regard.attention.blocked.cut import CutRules, cut
from regard.attention.blocked.operands import Operands, free_to_read
from regard.attention.blocked.pieces import Gathered, Piece
from regard.attention.spec import Spec, transforms, without_autocast
from regard.attention.weights import AttentionWeights

BUDGET = 1 << 19  # numbers in a piece: what stays in a processor's cache while it is worked on
# Of a GPU: some 40 µs of its memory's time to read and write once, ten times as long as it takes to be told to; and
# with the few tensors of that size that are held together, 64 MiB each, still less than half a gigabyte.
GPU_BUDGET = 1 << 24


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> list[str]:
    """Every reason why it cannot do the call; none if it can."""
    return [f"{name} is under way, which cannot see inside it" for name in transforms()]


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """The output, ``[B, H, Q, Dv]`` or ``[T, H, Dv]``; nothing is saved for :func:`gradients` beside it."""
    with without_autocast(query.device):
        operands = Operands.of(query, key, value, spec)
        free = free_to_read(query)
        output = _output(operands if free else operands.carefully(), query)
        if free and not bool(output.sum().isfinite()):
            output = _output(operands.carefully(), query)
        return output.to(query.dtype), query.new_empty(saved_shape(query), dtype=torch.float32)


def gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, spec: Spec
) -> dict[str, Tensor]:
    """The gradients of query, key, value and what is learned."""
    with without_autocast(query.device):
        operands = Operands.of(query, key, value, spec, grad)
        given = {"query": query, "key": key, "value": value} | spec.learned()
        free = free_to_read(query)
        sums = _sums(operands if free else operands.carefully(), given)
        if free and not bool((sums["query"].sum() + sums["value"].sum()).isfinite()):  # no NaN or Inf passes both by
            sums = _sums(operands.carefully(), given)
        return {name: sums[name].to(x.dtype) for name, x in given.items()}


def saved_shape(query: Tensor) -> tuple[int, ...]:
    """Of nothing."""
    return (0,)


def _output(operands: Operands, query: Tensor) -> Tensor:
    output = operands.query.new_zeros(*query.shape[:-1], operands.value.shape[-1])
    by_plane = operands.planes_of(output)  # [P, G, Nq, Dv]
    for blocks in _blocks(operands):
        blocks.piece.put_rows(blocks.rows(by_plane), blocks.mix(blocks.drop(blocks.weights())))
    return output


def _sums(operands: Operands, given: dict[str, Tensor]) -> dict[str, Tensor]:
    sums = {name: operands.query.new_zeros(x.shape) for name, x in given.items()}
    by_plane = {name: operands.query.new_zeros(x.shape) for name, x in operands.learned.items()}  # [P, G, …]
    by_plane |= {name: operands.planes_of(sums[name])[:, 0] for name in ("key", "value")}  # [P, Nk, …]
    by_plane["query"] = operands.planes_of(sums["query"])
    if "bias" in sums:
        by_plane["bias"] = sums["bias"]
    for blocks in _blocks(operands):
        blocks.add_gradients(by_plane)
    return sums | {name: by_plane[name].view(-1, *given[name].shape).sum(0) for name in operands.learned}


def weights(query: Tensor, key: Tensor, spec: Spec) -> AttentionWeights:
    """The weights, a truncated window as a band."""
    with without_autocast(query.device):
        operands = Operands.of(query, key, key, spec)
        finite = free_to_read(query) and bool((query.sum() + key.sum()).isfinite())
        return _weights(operands if finite else operands.carefully(), query)


def _weights(operands: Operands, query: Tensor) -> AttentionWeights:
    band, device = Band.of(operands.spec, operands.sequences, query.device), query.device
    values = operands.query.new_zeros(*query.shape[:-1], band.width)
    by_plane = operands.planes_of(values)  # [P, G, Nq, W]
    for blocks in _blocks(operands):
        rows, keys = blocks.piece.row_numbers(device), blocks.piece.key_numbers(device)
        column = (
            (band.first + band.starts)[rows][..., None] - keys[:, :1, None] + torch.arange(band.width, device=device)
        )
        inside = (column >= 0) & (column < blocks.piece.size[2])  # [n, R, W]
        index = blocks.each(column.clamp_(0, blocks.piece.size[2] - 1)).expand(len(blocks.query), -1, -1)
        taken = blocks.drop(blocks.weights()).gather(-1, index).masked_fill_(~blocks.each(inside), 0)
        blocks.piece.put_rows(blocks.rows(by_plane), taken)
    return band.weights(values.to(query.dtype), operands.spec)


def _blocks(operands: Operands) -> Iterator[Blocks]:
    """The whole call, a bounded share of it at a time."""
    spec, (planes, groups, _, dim) = operands.spec, operands.query.shape
    if planes == 0:
        return
    held = 1 if spec.additive_weight is None else dim  # additive scores hold a vector for each query and key
    device, relative, on_gpu = operands.query.device, spec.table is not None, not free_to_read(operands.query)
    budget = max(1, (GPU_BUDGET if on_gpu else BUDGET) // held)
    copied = dim if on_gpu else 0
    rules = CutRules(planes, spec.left, spec.right, int(spec.query_start), relative, budget, copied, device)
    for piece in cut(operands.sequences, rules):
        visible = _visible(piece, device, careful=operands.ill is not None)
        for start in range(0, planes, piece.planes):
            for group in range(groups):
                yield Blocks(operands, piece, visible, start, min(start + piece.planes, planes), group)


def _visible(piece: Piece, device: torch.device, *, careful: bool) -> Tensor | None:
    """``[n or 1, R, W]``; None where every row sees every key."""
    low, high, visible = piece.visible.low, piece.visible.high, None
    if low is not None and high is not None:
        columns = torch.arange(piece.size[2], device=device)
        visible = (columns >= low[..., None]) & (columns < high[..., None])
    if careful and isinstance(piece, Gathered) and piece.padding is not None:
        there = ~piece.padding.view(*piece.size[:2], 1)  # padding must not meet NaN either
        visible = there.expand(piece.size) if visible is None else visible & there
    return visible
