"""Blocked and native attention with a gradient: as a function of autograd, and as an operator where it is traced.

Their code cannot be traced; torch.compile and torch.export see one call. Outside of them the operator would cost as
much time as a short call does, and its first use a second.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regard.attention import blocked, native, reference
from regard.attention.scores import Additive, RelativeBias
from regard.attention.spec import Spec


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec, implementation: str) -> Tensor:
    """The call, with a gradient for query, key, value and whatever of ``spec`` is learned."""
    call: Callable[..., tuple[Tensor, Tensor]] = _traced if torch.compiler.is_compiling() else _Eager.apply
    return call(query, key, value, *_flat(spec), implementation)[0]


def _flat(spec: Spec) -> tuple[object, ...]:
    return (
        None if spec.additive is None else spec.additive.weight,
        spec.bias,
        None if spec.relative is None else spec.relative.table,
        0 if spec.relative is None else spec.relative.reach[0],
        spec.offsets,
        spec.key_offsets,
        spec.key_mask,
        spec.seed,
        spec.normalizer,
        spec.left,
        spec.right,
        spec.query_start,
        spec.scale,
        spec.dropout_p,
    )


def _spec(
    weight: Tensor | None,
    bias: Tensor | None,
    table: Tensor | None,
    table_left: int,
    offsets: Tensor | None,
    key_offsets: Tensor | None,
    key_mask: Tensor | None,
    seed: Tensor | None,
    normalizer: str,
    left: int | None,
    right: int | None,
    query_start: int,
    scale: float,
    dropout_p: float,
) -> Spec:
    return Spec(
        additive=None if weight is None else Additive(weight),
        normalizer=normalizer,
        left=left,
        right=right,
        query_start=query_start,
        scale=scale,
        offsets=offsets,
        key_offsets=key_offsets,
        key_mask=key_mask,
        bias=bias,
        relative=None if table is None else RelativeBias(table, table_left),
        dropout_p=dropout_p,
        seed=seed,
    )


def _forward(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    """The output, and what backward of the kernels needs beside it."""
    *flat, implementation = rest
    if implementation == "native":
        return native.attend(query, key, value, _spec(*flat))
    with torch.autocast(query.device.type, enabled=False):
        return blocked.attend(query, key, value, _spec(*flat)), query.new_empty(0, dtype=torch.float32)


def _gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, statistics: Tensor, *rest: Any
) -> list[Tensor]:
    *flat, implementation = rest
    if implementation == "native":
        return list(native.gradients(grad, query, key, value, output, statistics, _spec(*flat)).values())
    with torch.autocast(query.device.type, enabled=False):
        return list(blocked.gradients(grad, query, key, value, _spec(*flat)).values())


def _remember(ctx, inputs, output):  # type: ignore[no-untyped-def]
    query, key, value, weight, bias, table, table_left, offsets, key_offsets, key_mask, seed, *rest = inputs
    kept = (query, key, value, *output)
    ctx.save_for_backward(*kept, weight, bias, table, offsets, key_offsets, key_mask, seed)
    ctx.table_left, ctx.rest = table_left, rest


def _backward(ctx, *grads, gradients: Callable[..., list[Tensor]] = _gradients):  # type: ignore[no-untyped-def]
    """One gradient for each input of :func:`_forward`, from that of its first output."""
    *kept, weight, bias, table, offsets, key_offsets, key_mask, seed = ctx.saved_tensors
    rest = (weight, bias, table, ctx.table_left, offsets, key_offsets, key_mask, seed, *ctx.rest)
    by_query, by_key, by_value, *learned = gradients(grads[0], *kept, *rest)
    names = [name for name, x in (("weight", weight), ("table", table), ("bias", bias)) if x is not None]
    by_name = dict(zip(names, learned, strict=True))
    return by_query, by_key, by_value, by_name.get("weight"), by_name.get("bias"), by_name.get("table"), *[None] * 12


def _differentiable_backward(ctx, grad: Tensor) -> list[Tensor | None]:  # type: ignore[no-untyped-def]
    """As :func:`_backward`, by the definition, which can be differentiated once more but holds all pairs."""
    query, key, value, _, _, weight, bias, table, offsets, key_offsets, key_mask, seed = ctx.saved_tensors
    flat = (weight, bias, table, ctx.table_left, offsets, key_offsets, key_mask, seed, *ctx.rest[:-1])
    with torch.autocast(query.device.type, enabled=False):
        output = reference.attend(query, key, value, _spec(*flat))
    given = {i: x for i, x in enumerate((query, key, value, weight, bias, table)) if x is not None and x.requires_grad}
    found = torch.autograd.grad(output, list(given.values()), grad, create_graph=True, allow_unused=True)
    by_place = dict(zip(given, found, strict=True))
    return [by_place.get(i) for i in range(18)]


_forward.__signature__ = inspect.signature(_forward)  # type: ignore[attr-defined]  # which autograd asks for at every call


class _Eager(torch.autograd.Function):
    forward = staticmethod(_forward)
    setup_context = staticmethod(_remember)

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[no-untyped-def]
        asked_for_more = torch.is_grad_enabled()  # by create_graph
        return tuple(_differentiable_backward(ctx, grads[0])) if asked_for_more else _backward(ctx, *grads)


_INPUTS = (
    "Tensor query, Tensor key, Tensor value, Tensor? weight, Tensor? bias, Tensor? table, int table_left, "
    "Tensor? offsets, Tensor? key_offsets, Tensor? key_mask, Tensor? seed, "
    "str normalizer, int? left, int? right, SymInt query_start, float scale, float dropout_p, str implementation"
)
_FOR_BACKWARD = f"Tensor grad, {_INPUTS.replace('value,', 'value, Tensor output, Tensor statistics,', 1)}"
_traced = torch.library.custom_op(
    "regard::attend", _forward, mutates_args=(), schema=f"({_INPUTS}) -> (Tensor, Tensor)"
)
_traced_gradients = torch.library.custom_op(
    "regard::attend_backward", _gradients, mutates_args=(), schema=f"({_FOR_BACKWARD}) -> Tensor[]"
)


@_traced.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    statistics = native.statistics_shape(query) if rest[-1] == "native" else (0,)
    return query.new_empty(*query.shape[:-1], value.shape[-1]), query.new_empty(statistics, dtype=torch.float32)


@_traced_gradients.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, *rest: Any) -> list[Tensor]:
    _, weight, bias, table = rest[:4]
    given = [query, key, value, *(x for x in (weight, table, bias) if isinstance(x, Tensor))]
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in given]


_traced.register_autograd(partial(_backward, gradients=_traced_gradients), setup_context=_remember)
