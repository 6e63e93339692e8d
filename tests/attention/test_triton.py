"""The kernels of GPUs: on one where there is one, else interpreted; in small tiles, so that few rows are many."""

from __future__ import annotations

import importlib.metadata
import math
import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regard
from attention.calls import assert_blind_rows_are_zero, assert_poison_stays
from attention.cases import Case, cases, make
from attention.tolerances import assert_near
from regard import UnsupportedError
from regard.attention import triton

pytest.importorskip("triton", reason="Triton is not installed")
# NumPy, which stands for the GPU, says what a GPU keeps to itself: that of two infinities nothing is known
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.runtime.interpreter")
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
HALVES = [torch.float32, torch.bfloat16, torch.float16]
SHORT = st.lists(st.tuples(*[st.sampled_from([0, 1, 3, 17, 33])] * 2), min_size=1, max_size=3)
SMALL: dict[str, Any] = {"lengths": SHORT.map(tuple), "key_heads": st.just(1), "group": st.integers(1, 2)}
DRAWN = partial(cases, dim=st.sampled_from([1, 4, 20]), value_dim=st.sampled_from([1, 5, 16]))
# On a GPU a case takes seconds, for each has kernels of its own to compile: so parts, which run side by side.
PARTS = (
    {
        f"{score}, {str(dtype)[6:]}": DRAWN(score=st.just(score), dtype=st.just(dtype))
        for score in ("dot", "additive")
        for dtype in HALVES
    }
    if ON_GPU
    else {"all": DRAWN(dtype=st.sampled_from(HALVES), **SMALL)}
)
few = settings(max_examples=settings().max_examples // len(PARTS) if ON_GPU else 3)

BASE = Case(dtype=torch.float32, lengths=((25, 25), (25, 25)), dim=8, value_dim=5)
ADDITIVE = replace(BASE, score="additive", lengths=((20, 20),), dim=3, value_dim=4)
CASES = {
    "full": BASE,
    "window": replace(BASE, window=(5, 3), lengths=((63, 63),)),
    "causal, grouped": replace(BASE, causal=True, group=2, lengths=((40, 40),)),
    "inner tiles": replace(BASE, window=40, lengths=((130, 130),), dim=16, value_dim=16),
    "from the middle": replace(BASE, window=(9, 0), query_start=20, lengths=((17, 40),)),
    "relu": replace(BASE, window=(3, None), normalizer="relu"),
    "sigmoid": replace(BASE, causal=True, normalizer="sigmoid"),
    "sigmoid, mask": replace(BASE, key_mask=True, normalizer="sigmoid"),
    "dropout, mask": replace(BASE, key_mask=True, dropout_p=0.3),
    "bias": replace(BASE, bias=(True, True, True, True), bias_hides=True, group=2, lengths=((17, 20), (17, 20))),
    "bias of keys": replace(BASE, bias=(False, False, False, True), bias_hides=True, normalizer="sigmoid"),
    "bias of queries": replace(BASE, bias=(False, True, True, False), normalizer="relu", dropout_p=0.2),
    "one bias": replace(BASE, bias=(False, False, False, False), lengths=((20, 20), (20, 20))),
    "table": replace(BASE, table=(4, 7), window=(6, None)),
    "table that hides": replace(BASE, table=(9, 0), bias_hides=True, normalizer="relu", dropout_p=0.2),
    "table of one": replace(BASE, table=(0, 0), normalizer="sigmoid"),
    "ragged": replace(BASE, ragged=True, lengths=((3, 3), (0, 0), (40, 40), (1, 1), (17, 17)), key_heads=2),
    "ragged, table": replace(BASE, ragged=True, lengths=((33, 33), (5, 5), (17, 17)), window=(2, 4), table=(3, 3)),
    "crossed": replace(BASE, ragged=True, lengths=((3, 20), (9, 0), (0, 4), (33, 7)), dropout_p=0.2, causal=True),
    "crossed, from the middle": replace(BASE, ragged=True, lengths=((3, 20), (9, 2)), query_start=5, window=6),
    "bfloat16": replace(BASE, dtype=torch.bfloat16, dim=20, window=7, group=2),
    "ragged, bfloat16": replace(BASE, ragged=True, lengths=((3, 3), (17, 17)), dtype=torch.bfloat16),
    "float16": replace(BASE, dtype=torch.float16, dim=16, value_dim=16, key_mask=True),
    "additive": replace(ADDITIVE, lengths=((20, 33),), group=2),
    "additive, relu": replace(ADDITIVE, normalizer="relu", window=4, bias=(True, False, True, True)),
    "additive, sigmoid": replace(ADDITIVE, normalizer="sigmoid", causal=True, key_mask=True),
    "additive, ragged": replace(ADDITIVE, ragged=True, lengths=((3, 3), (20, 20)), table=(2, 2), dropout_p=0.2),
    "additive, bfloat16": replace(ADDITIVE, dtype=torch.bfloat16, window=(3, 1)),
    "no keys": replace(BASE, lengths=((5, 0),)),
    "no queries": replace(BASE, lengths=((0, 5),)),
}  # fmt: skip


@pytest.fixture(params=["small tiles", "own tiles"] if ON_GPU else ["small tiles"], autouse=True)
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones, so that their borders are met; on a GPU those that are used, too."""
    from regard.attention.triton import tuning

    if request.param == "own tiles":
        return
    for table in (name for name, value in vars(tuning).items() if isinstance(value, dict) and name.isupper()):
        registers = None if table == "PAIRS" else 168
        monkeypatch.setattr(tuning, table, {256: tuning.Tiles(16, 16, 1, 1, registers)})


def compare(case: Case) -> None:
    call = make(case)
    actual, exact = call.run("triton"), call.to(torch.float64).run("reference")
    for name, tensor in actual.items():
        assert tensor.dtype == (case.dtype if name == "output" else call.leaves[name].dtype), name
        assert_near(tensor, exact[name], case.dtype, name)
    assert_blind_rows_are_zero(call, actual)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_the_references(name: str) -> None:
    compare(CASES[name])


@pytest.mark.parametrize("part", PARTS)
@few
@given(data=st.data())
def test_any_other_case(part: str, data: st.DataObject) -> None:
    compare(data.draw(PARTS[part]))


@pytest.mark.parametrize(
    "name", ["window", "sigmoid, mask", "ragged, table", "crossed", "bfloat16", "additive", "no keys"]
)
def test_the_weights_are_those_the_output_was_made_from(name: str) -> None:
    call = make(CASES[name])
    weights, exact = call.weights("triton"), call.to(torch.float64).weights("reference")
    assert torch.equal(weights.first.cpu(), exact.first)
    assert_near(weights.values.cpu(), exact.values, call.case.dtype, "weights")


POISON = [
    (name, poison)
    for name in ("window", "causal, grouped", "dropout, mask", "bias", "ragged, table", "relu", "additive, ragged")
    for poison in (math.nan, math.inf)
    if ON_GPU or (math.isnan(poison) and name not in ("causal, grouped", "relu")) or name == "additive, ragged"
]


@pytest.mark.parametrize(("name", "poison"), POISON)
def test_what_is_hidden_spoils_nothing(name: str, poison: float) -> None:
    assert_poison_stays(make(CASES[name]), "triton", poison, in_queries=True)


@pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
def test_who_sees_poison_shows_it(normalizer: str) -> None:
    call = make(replace(BASE, window=2, normalizer=normalizer))
    call.leaves["value"][:, :, 20] = math.nan
    output = call.attend("triton")
    assert output[:, :, 18:23].isnan().all()
    assert not output[:, :, :18].isnan().any()


@pytest.mark.parametrize(
    ("size", "dim"), [(0.01, 1), (0.01, 4), (5.0, 4), (11.0, 1), (11.0, 4), (30.0, 4), (200.0, 4), (1e4, 4)]
)
def test_additive_scores_of_any_size(size: float, dim: int) -> None:
    """Sums near 0 of numbers that are not, too; and numbers at the border of sharing a reciprocal."""
    call = make(replace(ADDITIVE, lengths=((17, 17),), dim=dim))
    query, key = call.leaves["query"], call.leaves["key"]
    query *= size / (query.abs().max() if size == 11 else 1)
    key *= size / (key.abs().max() if size == 11 else 1)
    key -= 0 if size < 2 else query
    actual, exact = call.run("triton"), call.to(torch.float64).run("reference")
    for name in actual:
        assert_near(actual[name], exact[name], torch.float32, name)


def test_additive_scores_lose_no_more_than_twice_what_pytorch_does() -> None:
    call = make(replace(ADDITIVE, lengths=((32, 32),), dim=64))
    exact = call.to(torch.float64).attend("reference")
    errors = [float((call.attend(name) - exact).square().mean().sqrt()) for name in ("triton", "reference")]
    assert 0 < errors[0] < 2 * errors[1]


def test_memory_that_was_used_before_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stood in it."""
    empty, poisoned = torch.empty_like, []

    def poison(*given: Any, **options: Any) -> torch.Tensor:
        made = empty(*given, **options)
        poisoned.append(made.fill_(math.nan) if made.is_floating_point() else made)
        return made

    call = make(CASES["crossed"])
    exact = call.run("triton")
    monkeypatch.setattr(torch, "empty_like", poison)
    again = call.run("triton")
    assert len(poisoned) > 3
    assert all(torch.equal(again[name], exact[name]) for name in exact)


@pytest.mark.parametrize("name", CASES if ON_GPU else ["table", "ragged"])
def test_the_same_bits_every_time(name: str) -> None:
    call = make(CASES[name])
    first = call.run("triton")
    for _ in range(20 if ON_GPU else 1):
        again = call.run("triton")
        assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("name", ["dropout, mask", "crossed", "additive, ragged"])
def test_a_seed_drops_the_same_weights_everywhere(name: str) -> None:
    """On a GPU and on a CPU, whoever computes them."""
    call = make(CASES[name])
    on_gpu, by_definition = (call.weights(implementation).values.cpu() for implementation in ("triton", "reference"))
    assert torch.equal(on_gpu == 0, by_definition == 0)
    assert 0.1 < float((on_gpu == 0).float().mean()) < 1


def test_a_ragged_batch_of_many_rows() -> None:
    """A million of them on a GPU, whose queries are more numbers than an int32 counts; each sequence as it is alone."""
    rows, heads, dim = (1_000_000, 32, 128) if ON_GPU else (120, 2, 8)
    if ON_GPU and torch.cuda.mem_get_info()[0] < 60 << 30:
        pytest.skip("needs 60 GiB of a GPU's memory")
    random = np.random.default_rng(0)
    lengths = random.geometric(0.04, rows) - 1  # 24 on average, some empty
    lengths = lengths[lengths.cumsum() <= rows]
    lengths[-1] += rows - lengths.sum()
    dtype = torch.bfloat16 if ON_GPU else torch.float32
    query = torch.randn(rows, heads, dim, device=DEVICE, dtype=dtype, requires_grad=True)
    key, value = (torch.randn(rows, 1, dim, device=DEVICE, dtype=dtype, requires_grad=True) for _ in range(2))
    batch = regard.Ragged.from_lengths(query, lengths.tolist())
    output = regard.attend(query, key, value, offsets=batch.offsets, window=(9, 5), implementation="triton")
    gradients = torch.autograd.grad(output.sum(), (query, key, value))
    ends = lengths.cumsum()
    for number in [0, len(lengths) - 1, *random.choice(np.flatnonzero(lengths), 20 if ON_GPU else 2)]:
        here = slice(ends[number] - lengths[number], ends[number])
        alone = [x.detach()[here].double().requires_grad_() for x in (query, key, value)]
        exact = regard.attend(
            *alone, offsets=torch.tensor([0, lengths[number]]), window=(9, 5), implementation="reference"
        )
        expected = torch.autograd.grad(exact.sum(), alone)
        for found, wanted in zip((output, *gradients), (exact, *expected), strict=True):
            assert_near(found[here], wanted, dtype)


def test_runs_are_those_of_the_offsets_as_they_are() -> None:
    """They are kept beside them, until they change."""
    x = torch.randn(20, 1, 4, device=DEVICE)
    offsets, others = torch.tensor([0, 5, 20]), torch.tensor([0, 15, 20])

    def call(implementation: str, **options: Any) -> torch.Tensor:
        return regard.attend(x, x, x, offsets=offsets, implementation=implementation, **options)

    for options in ({}, {"window": 2}, {"key_offsets": others}, {"key_offsets": others.clone()}, {"window": 2}):
        for _ in range(2):
            assert_near(call("triton", **options), call("reference", **options).double(), torch.float32)
    with torch.inference_mode():
        lasting, offsets = offsets, offsets.clone()
        assert_near(call("triton"), call("reference").double(), torch.float32)
    offsets = lasting
    offsets[1] = 12
    others[1] = 3
    for options in ({}, {"key_offsets": others}):
        assert_near(call("triton", **options), call("reference", **options).double(), torch.float32)


def test_what_has_no_kernel_is_refused_with_every_reason() -> None:
    x = torch.zeros(1, 1, 4, 300, dtype=torch.float64)
    reasons = "float64 has no kernel; a head of more than 256 channels has no kernel"
    with pytest.raises(UnsupportedError, match=reasons):
        regard.attend(x, x, x, implementation="triton")


def test_where_there_is_no_gpu_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(UnsupportedError, match="the tensors are on cpu, not a GPU"):
        regard.attend(x, x, x, implementation="triton")
    assert "triton" not in regard.explain(x, x, x, window=1)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "Triton 3.4 or newer is not installed: pip install 'regard[gpu]'"),
        ("3.3.1", "Triton 3.3.1 is too old, it takes 3.4 or newer: pip install --upgrade 'regard[gpu]'"),
        ("2.10.0+git1", "Triton 2.10.0+git1 is too old"),
    ],
)
def test_without_a_triton_that_is_new_enough_it_is_said_how_to_get_it(
    found: str | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton, "AGAINST_TRITON", triton.lacks_triton(found))
    x = torch.zeros(1, 1, 4, 4, device=DEVICE)
    with pytest.raises(UnsupportedError, match=re.escape(reason)):
        regard.attend(x, x, x, implementation="triton")


