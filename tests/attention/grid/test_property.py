"""Every implementation means what the formulas say, over the whole table of choices, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from attention.calls import assert_blind_rows_are_zero, assert_poison_stays
from attention.grid.cases import NATIVE, RUNS, Case, cases, limited, make
from attention.tolerances import assert_near
from regard.attention.grid import blocked, native
from regard.attention.grid.implementations import IMPLEMENTATIONS

named = pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "auto"])
SMALL = st.lists(st.tuples(*[st.sampled_from([1, 2, 5, 7])] * 2), min_size=1, max_size=2)
EXACT = st.sampled_from([torch.float64, torch.float32])


@settings(max_examples=settings().max_examples * 5 // 8)
@named
@given(data=st.data())
def test_values_and_gradients_are_those_of_the_formulas(implementation: str, data: st.DataObject) -> None:
    _compare(data.draw(RUNS[implementation]), implementation)


@settings(max_examples=settings().max_examples // 4)
@given(case=cases(border=st.just("shift"), window=st.tuples(*[limited] * 4)))
def test_windows_that_are_moved_inside(case: Case) -> None:
    _compare(case, "blocked")


def _compare(case: Case, implementation: str) -> None:
    call = make(case)
    actual, exact = call.run(implementation), call.to(torch.float64).run("oracle")
    assert actual.keys() == exact.keys()
    for name, tensor in actual.items():
        assert tensor.dtype == (case.dtype if name == "output" else call.leaves[name].dtype), name
        assert_near(tensor, exact[name], case.dtype, name)
    assert_blind_rows_are_zero(call, actual)


@settings(max_examples=settings().max_examples // 4)
@given(case=cases(dtype=st.just(torch.float64), sizes=SMALL), budget=st.sampled_from([1, 300, 5000]))
def test_pieces_of_any_size_mean_the_same(case: Case, budget: int) -> None:
    call = make(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocked, "BUDGET", budget)
        actual = call.run("blocked")
    for name, exact in call.run("reference").items():
        assert_near(actual[name], exact, case.dtype, name)


@settings(max_examples=settings().max_examples // 4)
@given(case=cases(dropout_p=st.just(0.3), dtype=st.just(torch.float64)))
def test_all_drop_the_same(case: Case) -> None:
    call = make(case)
    actual = call.run("blocked")
    for name, exact in call.run("reference").items():
        assert_near(actual[name], exact, case.dtype, name)


@settings(max_examples=settings().max_examples // 4)
@given(
    case=cases(score=st.just("dot"), normalizer=st.just("softmax"), ragged=st.just(False), bias_hides=st.just(False))
)
def test_the_formulas_are_pytorchs(case: Case) -> None:
    call = make(case).to(torch.float64)
    key, value = (call.leaves[name].repeat_interleave(case.group, 1) for name in ("key", "value"))
    masks = [torch.where(see, call.bias_of(b, call.leaves), -math.inf) for b, see in enumerate(call.visible())]
    expected = F.scaled_dot_product_attention(
        call.leaves["query"], key, value, attn_mask=torch.stack(masks), scale=case.scale
    )
    assert_near(call.oracle(call.leaves), expected, torch.float64)


@settings(max_examples=settings().max_examples // 4)
@pytest.mark.parametrize("implementation", ["reference", "blocked"])
@given(case=cases(dtype=EXACT))
def test_the_weights_are_those_the_output_was_made_from(implementation: str, case: Case) -> None:
    call = make(case)
    weights, exact = call.weights(implementation), call.to(torch.float64).weights("reference")
    assert_near(weights.values, exact.values, case.dtype, "weights")
    up, down, left, right = case.sides
    if None not in (up, down, left, right):
        assert weights.values.shape[-1] == (up + down + 1) * (left + right + 1)
    outputs, values = call.by_sequence(call.attend(implementation)), call.by_sequence(call.leaves["value"])
    for dense, see, value, output in zip(weights.dense(), call.visible(), values, outputs, strict=True):
        assert (dense[~see] == 0).all()
        assert_near(output, dense.double() @ value.double().repeat_interleave(case.group, 0), case.dtype)


@settings(max_examples=settings().max_examples // 2)
@named
@given(data=st.data())
def test_poison_in_what_a_pixel_may_not_see_never_reaches_it(implementation: str, data: st.DataObject) -> None:
    fixed = {**NATIVE, "dtype": st.just(torch.float32)} if implementation == "native" else {"dtype": EXACT}
    case = data.draw(cases(**fixed))
    poison = data.draw(st.sampled_from([math.nan, math.inf, -math.inf]))
    assert_poison_stays(make(case), implementation, poison, in_queries=data.draw(st.booleans()))


@pytest.mark.skipif(not native.native.is_built(), reason=native.native.NOT_BUILT)
@settings(max_examples=settings().max_examples // 8)
@given(
    case=cases(
        **{**NATIVE, "dtype": st.just(torch.float32)},
        sizes=st.lists(st.sampled_from([(70, 9), (9, 70), (5, 133), (66, 40)]), min_size=1, max_size=2),
        dim=st.sampled_from([4, 16, 33]),
        dilation=st.just(1),
    )
)
@pytest.mark.parametrize("isa", ["", "baseline", "avx2"])
def test_native_tasks_of_large_images_join(isa: str, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    if isa:
        if isa not in native.native.instruction_sets():
            pytest.skip(f"no {isa} on this processor")
        monkeypatch.setenv("REGARD_ISA", isa)
    call = make(case)
    exact = call.to(torch.float64).run("blocked")
    for name, tensor in call.run("native").items():
        assert_near(tensor, exact[name], case.dtype, name)
