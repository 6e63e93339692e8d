"""torch.compile without a graph break, forward and backward, and torch.export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard
from attention.cases import Call, Case, make
from attention.tolerances import assert_near

DENSE = Case(dtype=torch.float32, lengths=((21, 21), (21, 21)), window=(3, 2), key_heads=2, group=2, key_mask=True)
CALLS = {
    "dense": ("blocked", replace(DENSE, bias=(False, True, True, True))),
    "ragged": ("auto", replace(DENSE, key_mask=False, ragged=True, lengths=((9, 9), (0, 0), (17, 17)), table=(2, 2))),
    "additive": ("auto", replace(DENSE, score="additive", normalizer="relu")),
    "dropout": ("blocked", replace(DENSE, dropout_p=0.25)),
    "native": ("native", replace(DENSE, dtype=torch.bfloat16)),
    "native-dropout": ("native", replace(DENSE, dropout_p=0.25)),
    "sdpa": ("sdpa", replace(DENSE, key_mask=False, window=None)),
    "sdpa-causal": ("auto", replace(DENSE, key_mask=False, window=None, causal=True)),
}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch.compiler.reset()


def _compiled(call: Call, implementation: str) -> dict[str, Tensor]:
    """As `Call.run`, compiled."""

    def attend(query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any]) -> Tensor:
        return regard.attend(query, key, value, implementation=implementation, **options) * 2 - 1  # something about it

    leaves = {name: leaf.clone().requires_grad_() for name, leaf in call.leaves.items()}
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    torch.manual_seed(call.case.seed)
    output = compiled(leaves["query"], leaves["key"], leaves["value"], call.arguments(leaves))
    output = (output + 1) / 2
    gradient = torch.randn(
        output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(call.case.seed + 1)
    )
    gradients = torch.autograd.grad(output, list(leaves.values()), gradient.to(output.dtype))
    return {"output": output.detach(), **dict(zip(leaves, gradients, strict=True))}


@pytest.mark.parametrize("name", CALLS)
def test_fullgraph(name: str) -> None:
    implementation, case = CALLS[name]
    call = make(case)
    exact = call.to(torch.float64).run("reference")
    for what, actual in _compiled(call, implementation).items():
        assert_near(actual, exact[what], case.dtype, what)


def test_other_lengths_need_no_other_graph() -> None:
    def attend(x: Tensor, offsets: Tensor) -> Tensor:
        return regard.attend(x, x, x, offsets=offsets, window=2)

    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager", dynamic=True)
    for lengths in ([3, 5], [8, 1], [7, 6, 2]):
        x = torch.randn(sum(lengths), 2, 4)
        offsets = torch.tensor([0, *lengths]).cumsum(0)
        with torch._dynamo.config.patch(error_on_recompile=lengths == [8, 1]):
            assert_near(compiled(x, offsets), attend(x, offsets).double(), torch.float32)


class Layer(nn.Module):
    def __init__(self, *, table: bool) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(2, 5)) if table else None

    def forward(self, x: Tensor, offsets: Tensor | None) -> Tensor:
        bias = None if self.table is None else regard.RelativeBias(self.table)
        return regard.attend(x, x, x, offsets=offsets, bias=bias, window=None if bias is None else 4)


@pytest.mark.parametrize("layout", ["dense", "ragged", "sdpa"])
def test_export(layout: str) -> None:
    layer = Layer(table=layout != "sdpa")
    rows = torch.export.Dim("rows", min=2, max=100)
    if layout == "ragged":
        x, offsets, dims = torch.randn(12, 2, 4), torch.tensor([0, 5, 12]), ({0: rows}, None)
        other = (torch.randn(20, 2, 4), torch.tensor([0, 1, 20]))
    else:
        x, offsets, dims = torch.randn(1, 2, 12, 4), None, ({2: rows}, None)
        other = (torch.randn(1, 2, 20, 4), None)
    program = torch.export.export(layer, (x, offsets), dynamic_shapes=dims)
    for arguments in ((x, offsets), other):
        assert_near(program.module()(*arguments), layer(*arguments).double(), torch.float32)


@pytest.mark.parametrize(
    "options",
    [{"window": np.int64(3)}, {"window": (np.int64(3), 1)}, {"query_start": np.int64(1)}, {"scale": np.float32(0.5)}],
    ids=["window", "sides", "query_start", "scale"],
)
def test_numbers_of_numpy_are_taken_or_told_of(options: dict[str, Any]) -> None:
    x = torch.randn(1, 2, 12, 4)

    def attend(x: Tensor) -> Tensor:
        return regard.attend(x, x, x, **options)

    assert torch.equal(torch.compile(attend, backend="aot_eager")(x), attend(x))
    torch.compiler.reset()
    with pytest.raises(Exception, match=rf"{next(iter(options))} must be .*torch\.compile makes a tensor .*take int"):
        torch.compile(attend, fullgraph=True, backend="aot_eager")(x)


@pytest.mark.filterwarnings("ignore:Dynamo:UserWarning")
@pytest.mark.parametrize("ragged", [False, True])
def test_weights_are_computed_outside_of_the_graph(ragged: bool) -> None:
    x = torch.randn(12, 2, 4) if ragged else torch.randn(1, 2, 12, 4)
    offsets = torch.tensor([0, 5, 12]) if ragged else None

    def weights(x: Tensor) -> Tensor:
        return regard.attention_weights(x, x, window=2, offsets=offsets).values * 2

    assert torch.equal(torch.compile(weights, backend="aot_eager")(x), weights(x))
    for dynamic in (False, True):
        torch.compiler.reset()
        with pytest.raises(Exception, match=r"attention_weights reads numbers, .* compile without fullgraph, or name"):
            torch.compile(weights, fullgraph=True, backend="aot_eager", dynamic=dynamic)(x)


def test_the_definition_of_weights_is_traced() -> None:
    x = torch.randn(1, 2, 12, 4)

    def weights(x: Tensor) -> Tensor:
        return regard.attention_weights(x, x, window=2, implementation="reference").values

    compiled = torch.compile(weights, fullgraph=True, backend="aot_eager", dynamic=True)
    torch.testing.assert_close(compiled(x), weights(x))


def test_weights_are_not_exported() -> None:
    class Weights(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return regard.attention_weights(x, x, window=2).values

    with pytest.raises(regard.UnsupportedError, match="attention_weights reads numbers"):
        torch.export.export(Weights(), (torch.randn(1, 2, 12, 4),), strict=False)
