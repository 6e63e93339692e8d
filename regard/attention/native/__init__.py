"""C++ kernels for the CPU: every score, normalizer, window and layout, forward and backward, at the machine's speed."""

from __future__ import annotations

import importlib
import os
from typing import Any

import torch
from torch import Tensor

from regard.attention.band import Band
from regard.attention.spec import Spec, is_wrapper, sequences_of, transforms
from regard.attention.weights import AttentionWeights
from regard.errors import ConfigError
from regard.ragged import on_host

try:
    _kernels: Any = importlib.import_module("regard.attention.native._kernels")
except ImportError:  # installed where there was no compiler
    _kernels = None

TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
LARGE = 4 << 20  # bytes, from which on large pages pay
NOT_BUILT = "it was not built when regard was installed, for want of a C++ compiler"


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> list[str]:
    """Every reason why these kernels cannot do the call; none if they can."""
    reasons = refusals_of_inputs(query, key, value)
    if spec.bias is not None:
        reasons.append("there is a bias tensor")
    return reasons


def refusals_of_inputs(query: Tensor, key: Tensor, value: Tensor) -> list[str]:
    """Every reason that no option changes."""
    reasons = []  # said only where they hold: this runs at every call
    if _kernels is None:
        reasons.append(NOT_BUILT)
    if query.device.type not in ("cpu", "meta"):
        reasons.append(f"the tensors are on {query.device.type}, not the CPU")
    if query.dtype == torch.float64:
        reasons.append("float64 has no kernel")
    if not type(query) is type(key) is type(value) is Tensor:
        wrappers = {type(x).__name__ for x in (query, key, value) if is_wrapper(x)}
        reasons += [f"a {name} holds its numbers in other tensors" for name in sorted(wrappers)]
    reasons += [f"{name} is under way, which cannot see inside them" for name in transforms()]
    return reasons


def is_built() -> bool:
    """Whether the kernels are there."""
    return _kernels is not None


def instruction_sets() -> list[str]:
    """All that the processor has, the best last."""
    there: list[str] = _kernels.instruction_sets()
    return there


def instruction_set() -> str:
    """The best that the processor has, or what the environment variable REGARD_ISA names."""
    there = instruction_sets()
    named = os.environ.get("REGARD_ISA")
    if named is None:
        return there[-1]
    if named not in there:
        raise ConfigError(f"REGARD_ISA must be one of {', '.join(there)} on this processor, got {named!r}")
    return named


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """The output, ``[B, H, Q, Dv]`` or ``[T, H, Dv]``; what :func:`gradients` needs beside it, ``[B, H, Q]``."""
    saved = empty(*saved_shape(query))
    return _forward(_call(query, key, value, spec), query, value, saved), saved


def attend_part(query: Tensor, key: Tensor, value: Tensor, spec: Spec, statistics: Tensor) -> Tensor:
    """What rows that see other keys too make of these, ``[B, H, Q, Dv]``.

    Arguments:
        statistics: ``[B, H, Q]``, what the weights are made by: under relu 1/n, under sigmoid log₂ n, n keys in all.
            Under softmax the weights are of these keys alone, and ``log₂ Σ e^score`` is written there, Inf for none.
    """
    call = _call(query, key, value, spec)
    call.part = True
    return _forward(call, query, value, statistics)


def _forward(call: Any, query: Tensor, value: Tensor, statistics: Tensor) -> Tensor:
    output = empty(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    call.output, call.statistics = array(output), statistics.data_ptr()
    call.forward()
    return output


def gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, spec: Spec
) -> dict[str, Tensor]:
    """The gradients of query, key, value and what is learned."""
    call = _call(query, key, value, spec)
    call.output = array(output)
    return _backward(call, grad, (query, key, value), torch.empty_like(saved), saved, spec)


def gradients_of_part(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, inner: Tensor, statistics: Tensor, spec: Spec
) -> dict[str, Tensor]:
    """The same of rows that see other keys too.

    Arguments:
        inner: ``[B, H, Q]``, ``output · grad`` of all keys; read under softmax.
        statistics: ``[B, H, Q]`` of all keys: under softmax the logarithm, else as in :func:`attend_part`.
    """
    call = _call(query, key, value, spec)
    call.part = True
    return _backward(call, grad, (query, key, value), inner, statistics, spec)


