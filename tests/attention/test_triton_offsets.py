"""Offsets of the kernels for GPUs: never waited for, and refused all the same where they are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import regard
from attention.cases import Case, make
from attention.test_waiting import DENSE, GPU, RAGGED, Watch
from attention.tolerances import assert_near
from regard import Ragged, ShapeError
from regard.attention.api import DEFAULTS
from regard.attention.check import check
from regard.ragged import known, moved_offsets

pytest.importorskip("triton", reason="Triton is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.runtime.interpreter")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ROWS = torch.randn(20, 1, 4)
WRONG = {
    (3, 5, 20): "offsets must run from 0 to the 20 rows of query, got 3 to 20",
    (0, 5, 19): "offsets must run from 0 to the 20 rows of query, got 0 to 19",
    (0, 1 << 40, 20): "offsets must never fall, got 1099511627776 then 20 at sequence 1",
    (0, -7, 20): "offsets must never fall, got 0 then -7 at sequence 0",
}


@pytest.fixture
def _of_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is done where the CPU does not know the offsets, here."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, which has tests of its own")
    from regard.attention.triton import doubts, runs

    monkeypatch.setattr(runs, "known", lambda x: None)
    yield
    doubts.OPEN.clear()


@pytest.mark.parametrize("cases", [DENSE, RAGGED], ids=["dense", "ragged"])
def test_no_number_is_asked_for(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """On meta there are none, of offsets neither; and nothing that a kernel could be told of them."""
    from regard.attention.triton import calls

    launched: list[Any] = []
    monkeypatch.setattr(calls.Call, "launch", lambda call, kernel, *given, **compiled: launched.append(kernel))
    for case in cases:
        call = make(case)
        leaves = {name: x.to("meta") for name, x in call.leaves.items()}
        options = DEFAULTS | call.arguments(leaves)
        options |= {name: x.to("meta") for name, x in options.items() if isinstance(x, Tensor)}
        with Watch() as watch:
            query, key, value, spec = check(leaves["query"], leaves["key"], leaves["value"], options)
            output, saved = calls.attend(query, key, value, spec)
            gradients = calls.gradients(output, query, key, value, output, saved, spec)
        assert all(x.is_meta for x in (output, saved, *gradients.values()))
        assert watch.seen == [], case
    assert len(launched) >= 3 * len(cases)


@pytest.mark.usefixtures("_of_a_gpu_alone")
@pytest.mark.parametrize("key_offsets", [None, (0, 15, 20)])
def test_offsets_that_the_cpu_does_not_know(key_offsets: tuple[int, ...] | None) -> None:
    others = None if key_offsets is None else torch.tensor(key_offsets)
    outputs = [
        regard.attend(
            *[ROWS] * 3, offsets=torch.tensor([0, 5, 20]), key_offsets=others, window=2, implementation=implementation
        )
        for implementation in ("triton", "reference")
    ]
    assert_near(outputs[0], outputs[1].double(), torch.float32)


@pytest.mark.usefixtures("_of_a_gpu_alone")
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
def test_malformed_ones_give_nan_and_then_an_error(wrong: tuple[int, ...], normalizer: str) -> None:
    from regard.attention.triton.doubts import OPEN, Doubt

    offsets, x, has_come = torch.tensor(wrong), ROWS.clone().requires_grad_(), False
    output = regard.attend(x, x, x, offsets=offsets, normalizer=normalizer, window=2, implementation="triton")
    (gradient,) = torch.autograd.grad(output.sum(), x)
    assert output.isnan().all()
    assert gradient.isnan().all()
    doubt = Doubt(offsets, lambda: has_come, 20, "offsets", "query")  # as it is asked for on a GPU
    OPEN.add(doubt)
    right = {"offsets": torch.tensor([0, 20]), "implementation": "triton"}
    regard.attend(x, x, x, **right)
    has_come = True
    with pytest.raises(ShapeError, match=f"an earlier call, whose output is NaN: {WRONG[wrong]}"):
        regard.attend(x, x, x, **right)
    regard.attend(x, x, x, **right)  # it is said once


@pytest.mark.usefixtures("_of_a_gpu_alone")
def test_rows_of_no_sequences_are_refused_at_once() -> None:
    none = torch.zeros(1, dtype=torch.int64)
    assert regard.attend(*[ROWS[:0]] * 3, offsets=none, implementation="triton").shape == (0, 1, 4)
    with pytest.raises(ShapeError, match="offsets must run from 0 to the 20 rows of query, got 0 to 0"):
        regard.attend(*[ROWS] * 3, offsets=none, implementation="triton")


def test_those_that_the_cpu_knows_are_refused_at_once() -> None:
    for wrong, message in WRONG.items():
        with pytest.raises(ShapeError, match=message):
            regard.attend(*[ROWS.to(DEVICE)] * 3, offsets=torch.tensor(wrong), implementation="triton")


def test_what_is_known_of_offsets_goes_where_they_go() -> None:
    """To meta, as to a GPU."""
    offsets = torch.tensor([0, 3, 8])
    moved = Ragged(torch.zeros(8, 2), offsets).to("meta").offsets
    again = moved_offsets(moved, "meta")
    assert moved.is_meta
    assert known(moved) is known(again) is offsets
    assert known(offsets.to("meta")) is None
    moved.zero_()
    assert known(moved) is None


@GPU
@pytest.mark.parametrize("wrong", WRONG)
def test_malformed_ones_on_a_gpu(wrong: tuple[int, ...]) -> None:
    x, offsets = ROWS.cuda().requires_grad_(), torch.tensor(wrong).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        output = regard.attend(x, x, x, offsets=offsets, window=2, implementation="triton")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert output.isnan().all()
    with pytest.raises(ShapeError, match=WRONG[wrong]):  # its answer has come, for the output has been looked at
        regard.attend(x, x, x, window=2, offsets=torch.tensor([0, 20]).cuda(), implementation="triton")


def test_a_graph_is_not_captured_with_offsets_elsewhere() -> None:
    from regard.attention.triton.runs import _found

    *_, spec = check(ROWS, ROWS, ROWS, DEFAULTS | {"offsets": torch.tensor([0, 5, 20])})
    with pytest.raises(ShapeError, match="offsets must be on meta while a CUDA graph is captured, got cpu"):
        _found(*[ROWS.to("meta")] * 2, spec, captured=True)


@GPU
def test_other_offsets_for_a_captured_graph() -> None:
    """Well-formed ones count; others give NaN, since nothing can be said. Those of the CPU are refused."""
    here = torch.tensor([0, 5, 20])
    x, offsets = ROWS.cuda(), here.cuda()
    regard.attend(x, x, x, offsets=offsets, implementation="triton")  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = regard.attend(x, x, x, offsets=offsets, implementation="triton")
        with pytest.raises(ShapeError, match="offsets must be on cuda:0 while a CUDA graph is captured, got cpu"):
            regard.attend(x, x, x, offsets=here, implementation="triton")
    for numbers in ([0, 5, 20], [0, 11, 20]):
        offsets.copy_(torch.tensor(numbers))
        graph.replay()
        exact = regard.attend(*[ROWS] * 3, offsets=torch.tensor(numbers), implementation="reference")
        assert_near(output.cpu(), exact.double(), torch.float32)
    offsets.copy_(torch.tensor([0, 21, 20]))
    graph.replay()
    assert output.isnan().all()
