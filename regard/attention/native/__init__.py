"""C++ kernels for the CPU: every score, normalizer, window and layout, forward and backward, at the machine's speed."""

from __future__ import annotations

import importlib
import os
from typing import Any

import torch
from torch import Tensor

from regard.attention.band import Band
from regard.attention.spec import Spec, sequences_of
from regard.attention.weights import AttentionWeights
from regard.errors import ConfigError

try:
    _kernels: Any = importlib.import_module("regard.attention.native._kernels")
except ImportError:  # installed where there was no compiler
    _kernels = None

TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
NO_LIMIT = 1 << 60
LARGE = 4 << 20  # bytes, from which on large pages pay
NOT_BUILT = "it was not built when regard was installed, for want of a C++ compiler"


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> list[str]:
    """Every reason why these kernels cannot do the call; none if they can."""
    reasons = []  # said only where they hold: this runs at every call
    if _kernels is None:
        reasons.append(NOT_BUILT)
    if query.device.type != "cpu":
        reasons.append(f"the tensors are on {query.device.type}, not the CPU")
    if query.dtype == torch.float64:
        reasons.append("float64 has no kernel")
    if spec.bias is not None:
        reasons.append("there is a bias tensor")
    return reasons


def instruction_set() -> str:
    """The best that the processor has, or what the environment variable REGARD_ISA names."""
    there: list[str] = _kernels.instruction_sets()
    named = os.environ.get("REGARD_ISA")
    if named is None:
        return there[-1]
    if named not in there:
        raise ConfigError(f"REGARD_ISA must be one of {', '.join(there)} on this processor, got {named!r}")
    return named


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """The output, ``[B, H, Q, Dv]`` or ``[T, H, Dv]``; what :func:`gradients` needs beside it, ``[B, H, Q]``."""
    call, keep = _call(query, key, value, spec)
    output = _empty(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    statistics = _empty(*saved_shape(query))
    call.forward(*_array(query), *_array(key), *_array(value), *_array(output), statistics.data_ptr())
    del keep
    return output, statistics


def gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, spec: Spec
) -> dict[str, Tensor]:
    """The gradients of whatever may have one: query, key, value, and where they are given weight and table."""
    call, keep = _call(query, key, value, spec)
    given = {"query": query, "key": key, "value": value}
    found = {name: _gradient(x) for name, x in given.items()}
    learned = spec.learned()
    parts = {name: _zeros(call.row_runs(), saved.shape[0], *x.shape) for name, x in learned.items()}
    inner = torch.empty_like(saved)
    call.backward(
        *_array(query),
        *_array(key),
        *_array(value),
        *_array(output),
        saved.data_ptr(),
        *_array(grad),
        *(part for x in found.values() for part in _array(x)),
        parts["table"].data_ptr() if "table" in parts else 0,
        parts["additive_weight"].data_ptr() if "additive_weight" in parts else 0,
        inner.data_ptr(),
    )
    del keep
    return found | {name: x.sum((0, 1)).to(learned[name].dtype) for name, x in parts.items()}


def weights(query: Tensor, key: Tensor, spec: Spec) -> AttentionWeights:
    """The weights, a truncated window as a band."""
    call, keep = _call(query, key, key, spec)
    band = Band.of(spec, sequences_of(query, key, spec), query.device)
    held = _zeros(*query.shape[:-1], band.width)
    statistics = _zeros(*saved_shape(query))
    call.weights(*_array(query), *_array(key), statistics.data_ptr(), held.data_ptr(), band.width)
    del keep
    return band.weights(held.to(query.dtype), spec)


def saved_shape(query: Tensor) -> tuple[int, ...]:
    """``[B, H, Q]``, a number for each row; B is 1 in a ragged batch."""
    return (1, query.shape[1], query.shape[0]) if query.dim() == 3 else tuple(query.shape[:3])


def _call(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Any, list[Tensor]]:
    """The call for the kernels, and the tensors whose memory it reads."""
    keep: list[Tensor] = []

    def address(x: Tensor | None, dtype: torch.dtype) -> int:
        if x is None:
            return 0
        keep.append(x.detach().to(dtype).contiguous())
        return int(keep[-1].data_ptr())

    if spec.offsets is None:
        sizes = [*query.shape[:2], key.shape[1], query.shape[2], *key.shape[2:], value.shape[3]]
    else:
        sizes = [1, query.shape[1], key.shape[1], len(query), len(key), query.shape[2], value.shape[2]]
    call = _kernels.Call(
        instruction_set(),
        TYPES[query.dtype],
        spec.normalizer,
        sizes,
        address(spec.offsets, torch.int64),
        address(spec.offsets if spec.key_offsets is None else spec.key_offsets, torch.int64),
        0 if spec.offsets is None else len(spec.offsets) - 1,
        -1 if spec.left is None else min(spec.left, NO_LIMIT),
        -1 if spec.right is None else min(spec.right, NO_LIMIT),
        int(spec.query_start),
        spec.scale,
        address(spec.additive_weight, torch.float32),
        address(spec.table, torch.float32),
        spec.table_left,
        0 if spec.table is None else spec.table.shape[1],
        address(spec.key_mask, torch.bool),
        spec.dropout_p,
        0 if spec.seed is None else int(spec.seed),
        torch.get_num_threads(),
    )
    if not call.offsets_fit():
        sequences_of(query, key, spec)  # says what is wrong
    return call, keep


def _empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """What the kernels write into, whatever PyTorch's default type and device are."""
    memory = torch.empty(shape, dtype=dtype, device="cpu")
    if memory.nbytes >= LARGE:
        _kernels.prefer_large_pages(memory.data_ptr(), memory.nbytes)
    return memory


def _zeros(*shape: int) -> Tensor:
    return _empty(*shape).zero_()


def _gradient(x: Tensor) -> Tensor:
    """What is added to starts at zero; other types are written once."""
    memory = _empty(*x.shape, dtype=x.dtype)
    return memory.zero_() if x.dtype == torch.float32 else memory


def _array(x: Tensor) -> tuple[int, list[int]]:
    """Where a tensor lies, and its strides over batch, head, row and column."""
    strides = list(x.stride())
    return x.data_ptr(), strides if x.dim() == 4 else [0, strides[1], strides[0], strides[2]]
