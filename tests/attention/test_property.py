"""Every implementation means what `reference` means, over the whole table of choices, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.attention import blocked
from regard.attention.api import IMPLEMENTATIONS

from .cases import RUNS, Call, Case, cases, make
from .tolerances import assert_near

EXACT = (torch.float64, torch.float32)
LONG = st.lists(
    st.tuples(st.sampled_from([2, 30, 140, 270]), st.sampled_from([1, 30, 140, 270])), min_size=1, max_size=3
)
named = pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "auto"])


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
    for name in ("output", "query"):  # rows that see nothing
        for rows, see in zip(call.by_sequence(actual[name]), call.visible(), strict=True):
            assert (rows[~see.any(-1)] == 0).all(), name


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
    clean = make(case)
    dirty = clean.to(case.dtype)
    random = torch.Generator().manual_seed(case.seed)
    ill_rows, ill_keys = _infect(dirty, poison, random, in_queries=in_queries)
    expected, actual = clean.run(implementation), dirty.run(implementation)

    for name in ("output", "query"):
        parts = (clean.by_sequence(expected[name]), dirty.by_sequence(actual[name]), ill_rows)
        for want, got, ill in zip(*parts, strict=True):
            assert_near(got[~ill], want[~ill], case.dtype, name)
    for name in ("key", "value"):
        parts = (clean.by_sequence(expected[name], keys=True), dirty.by_sequence(actual[name], keys=True), ill_keys)
        for want, got, ill in zip(*parts, strict=True):
            assert_near(got[~ill], want[~ill], case.dtype, name)
    if not any(ill.any() for ill in ill_rows):
        for name in actual.keys() & {"bias", "table", "weight"}:
            assert_near(actual[name], expected[name], case.dtype, name)


def _infect(
    call: Call, poison: float, random: torch.Generator, *, in_queries: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Poisons some keys and values in place, and some queries; says which rows and whose gradients may show it."""
    group = call.case.group
    queries = call.by_sequence(call.leaves["query"])
    keys, values = (call.by_sequence(call.leaves[name], keys=True) for name in ("key", "value"))
    ill_rows, ill_keys = [], []
    for query, key, value, see in zip(queries, keys, values, call.visible(), strict=True):
        bad_key = torch.rand(key.shape[:2], generator=random) < 0.15  # [Hk, K]
        bad_key |= ~see.unflatten(0, (-1, group)).any(1).any(1)  # all that nobody sees
        bad_row = torch.rand(query.shape[:2], generator=random) < (0.1 if in_queries else 0)  # [H, Q]
        key[bad_key] = value[bad_key] = poison
        query[bad_row] = poison
        ill_row = bad_row | (see & bad_key.repeat_interleave(group, 0)[:, None]).any(-1)
        ill_rows.append(ill_row)
        ill_keys.append((see & ill_row[..., None]).unflatten(0, (-1, group)).any(1).any(1))
    return ill_rows, ill_keys


@given(case=cases())
def test_a_case_means_what_it_says(case: Case) -> None:
    """`visible`, on which the tests above stand, against a normalizer that gives each visible key some weight."""
    call = make(case).to(torch.float64)
    call.options |= {"normalizer": "sigmoid", "dropout_p": 0.0}
    for dense, see in zip(call.weights("reference").dense(), call.visible(), strict=True):
        assert torch.equal(dense > 0, see)
