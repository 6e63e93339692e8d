"""Under ``torch.autocast`` the type of a call is that of PyTorch's own attention, whichever implementation does it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import regard
from attention.both import Case, GridCase, make
from attention.tolerances import TOLERANCES, assert_near
from regard.attention.api import IMPLEMENTATIONS

HALF = (torch.bfloat16, torch.float16)
PLAIN = Case(dtype=torch.float32, lengths=((21, 21), (21, 21)), key_heads=2, group=2)
IMAGE = GridCase(dtype=torch.float32, window=(1, 2), tables=(2, 1, 1, 1), key_heads=2)
CALLS: dict[str, Case | GridCase] = {
    "plain": PLAIN,
    "causal": replace(PLAIN, causal=True),
    "window": replace(PLAIN, window=3, table=(2, 2), normalizer="sigmoid"),
    "ragged": replace(PLAIN, ragged=True, lengths=((9, 9), (0, 0), (17, 17)), window=(3, None)),
    "additive": replace(PLAIN, score="additive", key_mask=True),
    "bias": replace(PLAIN, bias=(False, True, True, True), normalizer="relu"),
    "image": IMAGE,
    "images": replace(IMAGE, ragged=True, sizes=((2, 3), (1, 1), (4, 2)), dilation=2, normalizer="relu"),
    "image, all pixels": replace(IMAGE, window=None),
    "image, shifted": replace(IMAGE, border="shift", score="additive"),
}
named = pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "auto"])
CAN = {
    "sdpa": ("plain", "causal"),
    "triton": ("causal", "bias"),
    "native": [name for name in CALLS if name not in ("bias", "image, all pixels", "image, shifted")],
}
RUNS = [(name, call) for name in [*IMPLEMENTATIONS, "auto"] for call in CAN.get(name, CALLS)]


def _inputs(n: int, *dtypes: torch.dtype) -> list[Tensor]:
    return [torch.randn(1, 1, n, 4).to(dtype) for dtype in dtypes]


@named
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("n", [1000, 1100])  # to both sides of where "auto" takes another implementation
def test_length_does_not_decide_the_type(implementation: str, dtype: torch.dtype, n: int) -> None:
    inputs = _inputs(n // 20 if implementation == "triton" else n, *[torch.float32] * 3)  # which is interpreted
    with torch.autocast("cpu", dtype=dtype):
        output = regard.attend(*inputs, implementation=implementation)
        theirs = F.scaled_dot_product_attention(*inputs)
    assert output.dtype == theirs.dtype == dtype
    assert_near(output, theirs.double(), dtype)


@pytest.mark.parametrize(("implementation", "name"), RUNS)
@pytest.mark.parametrize("dtype", HALF)
def test_a_call_is_that_of_inputs_cast_before(implementation: str, name: str, dtype: torch.dtype) -> None:
    """Bit for bit: nothing but the inputs is rounded, and sums are as exact as without autocast."""
    call = make(CALLS[name])
    cast = make(CALLS[name])
    for leaf in ("query", "key", "value"):
        cast.leaves[leaf] = cast.leaves[leaf].to(dtype)
    expected = cast.run(implementation)
    with torch.autocast("cpu", dtype=dtype):
        actual = call.run(implementation)
    assert actual["output"].dtype == dtype
    assert torch.equal(actual["output"], expected["output"])
    for leaf, exact in call.to(torch.float64).run("reference").items():
        assert leaf == "output" or actual[leaf].dtype == torch.float32, "a gradient is of its input's type"
        allowed = TOLERANCES[dtype] * max(1, float(exact.abs().max())) * 2  # the inputs are rounded, and the results
        assert (actual[leaf].double() - exact).abs().max() <= allowed, leaf


@named
@pytest.mark.parametrize(
    "dtypes",
    [
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.float32, torch.float16, torch.bfloat16),
        (torch.float16, torch.float16, torch.float16),
        (torch.float64, torch.float64, torch.float64),
    ],
)
def test_types_that_differ_are_taken_as_pytorch_takes_them(
    implementation: str, dtypes: tuple[torch.dtype, ...]
) -> None:
    inputs = [x.requires_grad_() for x in _inputs(20, *dtypes)]
    if implementation in ("sdpa", "triton", "native") and torch.float64 in dtypes:
        pytest.skip("has no kernel for float64")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = regard.attend(*inputs, implementation=implementation)
        theirs = F.scaled_dot_product_attention(*inputs)
    assert output.dtype == theirs.dtype
    assert_near(output, theirs.double(), output.dtype)
    for gradient, x in zip(torch.autograd.grad(output.sum(), inputs), inputs, strict=True):
        assert gradient.dtype == x.dtype


def test_what_pytorch_refuses_is_refused() -> None:
    inputs = _inputs(4, torch.float64, torch.float32, torch.float32)
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(regard.ShapeError, match=r"got torch.float64, torch.bfloat16, torch.bfloat16"),
    ):
        regard.attend(*inputs)


def test_without_autocast_types_that_differ_are_refused() -> None:
    inputs = _inputs(4, torch.bfloat16, torch.float32, torch.float32)
    for context in (torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False)):
        with context, pytest.raises(regard.ShapeError, match=r"must share one of .* torch.bfloat16, torch.float32"):
            regard.attend(*inputs)


@pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])
def test_weights_are_those_of_the_output(implementation: str) -> None:
    x = torch.randn(1, 2, 20, 8)
    expected = regard.attention_weights(x.bfloat16(), x.bfloat16(), window=2, implementation=implementation).values
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = regard.attention_weights(x, x, window=2, implementation=implementation).values
    assert weights.dtype == torch.bfloat16
    assert torch.equal(weights, expected)


def test_explain_tells_of_the_call_as_it_is_cast() -> None:
    x = torch.zeros(1, 1, 8, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert regard.explain(x, x.half(), x, window=2).startswith("native")


def test_second_derivatives() -> None:
    x = torch.randn(1, 2, 9, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = regard.attend(x, x, x, window=2)
        (first,) = torch.autograd.grad(output.float().square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
    assert first.dtype == second.dtype == torch.float32
    assert second.isfinite().all()


def test_compiled() -> None:
    def attend(x: Tensor, window: int | None) -> Tensor:
        return regard.attend(x, x, x, window=window)

    for window in (None, 2):
        x = torch.randn(1, 2, 20, 8)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")(x, window)
            expected = attend(x, window)
        assert compiled.dtype == expected.dtype == torch.bfloat16
        assert_near(compiled, expected.double(), torch.bfloat16)
