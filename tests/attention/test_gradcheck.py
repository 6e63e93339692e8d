"""Gradients against finite differences, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attention.cases import Case, make
from regard.attention.api import IMPLEMENTATIONS

PLAIN = Case(lengths=((4, 4), (4, 4)), key_heads=1, group=2, dim=2, value_dim=3, seed=3)
WINDOW = replace(PLAIN, window=(2, 1), query_start=1, table=(1, 1))
LAYOUTS = {
    "dense": replace(PLAIN, bias=(True, True, True, True), bias_hides=True, key_mask=True),
    "ragged": replace(PLAIN, ragged=True, lengths=((3, 3), (0, 0), (5, 5), (2, 2))),
    "dense-window": WINDOW,
    "ragged-window": replace(WINDOW, ragged=True, lengths=((5, 5), (2, 2), (1, 1))),
    "dense-cross": replace(PLAIN, lengths=((3, 5),)),
    "ragged-cross": replace(WINDOW, ragged=True, lengths=((3, 5), (2, 0), (1, 2))),
    "dense-dropout": replace(WINDOW, dropout_p=0.3),
    "ragged-dropout": replace(PLAIN, ragged=True, lengths=((3, 3), (4, 4)), dropout_p=0.3),
}
TABLE = [
    (implementation, score, normalizer, layout)
    for implementation in IMPLEMENTATIONS
    for score in ("dot", "additive")
    for normalizer in ("softmax", "relu", "sigmoid")
    for layout in LAYOUTS
    if implementation not in ("sdpa", "triton", "native")  # which refuse float64
]


@pytest.mark.parametrize(("implementation", "score", "normalizer", "layout"), TABLE)
def test_gradcheck(implementation: str, score: str, normalizer: str, layout: str) -> None:
    call = make(replace(LAYOUTS[layout], score=score, normalizer=normalizer))
    leaves = {name: leaf.requires_grad_() for name, leaf in call.leaves.items()}

    def output(*tensors: Tensor) -> Tensor:
        return call.attend(implementation, dict(zip(leaves, tensors, strict=True)))

    assert torch.autograd.gradcheck(output, tuple(leaves.values()), fast_mode=True)


@pytest.mark.parametrize("layout", ["dense", "ragged-window", "ragged-dropout"])
@pytest.mark.parametrize("score", ["dot", "additive"])
def test_second_derivatives(score: str, layout: str) -> None:
    call = make(replace(LAYOUTS[layout], score=score))
    leaves = {name: leaf.requires_grad_() for name, leaf in call.leaves.items()}

    def output(*tensors: Tensor) -> Tensor:
        return call.attend("blocked", dict(zip(leaves, tensors, strict=True)))

    assert torch.autograd.gradgradcheck(output, tuple(leaves.values()), fast_mode=True)


def test_second_derivatives_of_native() -> None:
    case = replace(LAYOUTS["ragged-window"], dtype=torch.float32)
    second = {}
    for implementation in ("native", "reference"):
        leaves = {name: leaf.requires_grad_() for name, leaf in make(case).leaves.items()}
        output = make(case).attend(implementation, leaves)
        first = torch.autograd.grad(output.square().sum(), leaves["query"], create_graph=True)[0]
        second[implementation] = torch.autograd.grad(first.square().sum(), leaves["key"])[0]
    torch.testing.assert_close(second["native"], second["reference"])
