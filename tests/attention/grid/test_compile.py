"""torch.compile without a graph break, forward and backward, one graph for all sizes; torch.export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard
from attention.calls import Leaves, outcome
from attention.grid.cases import Case, make
from attention.tolerances import assert_near

DENSE = Case(
    dtype=torch.float32, sizes=((5, 6),) * 7, window=(1, 2), tables=(2, 1, 1, 1), key_heads=2, dim=8, value_dim=8
)
RAGGED = replace(DENSE, ragged=True, sizes=((2, 3), (1, 1), (4, 2), (1, 5), (0, 2)))
OTHER_SIZES = {False: ((6, 3),) * 4, True: ((3, 5), (6, 1)) * 3}  # that agree in nothing: what does is taken as one
CALLS = {
    "native": ("native", DENSE),
    "all pixels": ("auto", replace(RAGGED, window=None, normalizer="sigmoid", tables=None)),
    "bias": ("auto", replace(DENSE, dtype=torch.float64, border="shift", tables=None, bias=(True, False, True, True))),
    "blocked": ("blocked", replace(RAGGED, score="additive", dilation=2, dropout_p=0.2)),
}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch.compiler.reset()


@pytest.mark.parametrize("name", CALLS)
def test_one_graph_for_all_sizes(name: str) -> None:
    implementation, case = CALLS[name]

    def attend(leaves: Leaves, options: dict[str, Any]) -> Tensor:
        query, key, value = (leaves[name] for name in ("query", "key", "value"))
        return regard.attend2d(query, key, value, implementation=implementation, **options) * 2 - 1

    compiled = torch.compile(attend, fullgraph=True, dynamic=True, backend="aot_eager")
    for sizes in (case.sizes, OTHER_SIZES[case.ragged]):
        call = make(replace(case, sizes=sizes))

        def output(leaves: Leaves, call: Any = call) -> Tensor:
            torch.manual_seed(case.seed)  # of dropout
            return (compiled(leaves, call.arguments(leaves)) + 1) / 2

        with torch._dynamo.config.patch(error_on_recompile=sizes != case.sizes):
            found = outcome(output, call.leaves, case)
        exact = call.to(torch.float64).run("reference")
        for what, actual in found.items():
            assert_near(actual, exact[what], case.dtype, what)


class Layer(nn.Module):
    """Attention within images ``[B, H, rows, columns, D]``, or of several sizes."""

    def __init__(self, implementation: str) -> None:
        super().__init__()
        self.implementation = implementation
        self.rows, self.columns = (nn.Parameter(torch.randn(2, 3)) for _ in range(2))

    def forward(self, x: Tensor, size: Tensor | None, offsets: Tensor | None) -> Tensor:
        given = x.shape[2:4] if size is None else size
        x = x.flatten(2, 3) if size is None else x
        options = {"window": (2, 1), "bias": regard.GridBias(self.rows, self.columns), "offsets": offsets}
        return regard.attend2d(x, x, x, size=given, implementation=self.implementation, **options)


@pytest.mark.parametrize(
    ("implementation", "ragged", "strict"),
    [
        *(
            (name, ragged, strict)
            for name in ("native", "blocked")
            for ragged in (False, True)
            for strict in (False, True)
        ),
        ("reference", False, False),
    ],
)
def test_export(implementation: str, ragged: bool, strict: bool) -> None:
    layer = Layer(implementation)
    batch, rows, columns = (torch.export.Dim(name, min=2, max=99) for name in ("batch", "rows", "columns"))
    if ragged:
        calls: Any = [
            (torch.randn(9, 2, 4), torch.tensor([[2, 2], [1, 5]]), torch.tensor([0, 4, 9])),
            (torch.randn(20, 2, 4), torch.tensor([[1, 1], [3, 6], [1, 1]]), torch.tensor([0, 1, 19, 20])),
        ]
        dims: Any = ({0: rows}, {0: batch}, {0: batch + 1})
    else:
        calls = [(torch.randn(2, 2, 4, 5, 8), None, None), (torch.randn(3, 2, 6, 3, 8), None, None)]
        dims = ({0: batch, 2: rows, 3: columns}, None, None)
    program = torch.export.export(layer, calls[0], dynamic_shapes=dims, strict=strict)
    for call in calls:
        assert_near(program.module()(*call), layer(*call).double(), torch.float32)


def test_numbers_of_numpy_are_taken_or_told_of() -> None:
    x = torch.randn(1, 2, 12, 4)

    def attend(x: Tensor, options: dict[str, Any]) -> Tensor:
        return regard.attend2d(x, x, x, size=(3, 4), **options)

    options: dict[str, Any] = {"window": (np.int64(3), 1), "dilation": np.int64(2), "scale": np.float32(0.5)}
    assert torch.equal(torch.compile(attend, backend="aot_eager")(x, options), attend(x, options))
    torch.compiler.reset()
    with pytest.raises(Exception, match=r"dilation must be .*torch\.compile makes a tensor .*take int"):
        torch.compile(attend, fullgraph=True, backend="aot_eager")(x, {"dilation": np.int64(2)})


def test_what_cannot_be_traced_says_so() -> None:
    x, offsets = torch.randn(12, 2, 4), torch.tensor([0, 8, 12])

    def attend(x: Tensor, offsets: Tensor) -> Tensor:
        return regard.attend2d(x, x, x, size=[(2, 4), (2, 2)], offsets=offsets, implementation="reference")

    with pytest.raises(Exception, match='"reference" cannot do this call: a network is traced'):
        torch.compile(attend, fullgraph=True, backend="aot_eager")(x, offsets)


@pytest.mark.filterwarnings("ignore:Dynamo:UserWarning")
def test_weights_are_computed_outside_of_the_graph() -> None:
    x = torch.randn(1, 2, 12, 4)

    def weights(x: Tensor) -> Tensor:
        return regard.attention_weights2d(x, x, size=(3, 4), window=1).values * 2

    assert torch.equal(torch.compile(weights, backend="aot_eager")(x), weights(x))
    torch.compiler.reset()
    with pytest.raises(Exception, match=r"attention_weights2d reads numbers, .* compile without fullgraph, or name"):
        torch.compile(weights, fullgraph=True, backend="aot_eager")(x)


def test_the_definition_of_weights_is_traced() -> None:
    x = torch.randn(1, 2, 12, 4)

    def weights(x: Tensor) -> Tensor:
        return regard.attention_weights2d(x, x, size=(3, 4), window=2, implementation="reference").values

    compiled = torch.compile(weights, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), weights(x))


def test_weights_are_not_exported() -> None:
    class Weights(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return regard.attention_weights2d(x, x, size=(3, 4), window=2).values

    with pytest.raises(regard.UnsupportedError, match="attention_weights2d reads numbers"):
        torch.export.export(Weights(), (torch.randn(1, 2, 12, 4),), strict=False)
