"""torch.func and forward-mode differentiation: they work, or are refused in one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd import functional as autograd_functional
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

import regard
from attention.tolerances import assert_near
from regard import UnsupportedError
from regard.attention.api import IMPLEMENTATIONS

pytestmark = [  # of PyTorch's own making: its first jvp in a process, and its kernels under vmap
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]
X = torch.randn(3, 1, 2, 6, 2, generator=torch.Generator().manual_seed(0))  # three dense calls
OFFSETS = torch.tensor([0, 2, 6])
BIAS = regard.GridBias(torch.tensor([[0.5, 1, 2], [2, 1, 0.5]]), torch.tensor([[1.0, 0, -1], [0, 1, 0]]))
Function = Callable[[Tensor], Tensor]

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"causal": True},
    "window": {"window": (2, 1), "normalizer": "sigmoid"},
    "ragged": {"offsets": OFFSETS, "window": (2, 1)},
    "additive": {"score": regard.Additive(torch.ones(2, 2)), "normalizer": "relu"},
    "image": {"size": (2, 3), "window": 1, "bias": BIAS},
    "images": {"size": [(1, 2), (2, 2)], "offsets": OFFSETS, "window": 1, "dilation": (1, 2)},
    "image, all pixels": {"size": (2, 3), "bias": BIAS},
}
SHORT = ("plain", "causal")  # what "sdpa" does, and "auto" leaves to it
ONLY = {"sdpa": SHORT, "triton": ("ragged",)}  # the last is slow where it is interpreted


def _attend(implementation: str, layout: str) -> Function:
    options = OPTIONS[layout] | {"implementation": implementation}
    function = regard.attend2d if "size" in options else regard.attend

    def attend(x: Tensor) -> Tensor:
        if "offsets" in options:
            x = x[0].transpose(0, 1)
        return function(x, x, x, **options)

    return attend


def _loss(attend: Function) -> Function:
    return lambda x: attend(x).square().sum()


def _dual(attend: Function, x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(attend(forward_ad.make_dual(x, x.cos()))).tangent


def _many_gradients(attend: Function, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    output = attend(x)
    directions = torch.stack([output.detach().cos(), output.detach().sin()])
    return torch.autograd.grad(output, x, directions, is_grads_batched=True)[0]


REVERSE: dict[str, Callable[[Function], Tensor]] = {
    "grad": lambda f: grad(_loss(f))(X[0]),
    "jacrev": lambda f: jacrev(f)(X[0]),
    "jacobian": lambda f: autograd_functional.jacobian(f, X[0]),
    "jacobian, vectorized": lambda f: autograd_functional.jacobian(f, X[0], vectorize=True),
    "is_grads_batched": lambda f: _many_gradients(f, X[0]),
}
TWICE: dict[str, Callable[[Function], Tensor]] = {
    "grad of grad": lambda f: grad(lambda x: grad(_loss(f))(x).square().sum())(X[0]),
    "functional.hessian": lambda f: autograd_functional.hessian(_loss(f), X[0]),
}
VMAP: dict[str, Callable[[Function], Tensor]] = {
    "vmap": lambda f: vmap(f)(X),
    "vmap of grad": lambda f: vmap(grad(_loss(f)))(X),
}
FORWARD: dict[str, Callable[[Function], Tensor]] = {
    "jvp": lambda f: jvp(f, (X[0],), (X[0].cos(),))[1],
    "jacfwd": lambda f: jacfwd(f)(X[0]),
    "hessian": lambda f: hessian(_loss(f))(X[0]),
    "forward_ad": lambda f: _dual(f, X[0]),
}


def _runs(transform: str, implementation: str, layout: str) -> bool:
    if implementation in ("reference", "auto"):
        return transform not in TWICE or implementation == "reference" or layout not in SHORT
    if implementation == "sdpa":
        return transform in REVERSE or transform in VMAP
    return transform in REVERSE or transform in TWICE


ALL = REVERSE | TWICE | VMAP | FORWARD
CALLS = [
    (transform, implementation, layout)
    for transform in ALL
    for implementation in (*IMPLEMENTATIONS, "auto")
    for layout in OPTIONS
    if implementation not in ONLY or layout in ONLY[implementation]
]
WORK = [call for call in CALLS if _runs(*call)]
REFUSED = [call for call in CALLS if not _runs(*call) and call[0] not in TWICE]


@cache
def _by_loops(transform: str, layout: str) -> Tensor:
    """With nothing but `torch.autograd.grad` and the definition in float64; the same for every implementation."""
    attend, xs = _attend("reference", layout), X.double()
    if layout == "additive":
        weight = regard.Additive(torch.ones(2, 2, dtype=torch.float64))
        attend = lambda x: regard.attend(x, x, x, implementation="reference", **OPTIONS[layout] | {"score": weight})  # noqa: E731
    x = xs[0].clone().requires_grad_()

    def gradient(f: Function, x: Tensor) -> Tensor:
        x = x if x.requires_grad else x.clone().requires_grad_()
        return torch.autograd.grad(f(x), x, create_graph=True)[0]

    def jacobian(f: Function, x: Tensor) -> Tensor:
        output = f(x)
        rows = [torch.autograd.grad(y, x, retain_graph=True, create_graph=True)[0] for y in output.flatten()]
        return torch.stack(rows).view(*output.shape, *x.shape)

    if transform in ("vmap", "vmap of grad"):
        f = attend if transform == "vmap" else lambda x: gradient(_loss(attend), x)
        return torch.stack([f(x) for x in xs])
    if transform == "grad":
        return gradient(_loss(attend), x)
    if transform == "grad of grad":
        return gradient(lambda x: gradient(_loss(attend), x).square().sum(), x)
    if transform in ("hessian", "functional.hessian"):
        return jacobian(lambda x: gradient(_loss(attend), x), x)
    by_x = jacobian(attend, x)
    if transform in ("jvp", "forward_ad"):
        return (by_x * x.cos()).sum((-4, -3, -2, -1))
    if transform == "is_grads_batched":
        output = attend(x).detach()
        axes = list(range(output.dim()))
        return torch.stack([torch.tensordot(way, by_x, (axes, axes)) for way in (output.cos(), output.sin())])
    return by_x


@pytest.mark.parametrize(("transform", "implementation", "layout"), WORK)
def test_works(transform: str, implementation: str, layout: str) -> None:
    actual = ALL[transform](_attend(implementation, layout))
    assert_near(actual, _by_loops(transform, layout), torch.float32, transform)


@pytest.mark.parametrize(("transform", "implementation", "layout"), REFUSED)
def test_is_refused_in_one_line(transform: str, implementation: str, layout: str) -> None:
    what = "torch.func.vmap" if transform in VMAP else "forward-mode differentiation"
    with pytest.raises(UnsupportedError) as error:
        ALL[transform](_attend(implementation, layout))
    assert f'implementation "{implementation}" cannot do this call: ' in str(error.value)
    assert f"{what} is under way" in str(error.value)
    assert 'use "auto"' in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("implementation", ["reference", "auto"])
def test_what_is_hidden_stays_so_under_vmap(implementation: str) -> None:
    xs = X.clone()
    xs[1, 0, 0, 4] = torch.nan
    output = vmap(_attend(implementation, "window"))(xs)
    sees = torch.zeros(3, 1, 2, 6, 2, dtype=torch.bool)
    sees[1, 0, 0, 3:] = True
    assert output[~sees].isfinite().all()
    assert output[sees].isnan().all()


@pytest.mark.parametrize("implementation", ["native", "blocked", "reference"])
def test_a_tensor_that_outlives_its_transform_is_a_tensor(implementation: str) -> None:
    held: list[Tensor] = []
    torch.func.grad(lambda x: (held.append(x), x.sum())[1])(X[0])
    x = X[0].clone().requires_grad_()
    attend = _attend(implementation, "window")
    expected = torch.autograd.grad(regard.attend(x, X[0], X[0], window=2).sum(), x)[0]
    actual = torch.autograd.grad(regard.attend(x, held[0], held[0], window=2, implementation=implementation).sum(), x)
    assert torch.equal(attend(held[0]), attend(X[0]))
    assert_near(actual[0], expected.double(), torch.float32)
