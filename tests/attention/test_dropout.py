"""Dropout drops the share it was told to, everywhere alike, and the same for every implementation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import regard
from attention.cases import Case, make
from attention.tolerances import assert_near
from regard.attention.api import DEFAULTS
from regard.attention.check import check
from regard.attention.implementations import IMPLEMENTATIONS

P = 0.3
named = pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])


def _kept(*shape: int, p: float = P) -> Tensor:
    """Which of equal weights are kept: bool ``[B, H, Q, K]``."""
    B, H, Q, K = shape
    query, key = torch.zeros(B, H, Q, 1), torch.zeros(B, H, K, 1)
    weights = regard.attention_weights(query, key, dropout_p=p, implementation="reference").values
    assert torch.isclose(weights, torch.tensor(1 / (K * (1 - p)))).logical_or(weights == 0).all()
    return weights > 0


def _far_from(share: Tensor, expected: float, count: int) -> float:
    """The largest distance of a share of ``count`` from what is expected, in standard deviations."""
    return float((share - expected).abs().max()) / math.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_the_share_kept(p: float) -> None:
    kept = _kept(2, 4, 128, 128, p=p).double()
    assert _far_from(kept.mean(), 1 - p, kept.numel()) < 4
    for axes in ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)):  # of each sequence, head, query, key
        share = kept.mean(axes)
        assert _far_from(share, 1 - p, kept.numel() // len(share)) < 5, axes


def test_what_is_kept_does_not_hang_together() -> None:
    """Neighbours along any axis are kept both with probability (1 − p)², and so are pairs one diagonal apart."""
    kept = _kept(4, 4, 96, 96)
    both = (1 - P) ** 2
    for axis in range(4):
        first, second = kept.narrow(axis, 0, kept.shape[axis] - 1), kept.narrow(axis, 1, kept.shape[axis] - 1)
        assert _far_from((first & second).double().mean(), both, first.numel()) < 5, axis
    assert _far_from((kept[..., 1:, 1:] & kept[..., :-1, :-1]).double().mean(), both, kept[..., 1:, 1:].numel()) < 5
    assert _far_from((kept & kept.mT).double().mean(), both, kept.numel() // 2) < 6


def test_each_call_and_each_sequence_drops_others() -> None:
    both = (1 - P) ** 2 + P**2  # chance that two independent choices agree
    torch.manual_seed(5)
    first, second = _kept(1, 2, 64, 64), _kept(1, 2, 64, 64)
    assert _far_from((first == second).double().mean(), both, first.numel()) < 5
    x = torch.zeros(128, 1, 1)
    options = {"offsets": torch.tensor([0, 64, 128]), "dropout_p": P, "implementation": "reference"}
    left, right = regard.attention_weights(x, x, **options).dense()
    assert _far_from(((left > 0) == (right > 0)).double().mean(), both, left.numel()) < 5


@named
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("window", [None, 3])
def test_on_average_nothing_changes(implementation: str, ragged: bool, window: int | None) -> None:
    lengths = ((5, 5), (9, 9)) if ragged else ((7, 7), (7, 7))
    call = make(Case(ragged=ragged, window=window, lengths=lengths, key_heads=2, dtype=torch.float32))
    exact = call.attend(implementation)
    call.options["dropout_p"] = P
    times = 600
    query, key, value = call.leaves.values()
    outputs = torch.stack(
        [regard.attend(query, key, value, implementation=implementation, **call.options) for _ in range(times)]
    )
    error = (outputs.mean(0) - exact).abs() / (outputs.std(0) / math.sqrt(times) + 1e-9)
    assert error.max() < 5
    assert not torch.equal(outputs[0], outputs[1])


@named
def test_torch_manual_seed_decides(implementation: str) -> None:
    case = Case(dropout_p=P, lengths=((40, 40), (40, 40)), window=9, key_heads=2, dtype=torch.float32)
    first, again = make(case).run(implementation), make(case).run(implementation)
    assert all(torch.equal(first[name], again[name]) for name in first)
    call = make(case)
    call.case = replace(case, seed=1)
    assert not torch.equal(call.attend(implementation), first["output"])


@named
def test_no_dropout_takes_no_random_number(implementation: str) -> None:
    x = torch.randn(1, 1, 4, 4)
    before = torch.get_rng_state()
    regard.attend(x, x, x, implementation=implementation)
    assert torch.equal(torch.get_rng_state(), before)


@named
def test_gradient_goes_where_the_output_came_from(implementation: str) -> None:
    """With one value per key being 1, the output is the weights, and the values' gradient is the same weights."""
    N = 20
    query, key, value = torch.zeros(1, 1, N, 2), torch.zeros(1, 1, N, 2), torch.eye(N)[None, None].requires_grad_()
    weights = regard.attend(query, key, value, dropout_p=P, implementation=implementation)
    assert 0.5 < (weights > 0).double().mean() < 0.9
    gradient = torch.randn_like(weights)
    assert_near(torch.autograd.grad(weights, value, gradient)[0], weights.mT @ gradient, torch.float32)


@pytest.mark.parametrize("implementation", ["reference", "blocked", "triton", "native"])
def test_a_part_of_a_call_drops_what_the_whole_drops(implementation: str) -> None:
    """Rows 20 to 39 with keys 10 to 49, told where they stand in a call of 40 rows and 50 keys."""
    query, key = torch.zeros(1, 2, 40, 1), torch.zeros(1, 2, 50, 1)
    if implementation == "triton":
        pytest.importorskip("triton", reason="Triton is not installed")
        query, key = (x.cuda() if torch.cuda.is_available() else x for x in (query, key))
    row = IMPLEMENTATIONS[implementation]
    assert row.weights is not None
    _, _, _, spec = check(query, key, key, {**DEFAULTS, "dropout_p": P})
    whole = row.weights(query, key, spec).values
    part = row.weights(query[:, :, 20:], key[:, :, 10:], spec._replace(first_row=20, first_key=10)).values
    assert torch.equal(part > 0, whole[:, :, 20:, 10:] > 0)
    assert 0 < int((part > 0).sum()) < part.numel()
