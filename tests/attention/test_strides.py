"""Inputs as users have them: transposed, sliced, expanded, and lying in larger buffers full of NaN."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import regard
from attention.both import Case, GridCase, make
from attention.tolerances import assert_near

DENSE = Case(dtype=torch.float32, lengths=((150, 150), (150, 150)), key_heads=2, group=2, window=(9, 4))
IMAGE = GridCase(dtype=torch.float32, sizes=((5, 7), (5, 7)), window=(1, 2), tables=(2, 1, 1, 1), key_heads=2, group=2)
CASES: dict[str, Case | GridCase] = {
    "dense": DENSE,
    "dense-full": replace(DENSE, window=None),
    "ragged": replace(DENSE, ragged=True, lengths=((150, 150), (3, 3), (0, 0), (20, 20), (31, 31), (270, 270))),
    "ragged-cross": replace(DENSE, ragged=True, window=None, lengths=((30, 50), (3, 0), (0, 4), (20, 1))),
    "additive": replace(DENSE, score="additive", table=(2, 2)),
    "image": IMAGE,
    "images": replace(IMAGE, ragged=True, sizes=((5, 7), (1, 1), (0, 3), (9, 4)), dilation=2),
    "image, all pixels": replace(IMAGE, window=None, value_dim=3),
}


def transposed(x: Tensor) -> Tensor:
    return x.transpose(-3, -2).contiguous().transpose(-3, -2)


def strided(x: Tensor) -> Tensor:
    """Every second number of a buffer whose others are NaN."""
    buffer = x.new_full((*x.shape[:-1], x.shape[-1] * 2), torch.nan)
    buffer[..., ::2] = x
    return buffer[..., ::2]


def amid_nan(x: Tensor) -> Tensor:
    """With NaN before the first and after the last row."""
    buffer = x.new_full((*x.shape[:-2], x.shape[-2] + 6, x.shape[-1] + 3), torch.nan)
    inner = buffer[..., 3:-3, 1:-2]
    inner.copy_(x)
    return inner


def amid_nan_rows(x: Tensor) -> Tensor:
    """One contiguous run of a longer buffer."""
    buffer = x.new_full((x.shape[0] + 2, *x.shape[1:]), torch.nan)
    buffer[1:-1] = x
    return buffer[1:-1]


@pytest.mark.parametrize("change", [transposed, strided, amid_nan, amid_nan_rows])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("implementation", ["blocked", "native", "auto"])
def test_where_numbers_lie_does_not_matter(implementation: str, name: str, change: Callable[[Tensor], Tensor]) -> None:
    call = make(CASES[name])
    exact = call.to(torch.float64).run("reference")
    leaves = {name: change(x) if x.dim() > 2 else x for name, x in call.leaves.items()}
    leaves = {name: x.requires_grad_() for name, x in leaves.items()}
    output = call.attend(implementation, leaves)
    assert_near(output, exact["output"], torch.float32)
    gradient = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    change_too = change(gradient.float())
    for name, actual in zip(leaves, torch.autograd.grad(output, list(leaves.values()), change_too), strict=True):
        assert_near(actual, exact[name], torch.float32, name)


@pytest.mark.parametrize("implementation", ["blocked", "sdpa", "native", "auto"])
@pytest.mark.parametrize("causal", [False, True])
def test_expanded_inputs(implementation: str, causal: bool) -> None:
    """One key and value for the whole batch and all heads, and a query that is the same in every row."""
    B, H, N, D = 2, 3, 21, 4
    base = [torch.randn(shape, dtype=torch.float64) for shape in ((B, H, 1, D), (1, 1, N, D), (1, 1, N, D))]

    def run(implementation: str, dtype: torch.dtype) -> list[Tensor]:
        leaves = [x.to(dtype).requires_grad_() for x in base]
        query, key, value = (x.expand(B, H, N, D) for x in leaves)
        output = regard.attend(query, key, value, causal=causal, implementation=implementation)
        gradient = torch.ones((), dtype=dtype).expand(output.shape)  # as sum() gives it
        return [output, *torch.autograd.grad(output, leaves, gradient)]

    for actual, exact in zip(run(implementation, torch.float32), run("reference", torch.float64), strict=True):
        assert_near(actual, exact, torch.float32)


@pytest.mark.parametrize("implementation", ["blocked", "native", "auto"])
def test_one_tensor_as_query_key_and_value(implementation: str) -> None:
    x = torch.randn(2, 2, 30, 4, requires_grad=True)
    outputs = [regard.attend(x, x, x, window=3, implementation=name) for name in (implementation, "reference")]
    gradients = [torch.autograd.grad(output.square().sum(), x)[0] for output in outputs]
    assert_near(outputs[0], outputs[1], torch.float32)
    assert_near(gradients[0], gradients[1], torch.float32)


@pytest.mark.parametrize("case", [CASES["additive"], CASES["images"], CASES["image, all pixels"]])
@pytest.mark.parametrize("implementation", ["blocked", "native", "auto"])
def test_only_what_needs_a_gradient_gets_one(implementation: str, case: Case | GridCase) -> None:
    call = make(case)
    exact = call.to(torch.float64).run("reference")
    for name, leaf in call.leaves.items():
        leaf.requires_grad_()
        output = call.attend(implementation)
        gradient = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).float()
        assert_near(torch.autograd.grad(output, leaf, gradient)[0], exact[name], torch.float32, name)
        leaf.requires_grad_(False)
    assert not call.attend(implementation).requires_grad


@pytest.mark.parametrize("case", [DENSE, CASES["images"], CASES["image, all pixels"]])
@pytest.mark.parametrize("implementation", ["blocked", "native", "auto"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(
    implementation: str, case: Case | GridCase, mode: Callable[[], AbstractContextManager[None]]
) -> None:
    call = make(case)
    exact = call.attend(implementation, {name: x.requires_grad_() for name, x in call.leaves.items()})
    with mode():
        output = call.attend(implementation)
    assert not output.requires_grad
    assert torch.equal(output, exact)
