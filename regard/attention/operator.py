"""Attention whose gradient is its own code: as a function of autograd, and as an operator where it is traced.

Such code cannot be traced; torch.compile and torch.export see one call. Outside of them the operator would cost as
much time as a short call does, and its first use a second.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regard.attention import reference
from regard.attention.implementations import IMPLEMENTATIONS
from regard.attention.spec import LEARNED, SCHEMA, TENSORS, Spec, has_no_numbers, transforms

INPUTS = ("query", "key", "value", *SCHEMA, "implementation")  # of the operator, and of the function of autograd


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec, implementation: str) -> Tensor:
    """The call, with a gradient for query, key, value and whatever of ``spec`` is learned."""
    row, traced = IMPLEMENTATIONS[implementation], torch.compiler.is_compiling()
    if not traced and has_no_numbers(query):
        traced, implementation = True, "blocked"  # of which nothing runs: the shape is that of all
    elif row.gradients is None or not (torch.is_grad_enabled() or transforms()):  # autograd's own call takes as long
        return row.attend(query, key, value, spec)[0]
    call: Callable[..., tuple[Tensor, Tensor]] = _traced if traced else _Eager.apply
    return call(query, key, value, *spec, implementation)[0]


def _forward(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    """The output, and what is saved for backward beside it."""
    *fields, implementation = rest
    output, saved = IMPLEMENTATIONS[implementation].attend(query, key, value, Spec(*fields))
    assert saved is not None
    return output, saved


def _gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, *rest: Any
) -> list[Tensor]:
    """Those of query, key, value, and of what is learned where it is given."""
    *fields, implementation = rest
    gradients = IMPLEMENTATIONS[implementation].gradients
    assert gradients is not None
    return list(gradients(grad, query, key, value, output, saved, Spec(*fields)).values())


def _remember(ctx, inputs, output):  # type: ignore[no-untyped-def]
    query, key, value, *rest = inputs
    ctx.save_for_backward(query, key, value, *output, *rest[:TENSORS])
    ctx.rest = rest[TENSORS:]


def _backward(ctx, *grads, gradients: Callable[..., list[Tensor]] = _gradients):  # type: ignore[no-untyped-def]
    """One gradient for each input of :func:`_forward`, from that of its first output."""
    saved = ctx.saved_tensors  # once: a checkpoint, which computes them again, gives them no second time
    learned = (name for name, x in zip(LEARNED, saved[-TENSORS:], strict=False) if x is not None)
    found = gradients(grads[0], *saved, *ctx.rest)
    return _in_place(dict(zip(("query", "key", "value", *learned), found, strict=True)))


def _backward_by_definition(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
    """As :func:`_backward`, in a way that PyTorch can differentiate and transform again, but that holds every score."""
    query, key, value, _, _, *tensors = ctx.saved_tensors
    spec = Spec(*tensors, *ctx.rest[:-1])
    given = {"query": query, "key": key, "value": value} | spec.learned()

    def output(*inputs: Tensor) -> Tensor:
        query, key, value, *learned = inputs
        inner = spec._replace(**dict(zip(spec.learned(), learned, strict=True)))  # type: ignore[arg-type]
        return reference.attend(query, key, value, inner)[0]

    pull: Callable[[Tensor], tuple[Tensor, ...]] = torch.func.vjp(output, *given.values())[1]
    return _in_place(dict(zip(given, pull(grad), strict=True)))


def _in_place(gradients: dict[str, Tensor | None]) -> tuple[Tensor | None, ...]:
    return tuple(gradients.get(name) for name in INPUTS)


_forward.__signature__ = inspect.signature(_forward)  # type: ignore[attr-defined]  # which autograd asks for at every call


class _Eager(torch.autograd.Function):
    forward = staticmethod(_forward)
    setup_context = staticmethod(_remember)

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[no-untyped-def]
        many = transforms() or torch._C._functorch.is_legacy_batchedtensor(grads[0])  # by is_grads_batched
        asked_for_more = many or torch.is_grad_enabled()  # by create_graph
        return _backward_by_definition(ctx, grads[0]) if asked_for_more else _backward(ctx, *grads)


_REST = ", ".join([*(f"{kind} {name}" for name, kind in SCHEMA.items()), "str implementation"])
_traced = torch.library.custom_op(
    "regard::attend",
    _forward,
    mutates_args=(),
    schema=f"(Tensor query, Tensor key, Tensor value, {_REST}) -> (Tensor, Tensor)",
)
_traced_gradients = torch.library.custom_op(
    "regard::attend_backward",
    _gradients,
    mutates_args=(),
    schema=f"(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor output, Tensor saved, {_REST}) -> Tensor[]",
)


@_traced.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    saved_shape = IMPLEMENTATIONS[rest[-1]].saved_shape
    assert saved_shape is not None
    output = query.new_empty(*query.shape[:-1], value.shape[-1])
    return output, query.new_empty(saved_shape(query), dtype=torch.float32)


@_traced_gradients.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> list[Tensor]:
    _, _, *fields = rest  # output and saved
    given = [query, key, value, *(x for x in fields[: len(LEARNED)] if isinstance(x, Tensor))]
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in given]


_traced.register_autograd(partial(_backward, gradients=_traced_gradients), setup_context=_remember)
