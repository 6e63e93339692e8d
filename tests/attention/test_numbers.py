"""Long sums in short types, and scores large enough to overflow where one is careless."""

from __future__ import annotations

import math

import pytest
import torch

import regard
from attention.tolerances import assert_near

HALF = (torch.bfloat16, torch.float16)
named = pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])


@named
@pytest.mark.parametrize("dtype", HALF)
def test_half_types_are_summed_in_float32(implementation: str, dtype: torch.dtype) -> None:
    """A sum of 3,000 ones stops at 256 in bfloat16 and at 2,048 in float16; their mean is 1."""
    N = 3000
    query, key, value = (torch.zeros(1, 1, n, 2, dtype=dtype) for n in (3, N, N))
    value += 1
    output = regard.attend(query, key, value, implementation=implementation)
    assert output.dtype == dtype
    torch.testing.assert_close(output, torch.ones_like(output), rtol=0, atol=torch.finfo(dtype).eps)
    query.requires_grad_(), value.requires_grad_()
    output = regard.attend(query, key, value, normalizer="sigmoid", implementation=implementation)
    by_query, by_value = torch.autograd.grad(output.sum(), (query, value))
    assert by_query.dtype == by_value.dtype == dtype
    assert_near(by_value, torch.full(value.shape, 3 / (N + 1)), dtype)  # three queries, sigmoid(−ln N) = 1/(N + 1)


@named
@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
@pytest.mark.parametrize(
    ("normalizer", "same", "other"),
    [("softmax", 1, 0), ("relu", 45_000 / 4, 0), ("sigmoid", 1, 1 / 5)],
)
def test_large_dot_products(
    implementation: str, dtype: torch.dtype, normalizer: str, same: float, other: float
) -> None:
    """300 · 300 / √4 = 45,000 with itself and 0 with the others; e^45000 overflows every type."""
    x = (300 * torch.eye(4, dtype=dtype))[None, None].requires_grad_()
    value = torch.eye(4, dtype=dtype)[None, None]
    output = regard.attend(x, x, value, normalizer=normalizer, implementation=implementation)
    exact = torch.full((4, 4), other, dtype=torch.float64).fill_diagonal_(same)
    assert_near(output, exact[None, None], dtype)
    (gradient,) = torch.autograd.grad(output, x, torch.ones_like(output))
    assert gradient.isfinite().all()


@named
@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
def test_large_additive_sums(implementation: str, dtype: torch.dtype) -> None:
    """tanh(±200) is ±1 and tanh(0) is 0, so that the scores are 6, 3 and 0."""
    query = torch.full((1, 1, 1, 3), 100, dtype=dtype, requires_grad=True)
    key = torch.tensor([[100, 100, 100], [100, -100, -100], [-100, -100, -100]], dtype=dtype)[None, None]
    weight = torch.tensor([[3, 2, 1]], dtype=dtype, requires_grad=True)
    value = torch.eye(3, dtype=dtype)[None, None]
    output = regard.attend(query, key, value, score=regard.Additive(weight), implementation=implementation)
    exact = torch.tensor([6, 3, 0], dtype=torch.float64).softmax(0)
    assert_near(output.flatten(), exact, dtype)
    by_query, by_weight = torch.autograd.grad(output[..., 2].sum(), (query, weight))
    # Only in the third pair, and in the last two places of the second, is tanh not flat: tanh′(0) = 1.
    a, b, c = exact.tolist()
    slope = torch.tensor([0, -b * c, c * (1 - c)], dtype=torch.float64)  # of the third weight by each score
    steep = torch.tensor([[0, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=torch.float64)
    assert_near(by_query.flatten(), (slope @ steep) * torch.tensor([3, 2, 1]), dtype)
    tanh = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=torch.float64)
    assert_near(by_weight.flatten(), torch.tensor([-a * c, -b * c, c * (1 - c)]).double() @ tanh, dtype)


@pytest.mark.parametrize("implementation", ["reference", "blocked", "auto"])
@pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
def test_very_negative_scores_still_count_as_seen(implementation: str, normalizer: str) -> None:
    """A bias of −1e30 is no −inf: under softmax two such keys share the weight, and n counts them."""
    x = torch.zeros(1, 1, 2, 4)
    bias = torch.full((2, 2), -1e30)
    output = regard.attend(x, x, x + 1, bias=bias, normalizer=normalizer, implementation=implementation)
    assert_near(output, torch.full_like(output, 1.0 if normalizer == "softmax" else 0.0), torch.float32)
    bias = torch.tensor([[0.0, -1e30], [0.0, -math.inf]])
    output = regard.attend(x, x, x + 1, bias=bias, normalizer=normalizer, implementation=implementation)
    exact = {"softmax": (1.0, 1.0), "relu": (0.0, 0.0), "sigmoid": (1 / 3, 1 / 2)}[normalizer]  # n = 2, n = 1
    assert_near(output[0, 0, :, 0], torch.tensor(exact), torch.float32)
