"""Activation checkpointing: what is computed again in backward is what there was without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from attention.both import Case, GridCase, make
from attention.calls import Leaves
from attention.tolerances import assert_near

DENSE = Case(dtype=torch.float32, lengths=((21, 21), (21, 21)), key_heads=2, group=2)
IMAGE = GridCase(dtype=torch.float32, window=(1, 2), tables=(2, 1, 1, 1), key_heads=2)
CALLS = {
    "softmax": replace(DENSE, window=(3, 2), key_mask=True),
    "relu": replace(DENSE, window=4, normalizer="relu", table=(2, 2)),
    "causal": replace(DENSE, causal=True),
    "additive": replace(DENSE, score="additive", normalizer="sigmoid"),
    "ragged": replace(DENSE, window=8, ragged=True, lengths=((9, 9), (0, 0), (17, 17))),
    "dropout": replace(DENSE, window=8, dropout_p=0.25),
    "image": IMAGE,
    "images": replace(IMAGE, ragged=True, sizes=((2, 3), (1, 1), (4, 2)), dilation=2),
    "image, all pixels": replace(IMAGE, window=None),
    "image, dropout": replace(IMAGE, dropout_p=0.25, border="shift"),
}


RUNS = [(name, implementation) for name in CALLS for implementation in ("auto", "reference", "blocked", "native")]
RUNS = [run for run in RUNS if run != ("image, dropout", "native")] + [("causal", "sdpa")]


def _run(name: str, implementation: str, **options: bool) -> Leaves:
    call = make(CALLS[name])
    leaves = {name: leaf.clone().requires_grad_() for name, leaf in call.leaves.items()}

    def attend(*inputs: Tensor) -> Tensor:
        return call.attend(implementation, dict(zip(leaves, inputs, strict=True)))

    output = checkpoint(attend, *leaves.values(), **options) if options else attend(*leaves.values())
    output.square().sum().backward()
    return {"output": output.detach(), **{name: leaf.grad for name, leaf in leaves.items()}}


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize(("name", "implementation"), RUNS)
def test_checkpoint(name: str, implementation: str, use_reentrant: bool) -> None:
    without = _run(name, implementation)
    for what, actual in _run(name, implementation, use_reentrant=use_reentrant).items():
        assert_near(actual, without[what].double(), torch.float32, what)
