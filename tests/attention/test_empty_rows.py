"""Queries that may see no key, and batches with nothing in them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import regard
from attention.cases import Call, Case, make
from attention.tolerances import assert_near

# sdpa refuses all that could hide every key from a query, and batches with nothing in them.
named = pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])
normalized = pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
scored = pytest.mark.parametrize("score", ["dot", "additive"])
BASE = Case(lengths=((6, 6), (6, 6)), key_heads=2, group=2, dtype=torch.float32)


def _hidden_by(what: str, case: Case) -> Call:
    """A call whose queries see nothing at all."""
    no = -math.inf
    if what == "key_mask":
        call = make(replace(case, key_mask=True))
        call.options["key_mask"].fill_(False)
    elif what == "bias":
        call = make(replace(case, bias=(False, True, True, False)))
        call.leaves["bias"].fill_(no)
    elif what == "table":
        call = make(replace(case, table=(1, 1)))
        call.leaves["table"].fill_(no)
    elif what == "query_start":
        call = make(replace(case, window=2, query_start=8))  # the first query sees positions 6 to 10, of keys 0 to 5
    else:
        call = make(replace(case, lengths=tuple((q, 0) for q, _ in case.lengths)))
    return call


@named
@normalized
@scored
@pytest.mark.parametrize(
    ("layout", "what"),
    [
        *[("dense", what) for what in ("key_mask", "bias", "table", "query_start", "no keys")],
        *[("ragged", what) for what in ("table", "query_start", "no keys")],
    ],
)
def test_queries_that_see_nothing(implementation: str, normalizer: str, score: str, layout: str, what: str) -> None:
    if what == "bias" and implementation == "native":
        pytest.skip("which refuses a bias tensor")
    call = _hidden_by(what, replace(BASE, score=score, normalizer=normalizer, ragged=layout == "ragged"))
    for name, tensor in call.run(implementation).items():
        assert (tensor == 0).all(), name
    assert (call.weights(implementation).values == 0).all()


@named
@normalized
def test_some_queries_see_nothing_and_the_others_do_not_mind(implementation: str, normalizer: str) -> None:
    call = make(replace(BASE, normalizer=normalizer, key_mask=True))
    call.options["key_mask"][0] = False
    call.options["key_mask"][1] = True
    both = call.run(implementation)
    assert (both["output"][0] == 0).all()
    assert (both["key"][0] == 0).all()
    alone = make(replace(BASE, normalizer=normalizer))
    for name, tensor in alone.to(torch.float64).run("reference").items():
        assert_near(both[name][1], tensor[1], torch.float32, name)


@named
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("B", "N"), [(2, 0), (0, 5), (0, 0)], ids=["no rows", "no sequences", "neither"])
def test_dense_batches_with_nothing_in_them(implementation: str, dtype: torch.dtype, B: int, N: int) -> None:
    x = torch.zeros(B, 3, N, 4, dtype=dtype, requires_grad=True)
    output = regard.attend(x, x, x, implementation=implementation)
    output.sum().backward()
    assert output.shape == x.shape
    assert output.dtype == dtype
    assert x.grad is not None
    assert regard.attention_weights(x, x, implementation=implementation).values.shape == (B, 3, N, N)


@named
@scored
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]], ids=["no sequences", "one empty", "all empty"])
def test_ragged_batches_with_nothing_in_them(
    implementation: str, score: str, window: int | None, lengths: list[int]
) -> None:
    x = torch.zeros(0, 2, 4, requires_grad=True)
    offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64)
    chosen: str | regard.Additive = regard.Additive(torch.ones(2, 4)) if score == "additive" else "dot"
    options = {"offsets": offsets, "window": window, "score": chosen, "implementation": implementation}
    output = regard.attend(x, x, x, **options)
    output.sum().backward()
    assert output.shape == (0, 2, 4)
    assert x.grad is not None
    weights = regard.attention_weights(x, x, **options)
    assert weights.values.shape == (0, 2, 0 if window is None else 5)
    assert [w.shape for w in weights.dense()] == [(2, 0, 0)] * len(lengths)


@named
@normalized
@pytest.mark.parametrize("window", [None, 0, 3])
def test_one_vector_attends_to_itself(implementation: str, normalizer: str, window: int | None) -> None:
    x: Tensor = torch.ones(1, 1, 1, 4)  # score 4 / √4 = 2, one key: n = 1
    weight = {"softmax": 1.0, "relu": 2.0, "sigmoid": 1 / (1 + math.exp(-2))}[normalizer]
    options = {"normalizer": normalizer, "window": window, "implementation": implementation}
    assert_near(regard.attend(x, x, 3 * x, **options), 3 * weight * x, torch.float32)
    assert regard.attention_weights(x, x, **options).dense().item() == pytest.approx(weight)
