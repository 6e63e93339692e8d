"""One operator, forward and backward, around code that cannot be traced: torch.compile and torch.export see a call."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.attention import blocked
from regard.attention.scores import Additive, RelativeBias
from regard.attention.spec import Spec


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> Tensor:
    """The call as an operator with a gradient for query, key, value and whatever of ``spec`` is learned."""
    output: Tensor = _attend(query, key, value, *_flat(spec))
    return output


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


_INPUTS = (
    "Tensor query, Tensor key, Tensor value, Tensor? weight, Tensor? bias, Tensor? table, int table_left, "
    "Tensor? offsets, Tensor? key_offsets, Tensor? key_mask, Tensor? seed, "
    "str normalizer, int? left, int? right, SymInt query_start, float scale, float dropout_p"
)


@torch.library.custom_op("regard::attend", mutates_args=(), schema=f"({_INPUTS}) -> Tensor")
def _attend(query: Tensor, key: Tensor, value: Tensor, *rest: object) -> Tensor:
    with torch.autocast(query.device.type, enabled=False):
        return blocked.attend(query, key, value, _spec(*rest))  # type: ignore[arg-type]


@_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: object) -> Tensor:
    return query.new_empty(*query.shape[:-1], value.shape[-1])


@torch.library.custom_op("regard::attend_backward", mutates_args=(), schema=f"(Tensor grad, {_INPUTS}) -> Tensor[]")
def _attend_backward(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: object) -> list[Tensor]:
    with torch.autocast(query.device.type, enabled=False):
        return list(blocked.gradients(grad, query, key, value, _spec(*rest)).values())  # type: ignore[arg-type]


@_attend_backward.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: object) -> list[Tensor]:
    weight, bias, table = rest[:3]
    given = [query, key, value, *(x for x in (weight, table, bias) if isinstance(x, Tensor))]
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in given]


def _remember(ctx, inputs, output):  # type: ignore[no-untyped-def]
    query, key, value, weight, bias, table, table_left, offsets, key_offsets, key_mask, seed, *rest = inputs
    ctx.save_for_backward(query, key, value, weight, bias, table, offsets, key_offsets, key_mask, seed)
    ctx.table_left, ctx.rest = table_left, rest


def _backward(ctx, grad):  # type: ignore[no-untyped-def]
    query, key, value, weight, bias, table, offsets, key_offsets, key_mask, seed = ctx.saved_tensors
    rest = (weight, bias, table, ctx.table_left, offsets, key_offsets, key_mask, seed, *ctx.rest)
    by_query, by_key, by_value, *learned = _attend_backward(grad, query, key, value, *rest)
    names = [name for name, x in (("weight", weight), ("table", table), ("bias", bias)) if x is not None]
    by_name = dict(zip(names, learned, strict=True))
    return by_query, by_key, by_value, by_name.get("weight"), by_name.get("bias"), by_name.get("table"), *[None] * 11


_attend.register_autograd(_backward, setup_context=_remember)