def test_a_new_triton_and_one_that_nobody_knows_will_do() -> None:
    assert [triton.lacks_triton(found) for found in ("3.4.0", "3.10", "4.0.0.dev1", "")] == [None] * 4


def test_which_version_is_installed() -> None:
    assert triton.installed() == importlib.metadata.version("triton")
    assert triton.installed("no_such_module") is None
    assert triton.installed("json") == ""  # as of a package of another name


def test_a_gpu_of_another_maker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "7.1.0")
    triton._of_gpu.cache_clear()
    assert triton._of_gpu(torch.device("cuda")) == "the GPU is AMD's, the kernels are for NVIDIA's"
    triton._of_gpu.cache_clear()


def test_a_gpu_that_is_too_old_is_told_by_its_number() -> None:
    assert triton.lacks_units((7, 5)) == (
        "the GPU is of compute capability 7.5, the kernels take 8.0 (Ampere, which has bfloat16) or newer"
    )
    assert [triton.lacks_units(found) for found in ((8, 0), (8, 9), (9, 0), (12, 1))] == [None] * 4


def test_positions_that_no_int32_holds_are_refused() -> None:
    x = torch.zeros(1, 1, 4, 4, device=DEVICE)
    assert regard.attend(x, x, x, causal=True, query_start=(1 << 31) - 9, implementation="triton").shape == x.shape
    with pytest.raises(UnsupportedError, match="a position of 2³¹ or more, counted over all rows and from query_start"):
        regard.attend(x, x, x, query_start=(1 << 31) - 8, implementation="triton")
