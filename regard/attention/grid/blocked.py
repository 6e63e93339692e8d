"""Attention over images in portable PyTorch, tiles of pixels at a time: time and memory O(pixels · window).

A tile of queries meets the rectangle of keys that some of them sees, by the definition itself. Backward computes each
tile again and lets PyTorch differentiate it, so that nothing but the inputs is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from regard.attention import blocked
from regard.attention.grid.lattice import Stack, stacks
from regard.attention.grid.spec import GridSpec, images_of
from regard.attention.grid.tiles import Piece, pieces
from regard.attention.grid.weights import GridWeights, window_size, window_weights
from regard.attention.reference import is_seen_finite
from regard.attention.spec import compute_dtype, transforms, without_autocast

BUDGET = 1 << 20  # scores in a piece: what stays in a processor's cache while it is worked on


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> list[str]:
    """Every reason why it cannot do the call; none if it can."""
    return [f"{name} is under way, which cannot see inside it" for name in transforms()]


def attend(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> tuple[Tensor, Tensor]:
    """The output, ``[B, H, N, Dv]`` or ``[T, H, Dv]``; nothing is saved for :func:`gradients` beside it."""
    images = images_of(query, spec)
    if (sequences := spec.of_sequences()) is not None:
        return blocked.attend(query, key, value, sequences)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    with without_autocast(query.device):
        learned = _learned(spec, compute_dtype(query.dtype))
        for stack in stacks(images, spec):
            taken = _taken(stack, query, key, value)
            made = taken[0].new_zeros(*taken[0].shape[:-1], value.shape[-1])
            for piece, keep in _pieces(stack, query, taken, spec):
                parts, of_piece = _parts(piece, taken), _of_piece(stack, piece, learned)
                made[piece.queries] = piece.to_rows(piece.attend(*parts, of_piece, keep)[0])
            stack.put(output, made)
    return output, query.new_empty(saved_shape(query), dtype=torch.float32)


def gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, spec: GridSpec
) -> dict[str, Tensor]:
    """The gradients of query, key, value and what is learned."""
    if (sequences := spec.of_sequences()) is not None:
        return blocked.gradients(grad, query, key, value, output, saved, sequences)
    given, dtype = {"query": query, "key": key, "value": value} | spec.learned(), compute_dtype(query.dtype)
    found = {name: x.new_zeros(x.shape, dtype=dtype) for name, x in given.items()}
    with without_autocast(query.device):
        learned = _learned(spec, dtype)
        for stack in stacks(images_of(query, spec), spec):
            taken, of_output = _taken(stack, query, key, value), stack.take(grad, dtype)
            sums = [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in taken]
            for piece, keep in _pieces(stack, query, taken, spec):
                of_piece = _of_piece(stack, piece, learned)
                with _differentiable():
                    leaves = [x.detach().requires_grad_() for x in (*_parts(piece, taken), *of_piece.values())]
                    q, k, v, *more = leaves
                    made = piece.attend(q, k, v, dict(zip(of_piece, more, strict=True)), keep)[0]
                    by_leaf = torch.autograd.grad(piece.to_rows(made), leaves, of_output[piece.queries])
                into = [sums[0][piece.queries], sums[1][piece.keys], sums[2][piece.keys]]
                into += _of_piece(stack, piece, {name: found[name] for name in learned}).values()
                for total, x in zip(into, by_leaf, strict=True):
                    total += x
            for name, x in zip(("query", "key", "value"), sums, strict=True):
                stack.put(found[name], x)
    return {name: found[name].to(x.dtype) for name, x in given.items()}


def weights(query: Tensor, key: Tensor, spec: GridSpec) -> GridWeights:
    """The weights, a truncated window as a band."""
    images = images_of(query, spec)
    height, width = window_size(images, spec)
    values = query.new_zeros(*query.shape[:-1], height * width)
    with without_autocast(query.device):
        learned = _learned(spec, compute_dtype(query.dtype))
        for stack in stacks(images, spec):
            taken = _taken(stack, query, key, key)
            made = taken[0].new_zeros(*taken[0].shape[:-1], height * width)
            for piece, keep in _pieces(stack, query, taken, spec):
                found = piece.attend(*_parts(piece, taken), _of_piece(stack, piece, learned), keep)[1]
                made[piece.queries] = piece.to_rows(piece.band(found, height, width))
            stack.put(values, made)
    return window_weights(values, query, spec)


def saved_shape(query: Tensor) -> tuple[int, ...]:
    """Of nothing."""
    return (0,)


def _learned(spec: GridSpec, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: x.to(dtype) for name, x in spec.learned().items()}


def _taken(stack: Stack, *given: Tensor) -> list[Tensor]:
    return [stack.take(x, compute_dtype(x.dtype)) for x in given]  # [A, H, rows, columns, D]


def _parts(piece: Piece, taken: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = taken
    return query[piece.queries], key[piece.keys], value[piece.keys]


def _of_piece(stack: Stack, piece: Piece, learned: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is learned, and of a bias tensor the part that a piece reads: views."""
    if "bias" not in learned:
        return learned
    return learned | {"bias": piece.part_of_bias(stack.lattices[0].of_pairs(learned["bias"]))}


def _pieces(stack: Stack, query: Tensor, taken: list[Tensor], spec: GridSpec) -> Iterator[tuple[Piece, Tensor | None]]:
    """All pieces of a stack, each with what dropout keeps of it."""
    (images, heads, _, _, dim), finite = taken[0].shape, all(is_seen_finite(x) for x in taken)
    held = 1 if finite and spec.additive_weight is None else max(dim, taken[2].shape[-1])  # a vector for each pair
    dense, device = query.dim() == 4, query.device
    batch = torch.arange(images, device=device) % (len(query) if dense else 1)
    planes = batch[:, None] * heads + torch.arange(heads, device=device)
    numbers = torch.arange(query.shape[-2] if dense else len(query), device=device)
    numbers = stack.take(numbers[None, None, :, None] if dense else numbers[:, None, None], torch.int64)
    numbers = numbers.repeat_interleave(images // len(numbers), 0)
    for piece in pieces(stack.size, spec, images, max(1, BUDGET // (heads * held)), careful=not finite):
        yield piece, piece.keep(numbers, planes)


@contextmanager
def _differentiable() -> Iterator[None]:
    """Within an operator of a traced network too, where PyTorch would differentiate nothing."""
    with torch._C._PreserveDispatchKeyGuard(), torch.enable_grad():
        torch._C._dispatch_tls_set_dispatch_key_excluded(torch._C.DispatchKey.AutogradFunctionality, False)
        yield
