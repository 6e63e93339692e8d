"""Every implementation means what `reference` means, over the whole table of choices, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attention.calls import assert_blind_rows_are_zero, assert_poison_stays
from attention.cases import RUNS, Case, cases, make
from attention.tolerances import assert_near
from regard.attention import blocked
from regard.attention.api import IMPLEMENTATIONS

EXACT = (torch.float64, torch.float32)
LONG = st.lists(
    st.tuples(st.sampled_from([2, 30, 140, 270]), st.sampled_from([1, 30, 140, 270])), min_size=1, max_size=3
)
# "triton", which is interpreted where there is no GPU, has its own table of cases: see test_triton.py
named = pytest.mark.parametrize("implementation", [*(name for name in IMPLEMENTATIONS if name != "triton"), "auto"])


@named
@given(data=st.data())
def test_values_and_gradients_are_the_references(implementation: str, data: st.DataObject) -> None:
    _compare(data.draw(RUNS[implementation]), implementation)


@settings(max_examples=settings().max_examples // 3)
@given(case=cases(lengths=LONG.map(tuple)), budget=st.sampled_from([100, 1000, 9000]))
def test_pieces_of_any_size_mean_the_same(case: Case, budget: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocked, "BUDGET", budget)
        _compare(case, "blocked")


def _compare(case: Case, implementation: str) -> None:
    call = make(case)
    actual, exact = call.run(implementation), call.to(torch.float64).run("reference")
    assert actual.keys() == exact.keys()
    for name, tensor in actual.items():
        assert tensor.dtype == (case.dtype if name == "output" else call.leaves[name].dtype), name
        assert_near(tensor, exact[name], case.dtype, name)
    assert_blind_rows_are_zero(call, actual)


@pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])
@given(data=st.data())
def test_the_weights_are_those_the_output_was_made_from(implementation: str, data: st.DataObject) -> None:
    case = data.draw(RUNS[implementation])
    call = make(case)
    weights, exact = call.weights(implementation), call.to(torch.float64).weights("reference")
    assert torch.equal(weights.first, exact.first)
    assert torch.equal(weights.key_lengths, exact.key_lengths)
    assert weights.query_start == case.query_start
    assert not weights.values.requires_grad
    assert_near(weights.values, exact.values, case.dtype, "weights")

    left, right = case.sides
    if left is not None and right is not None:
        assert weights.values.shape[-1] == left + right + 1
    outputs = call.by_sequence(call.attend(implementation))
    values = call.by_sequence(call.leaves["value"], keys=True)
    for dense, see, value, output in zip(weights.dense(), call.visible(), values, outputs, strict=True):
        assert (dense[~see] == 0).all()
        product = dense.double() @ value.double().repeat_interleave(case.group, 0)
        assert_near(output, product, case.dtype)


@named
@given(data=st.data())
def test_poison_in_what_a_query_may_not_see_never_reaches_it(implementation: str, data: st.DataObject) -> None:
    case = data.draw(RUNS[implementation].filter(lambda case: case.dtype in EXACT))
    poison = data.draw(st.sampled_from([math.nan, math.inf, -math.inf]))
    in_queries = data.draw(st.booleans()) and implementation != "sdpa"  # more than is promised
    assert_poison_stays(make(case), implementation, poison, in_queries=in_queries)


@given(case=cases())
def test_a_case_means_what_it_says(case: Case) -> None:
    """`visible`, on which the tests above stand, against a normalizer that gives each visible key some weight."""
    call = make(case).to(torch.float64)
    call.options |= {"normalizer": "sigmoid", "dropout_p": 0.0}
    for dense, see in zip(call.weights("reference").dense(), call.visible(), strict=True):
        assert torch.equal(dense > 0, see)
