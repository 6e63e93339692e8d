"""What `attend2d` promises beside its values; what it shares with `attend` stands in `tests/attention`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import regard
from attention.grid.cases import Case, make
from attention.tolerances import assert_near

DENSE = Case(sizes=((3, 4), (3, 4)), window=(1, 2), tables=(2, 1, 1, 1), group=2, dim=3, value_dim=2)
RAGGED = replace(DENSE, ragged=True, sizes=((2, 3), (1, 1), (3, 2)), border="shift", dilation=2, dropout_p=0.2)
CASES = {
    "dense": DENSE,
    "ragged": RAGGED,
    "bias": replace(DENSE, score="additive", tables=None, bias=(False, True, True, True), bias_hides=True),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("implementation", ["reference", "blocked"])
def test_gradcheck(name: str, implementation: str) -> None:
    call = make(CASES[name])
    leaves = {name: leaf.requires_grad_() for name, leaf in call.leaves.items()}

    def output(*given: Tensor) -> Tensor:
        return call.attend(implementation, dict(zip(leaves, given, strict=True)))

    assert torch.autograd.gradcheck(output, tuple(leaves.values()), fast_mode=True)
    assert torch.autograd.gradgradcheck(output, tuple(leaves.values()), fast_mode=True)


@pytest.mark.parametrize("window", [1, None])
def test_second_derivatives_of_native(window: int | None) -> None:
    second = {}
    for implementation in ("native", "reference"):
        call = make(replace(DENSE, dtype=torch.float32, window=window))
        leaves = {name: leaf.requires_grad_() for name, leaf in call.leaves.items()}
        first = torch.autograd.grad(call.attend(implementation).square().sum(), leaves["query"], create_graph=True)[0]
        second[implementation] = torch.autograd.grad(first.square().sum(), [leaves["key"], leaves["rows"]])
    for actual, exact in zip(second["native"], second["reference"], strict=True):
        assert_near(actual, exact.double(), torch.float32)


@pytest.mark.parametrize("implementation", ["blocked", "native"])
@pytest.mark.parametrize(("dtype", "pixels"), [(torch.bfloat16, 300), (torch.float16, 2100)])
def test_half_types_are_summed_in_float32(implementation: str, dtype: torch.dtype, pixels: int) -> None:
    """A sum of ones stops at 256 in bfloat16 and at 2,048 in float16; their mean is 1."""
    x = torch.zeros(1, 1, pixels, 1, dtype=dtype)
    value = torch.ones_like(x, requires_grad=True)
    options: dict[str, Any] = {"size": (1, pixels), "window": (0, 0, 0, pixels), "implementation": implementation}
    output = regard.attend2d(x, x, value, **options)
    torch.testing.assert_close(output, value, rtol=0, atol=torch.finfo(dtype).eps)
    (gradient,) = torch.autograd.grad(output.sum(), value)
    assert_near(gradient.sum(), torch.tensor(float(pixels)), dtype)


@pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])
@pytest.mark.parametrize("all_pixels", [False, True])
def test_batches_with_nothing_in_them(implementation: str, all_pixels: bool) -> None:
    bias = regard.GridBias(torch.zeros(2, 3), torch.zeros(2, 3))
    sees = {"bias": bias} if all_pixels else {"window": 1}
    offsets = torch.zeros(3, dtype=torch.int64)
    for shape, images in (
        ((0, 2, 12, 4), {"size": (3, 4)}),
        ((2, 2, 0, 4), {"size": (0, 4)}),
        ((0, 2, 4), {"size": [], "offsets": offsets[:1]}),
        ((0, 2, 4), {"size": [(0, 3), (2, 0)], "offsets": offsets}),
    ):
        x = torch.zeros(shape, requires_grad=True)
        output = regard.attend2d(x, x, x, implementation=implementation, **images, **sees)
        assert torch.autograd.grad(output.sum(), x)[0].shape == output.shape == shape


LEAST = torch.finfo(torch.float32).min


@pytest.mark.parametrize("implementation", ["blocked", "native"])
@pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
def test_the_least_number_in_a_table_hides_nothing(implementation: str, normalizer: str) -> None:
    """What it is added to weighs nothing, but counts among the keys that are seen."""
    query, key, value = torch.randn(3, 1, 1, 12, 4)
    bias = regard.GridBias(torch.tensor([[LEAST, 0.0, LEAST]]), torch.zeros(1, 3))
    options: dict[str, Any] = {"size": (3, 4), "window": 1, "normalizer": normalizer, "bias": bias}
    exact = regard.attend2d(query, key, value, implementation="reference", **options)
    assert_near(regard.attend2d(query, key, value, implementation=implementation, **options), exact, torch.float32)


@pytest.mark.parametrize("implementation", ["blocked", "native"])
def test_a_sum_of_two_tables_that_is_minus_infinity_hides_nan(implementation: str) -> None:
    query, key, value = torch.randn(3, 1, 1, 12, 4)
    value[..., 5, :] = torch.nan
    table = torch.tensor([[LEAST, 0.0, LEAST]])
    options: dict[str, Any] = {"size": (3, 4), "window": 1, "bias": regard.GridBias(table, table)}
    exact = regard.attend2d(query, key, value, implementation="reference", **options)
    actual = regard.attend2d(query, key, value, implementation=implementation, **options)
    assert torch.equal(actual.isnan(), exact.isnan())