def _backward(
    call: Any, grad: Tensor, inputs: tuple[Tensor, Tensor, Tensor], inner: Tensor, statistics: Tensor, spec: Spec
) -> dict[str, Tensor]:
    call.statistics, call.grad, call.inner = statistics.data_ptr(), array(grad), inner.data_ptr()
    found = {name: empty(*x.shape, dtype=x.dtype) for name, x in zip(("query", "key", "value"), inputs, strict=True)}
    call.by_query, call.by_key, call.by_value = (array(x) for x in found.values())
    learned = spec.learned()
    parts = {name: zeros(call.row_runs(), statistics.shape[0], *x.shape) for name, x in learned.items()}
    if "table" in parts:
        call.table_parts = parts["table"].data_ptr()
    if "additive_weight" in parts:
        call.weight_parts = parts["additive_weight"].data_ptr()
    call.backward()
    return found | {name: x.sum((0, 1)).to(learned[name].dtype) for name, x in parts.items()}


def weights(query: Tensor, key: Tensor, spec: Spec) -> AttentionWeights:
    """The weights, a truncated window as a band."""
    call = _call(query, key, key, spec)
    band = Band.of(spec, sequences_of(query, key, spec), query.device)
    values, statistics = zeros(*query.shape[:-1], band.width), zeros(*saved_shape(query))
    call.statistics, call.band, call.band_width = statistics.data_ptr(), values.data_ptr(), band.width
    call.weights()
    return band.weights(values.to(query.dtype), spec)


def saved_shape(query: Tensor) -> tuple[int, ...]:
    """``[B, H, Q]``, a number for each row; B is 1 in a ragged batch."""
    return (1, query.shape[1], query.shape[0]) if query.dim() == 3 else tuple(query.shape[:3])


def mute(saved: Tensor, spec: Spec) -> None:
    """Makes rows ``[B, H, r]`` of what :func:`attend` saved such that to :func:`gradients` they see nothing."""
    saved.fill_(0 if spec.normalizer == "relu" else torch.inf)


def new_call(query: Tensor, key: Tensor, value: Tensor, normalizer: str, scale: float) -> Any:
    """What every call for the kernels says."""
    call = _kernels.Call(instruction_set(), TYPES[query.dtype])
    call.query, call.key, call.value = array(query), array(key), array(value)
    call.normalizer, call.scale, call.threads = normalizer, scale, torch.get_num_threads()
    return call


def _call(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> Any:
    """The call for the kernels, all but what they write."""
    call = new_call(query, key, value, spec.normalizer, spec.scale)
    call.query_start = int(spec.query_start)
    if spec.left is not None:
        call.left = spec.left
    if spec.right is not None:
        call.right = spec.right
    if spec.seed is not None:
        call.seed, call.dropout_p = int(spec.seed), spec.dropout_p
        call.first_row, call.first_key = spec.first_row, spec.first_key
    tensors: list[Tensor] = []  # beside query, key and value
    call.tensors = tensors

    def address(x: Tensor, dtype: torch.dtype) -> int:
        tensors.append(x.detach().to(dtype).contiguous())
        return int(tensors[-1].data_ptr())

    if spec.additive_weight is not None:
        call.additive_weight = address(spec.additive_weight, torch.float32)
    if spec.table is not None:
        call.table, call.table_left = address(spec.table, torch.float32), spec.table_left
        call.table_width = spec.table.shape[1]
    if spec.key_mask is not None:
        call.key_mask = address(spec.key_mask, torch.bool)
    if spec.offsets is None:
        call.dense()
        return call
    given = [spec.offsets] if spec.key_offsets is None else [spec.offsets, spec.key_offsets]
    offsets, *others = (address(x, torch.int64) for x in on_host(*given))
    key_offsets = others[0] if others else offsets
    if not call.ragged(offsets=offsets, key_offsets=key_offsets, count=len(spec.offsets) - 1):
        sequences_of(query, key, spec)  # says what is wrong
    return call


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """What the kernels write into, whatever PyTorch's default type and device are."""
    memory = torch.empty(shape, dtype=dtype, device="cpu")
    if memory.nbytes >= LARGE:
        _kernels.prefer_large_pages(memory.data_ptr(), memory.nbytes)
    return memory


def zeros(*shape: int) -> Tensor:
    return empty(*shape).zero_()


def array(x: Tensor) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """A tensor as the kernels take it: where it lies, its shape and its strides."""
    return x.data_ptr(), x.shape, x.stride()
