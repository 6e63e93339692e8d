"""Triton kernels for GPUs: every normalizer, window and layout, forward and backward; ``TRITON_INTERPRET=1`` for CPUs.

Triton is loaded by the first call. A row's keys are one run, in a window, a causal call and a ragged batch alike; a
program works on a block of rows, a tile of the other side at a time. Nothing is added to by two programs, so that a
call gives the same bits every time.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from regard.attention.native import saved_shape
from regard.attention.spec import Spec, is_wrapper, transforms
from regard.attention.weights import AttentionWeights

__all__ = ["attend", "gradients", "refusals", "saved_shape", "weights"]

INSTALLED = find_spec("triton") is not None
WIDEST = 256  # channels of a head
OLDEST = (8, 0)  # Ampere


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> list[str]:
    """Every reason why these kernels cannot do the call; none if they can."""
    reasons = []  # said only where they hold: this runs at every call
    if query.device.type not in ("cuda", "meta") and not (query.is_cpu and _is_interpreted()):
        reasons.append(f"the tensors are on {query.device.type}, not a GPU")
    elif not INSTALLED:
        reasons.append("Triton is not installed: pip install 'regard[gpu]'")
    elif query.is_cuda and not torch.compiler.is_compiling() and _is_old(query.device):
        reasons.append("the GPU is older than Ampere")
    if query.dtype == torch.float64:
        reasons.append("float64 has no kernel")
    if max(query.shape[-1], value.shape[-1]) > WIDEST:
        reasons.append(f"a head of more than {WIDEST} channels has no kernel")
    wrappers = {type(x).__name__ for x in (query, key, value) if is_wrapper(x)}
    reasons += [f"a {name} holds its numbers in other tensors" for name in sorted(wrappers)]
    reasons += [f"{name} is under way, which cannot see inside them" for name in transforms()]
    return reasons


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """The output, ``[B, H, Q, Dv]`` or ``[T, H, Dv]``; what :func:`gradients` needs beside it, ``[B, H, Q]``."""
    with _current(query):
        return _calls().attend(query, key, value, spec)  # type: ignore[no-any-return]


def gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, spec: Spec
) -> dict[str, Tensor]:
    """The gradients of query, key, value and what is learned."""
    with _current(query):
        return _calls().gradients(grad, query, key, value, output, saved, spec)  # type: ignore[no-any-return]


def weights(query: Tensor, key: Tensor, spec: Spec) -> AttentionWeights:
    """The weights, a truncated window as a band."""
    with _current(query):
        return _calls().weights(query, key, spec)  # type: ignore[no-any-return]


def _calls() -> Any:
    from regard.attention.triton import calls

    return calls


def _current(query: Tensor) -> AbstractContextManager[object]:
    """Within, its GPU is the one on which kernels are launched."""
    return torch.cuda.device_of(query)  # type: ignore[no-untyped-call]


def _is_interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _is_old(device: torch.device) -> bool:  # pragma: no cover - needs a GPU
    return torch.cuda.get_device_capability(device) < OLDEST
