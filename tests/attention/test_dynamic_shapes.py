"""Sizes left open where a network is traced: one graph for all lengths, in every implementation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.torch_version import TorchVersion

import regard
from attention.cases import Call, Case, make
from attention.tolerances import assert_near
from regard.attention.api import IMPLEMENTATIONS

PLAIN = Case(dtype=torch.float32, key_heads=2, dim=8, value_dim=8)
SIZES = (((16, 16),) * 3, ((23, 23),) * 5)  # another batch and another length; sizes that agree are taken as one
RAGGED_SIZES = (((5, 5), (11, 11)), ((7, 7), (1, 1), (9, 9)))
WINDOWS = [None, 3, (None, 2)]
TABLE = [
    (implementation, ragged, window, causal, 1 + (i + causal) % 2)  # grouped query heads in every second
    for implementation in [*IMPLEMENTATIONS, "auto"]
    for ragged in (False, True)
    for i, window in enumerate(WINDOWS)
    for causal in (False, True)
    if not (i == 2 and causal)  # which is causal already
    and not (implementation == "reference" and (ragged or i or not causal))  # cannot be traced; or like others
    and not (implementation == "sdpa" and (ragged or window is not None))
    and not (implementation == "blocked" and (ragged + i + causal) % 2)  # half of them
    and not (implementation in ("auto", "triton") and (ragged, i, causal) not in ((False, 0, False), (True, 1, True)))
]
IDS = [
    "-".join((name, "ragged" if ragged else "dense", f"{window}", "causal" * causal, f"{group}"))
    for name, ragged, window, causal, group in TABLE
]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch.compiler.reset()


def _attend(leaves: dict[str, Tensor], options: dict[str, Any]) -> Tensor:
    return regard.attend(leaves["query"], leaves["key"], leaves["value"], **options) * 2 - 1  # something about it


def _check(call: Call, implementation: str, compiled: Any) -> None:
    leaves = {name: leaf.clone().requires_grad_() for name, leaf in call.leaves.items()}
    output = (compiled(leaves, call.arguments(leaves) | {"implementation": implementation}) + 1) / 2
    exact = call.to(torch.float64)
    doubles = {name: leaf.requires_grad_() for name, leaf in exact.leaves.items()}
    expected = exact.attend("reference", doubles)
    assert_near(output, expected, torch.float32)
    gradient = torch.randn(expected.shape, dtype=torch.float64)
    gradients = torch.autograd.grad(output, list(leaves.values()), gradient.float())
    for name, actual, by in zip(
        leaves, gradients, torch.autograd.grad(expected, list(doubles.values()), gradient), strict=True
    ):
        assert_near(actual, by, torch.float32, name)


def _two_sizes(case: Case, implementation: str, backend: str) -> None:
    compiled = torch.compile(_attend, fullgraph=True, dynamic=True, backend=backend)
    for i, lengths in enumerate(RAGGED_SIZES if case.ragged else SIZES):
        with torch._dynamo.config.patch(error_on_recompile=i > 0):
            _check(make(replace(case, lengths=lengths)), implementation, compiled)


@pytest.mark.parametrize(("implementation", "ragged", "window", "causal", "group"), TABLE, ids=IDS)
def test_one_graph_for_all_lengths(implementation: str, ragged: bool, window: Any, causal: bool, group: int) -> None:
    case = replace(PLAIN, ragged=ragged, window=window, causal=causal, group=group)
    _two_sizes(case, implementation, "aot_eager")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # from inductor itself
@pytest.mark.parametrize("window", [None, 3])
def test_inductor(window: int | None) -> None:
    table = (2, 2) if window else None
    _two_sizes(replace(PLAIN, window=window, group=2, causal=window is None, table=table), "auto", "inductor")


class Layer(nn.Module):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options

    def forward(self, query: Tensor, key: Tensor, offsets: Tensor | None) -> Tensor:
        return regard.attend(query, key, key, offsets=offsets, **self.options)


@pytest.mark.parametrize(
    ("implementation", "strict"),
    [("auto", False), ("auto", True), ("reference", False), ("blocked", False), ("native", False)],
)
@pytest.mark.parametrize("layout", ["dense", "causal", "window", "ragged"])
def test_export(layout: str, implementation: str, strict: bool) -> None:
    if layout == "ragged" and implementation == "reference":
        pytest.skip("reads where each sequence begins; it says so")
    if implementation == "reference" and TorchVersion(torch.__version__) < "2.12":
        pytest.skip("repeat_interleave of PyTorch 2.11 cannot be exported with a length left open")
    options = {"dense": {}, "causal": {"causal": True}}.get(layout, {"window": (3, 1)})
    layer = Layer(options | {"implementation": implementation})
    batch, rows = torch.export.Dim("batch", min=1, max=9), torch.export.Dim("rows", min=2, max=100)
    if layout == "ragged":
        offsets = torch.tensor([0, 5, 12])
        inputs = (torch.randn(12, 4, 8), torch.randn(12, 2, 8), offsets)
        dims: Any = ({0: rows}, {0: rows}, {0: torch.export.Dim("offsets", min=2, max=50)})
        others: Any = (torch.randn(20, 4, 8), torch.randn(20, 2, 8), torch.tensor([0, 1, 3, 20]))
    else:
        inputs = (torch.randn(2, 4, 12, 8), torch.randn(2, 2, 12, 8), None)  # type: ignore[assignment]
        dims = ({0: batch, 2: rows}, {0: batch, 2: rows}, None)
        others = (torch.randn(3, 4, 20, 8), torch.randn(3, 2, 20, 8), None)
    program = torch.export.export(layer, inputs, dynamic_shapes=dims, strict=strict)
    for arguments in (inputs, others):
        assert_near(program.module()(*arguments), layer(*arguments).double(), torch.float32)


def test_what_cannot_be_traced_says_so() -> None:
    x, offsets = torch.randn(8, 2, 4), torch.tensor([0, 3, 8])
    compiled = torch.compile(Layer({"implementation": "reference"}), fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match='"reference" cannot do this call: a network is traced'):
        compiled(x, x, offsets)
