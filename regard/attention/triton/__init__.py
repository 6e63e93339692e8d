"""Triton kernels for GPUs: every normalizer, window and layout, forward and backward; ``TRITON_INTERPRET=1`` for CPUs.

Triton is loaded by the first call. A row's keys are one run, in a window, a causal call and a ragged batch alike; a
program works on a block of rows, a tile of the other side at a time. Nothing is added to by two programs, so that a
call gives the same bits every time.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from regard.attention.native import saved_shape
from regard.attention.spec import Spec, is_wrapper, transforms
from regard.attention.weights import AttentionWeights

__all__ = ["attend", "gradients", "refusals", "saved_shape", "weights"]

WIDEST = 256  # channels of a head
OLDEST_TRITON, OLDEST_GPU = (3, 4), (8, 0)  # Ampere, the first that multiplies bfloat16
MOST = 1 << 31  # positions: an int32 holds those below


def installed(module: str = "triton") -> str | None:
    """Which version of a module there is: None where there is none, nothing where its package has another name."""
    if find_spec(module) is None:
        return None
    try:
        return version(module)
    except PackageNotFoundError:
        return ""


def lacks_triton(found: str | None) -> str | None:
    """What stands against that version; against an unknown one nothing."""
    wanted = ".".join(map(str, OLDEST_TRITON))
    if found is None:
        return f"Triton {wanted} or newer is not installed: pip install 'regard[gpu]'"
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    if numbers and numbers < OLDEST_TRITON:
        return f"Triton {found} is too old, it takes {wanted} or newer: pip install --upgrade 'regard[gpu]'"
    return None


AGAINST_TRITON = lacks_triton(installed())


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> list[str]:
    """Every reason why these kernels cannot do the call; none if they can."""
    reasons = []  # said only where they hold: this runs at every call
    if query.device.type not in ("cuda", "meta") and not (query.is_cpu and _is_interpreted()):
        reasons.append(f"the tensors are on {query.device.type}, not a GPU")
    elif AGAINST_TRITON is not None:
        reasons.append(AGAINST_TRITON)
    elif query.is_cuda and not torch.compiler.is_compiling() and (reason := _of_gpu(query.device)) is not None:
        reasons.append(reason)
    if query.dtype == torch.float64:
        reasons.append("float64 has no kernel")
    if max(query.shape[-1], value.shape[-1]) > WIDEST:
        reasons.append(f"a head of more than {WIDEST} channels has no kernel")
    axis = 2 if spec.offsets is None else 0
    if query.shape[axis] + key.shape[axis] + spec.query_start >= MOST:
        reasons.append("a position of 2³¹ or more, counted over all rows and from query_start, has no kernel")
    if not type(query) is type(key) is type(value) is Tensor:
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
def _of_gpu(device: torch.device) -> str | None:
    """What stands against a GPU; nothing against one that is only told of, by fake tensors."""
    if torch.version.hip is not None:
        return "the GPU is AMD's, the kernels are for NVIDIA's"
    if not torch.cuda.is_available():
        return None
    return lacks_units(torch.cuda.get_device_capability(device))  # pragma: no cover - needs a GPU


def lacks_units(capability: tuple[int, int]) -> str | None:
    """What stands against a GPU of a compute capability."""
    if capability >= OLDEST_GPU:
        return None
    found, wanted = (".".join(map(str, x)) for x in (capability, OLDEST_GPU))
    return f"the GPU is of compute capability {found}, the kernels take {wanted} (Ampere, which has bfloat16) or newer"
