"""Tensors of other types: those that hold their numbers elsewhere, whose address would be nobody's, and nested ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.testing._internal.two_tensor import TwoTensor

import regard
from attention.tolerances import assert_near
from regard import ShapeError, UnsupportedError

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "attend": partial(regard.attend, window=1),
    "attend2d": partial(regard.attend2d, size=(3, 4), window=1),
}
of_both = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
X = torch.randn(1, 2, 12, 4, generator=torch.Generator().manual_seed(0))


class Named(Tensor):
    """Its numbers lie where any tensor's do."""


@of_both
@pytest.mark.parametrize("implementation", ["reference", "blocked", "auto"])
def test_a_tensor_of_two(function: Callable[..., Tensor], implementation: str) -> None:
    def gradient(x: Tensor, implementation: str) -> Tensor:
        x.requires_grad_()
        return torch.autograd.grad(function(x, x, x, implementation=implementation).square().sum(), x)[0]

    found = gradient(TwoTensor(X.clone(), 2 * X), implementation)
    assert isinstance(found, TwoTensor)
    for actual, x in ((found.a, X), (found.b, 2 * X)):
        assert_near(actual, gradient(x.double(), "reference"), torch.float32)


@of_both
def test_native_says_that_it_cannot_find_the_numbers(function: Callable[..., Tensor]) -> None:
    two = TwoTensor(X.clone(), X.clone())
    with pytest.raises(UnsupportedError, match=r'"native" cannot do .* a TwoTensor holds its numbers in other tensors'):
        function(X, two, X, implementation="native")


@of_both
@pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])
@pytest.mark.parametrize("kind", [Named, nn.Parameter], ids=["subclass", "parameter"])
def test_numbers_that_lie_where_they_should(
    function: Callable[..., Tensor], implementation: str, kind: Callable[[Tensor], Tensor]
) -> None:
    x = X.clone().as_subclass(Named) if kind is Named else kind(X.clone())
    actual = function(x, x, x, implementation=implementation)
    torch.testing.assert_close(actual.as_subclass(Tensor), function(X, X, X, implementation="reference"))


@of_both
def test_nested_tensors_are_told_what_to_be(function: Callable[..., Tensor]) -> None:
    nested = torch.nested.nested_tensor([torch.randn(3, 2, 4), torch.randn(9, 2, 4)], layout=torch.jagged)
    with pytest.raises(ShapeError, match=r"query must be no nested tensor; .* make one with offsets: regard\.Ragged"):
        function(*[nested.transpose(1, 2)] * 3)
