"""`AttentionWeights` says the same of a band as of all pairs, which are easy to count over."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

import regard
from attention.cases import Call, Case, cases, make
from regard import AttentionWeights, ShapeError

ONE = Case(window=(2, 1), query_start=1, lengths=((5, 6), (5, 6)), key_heads=2)
RAGGED = Case(window=(2, 1), ragged=True, lengths=((5, 5), (0, 0), (1, 1), (2, 4)), key_heads=2)
SHAPES = pytest.mark.parametrize("case", [ONE, RAGGED], ids=["dense", "ragged"])


def _pairs(call: Call, weights: AttentionWeights) -> list[Tensor]:
    """One ``[H, Q_b, K_b]`` for each sequence."""
    dense = weights.dense()
    assert [tuple(w.shape) for w in dense] == [(call.case.heads, q, k) for q, k in call.case.sequences]
    return list(dense)


def _by_sequence(call: Call, x: Tensor) -> list[Tensor]:
    return call.by_sequence(x[..., None] if x.dim() < 4 - call.case.ragged else x)


@given(case=cases())
def test_a_band_says_what_all_pairs_say(case: Case) -> None:
    call = make(case).to(torch.float64)
    weights = call.weights("reference")
    largest, places = (_by_sequence(call, x) for x in weights.top(3))
    entropy, distance = (_by_sequence(call, x) for x in (weights.entropy(), weights.distance()))
    for b, dense in enumerate(_pairs(call, weights)):
        total = dense.sum(-1, keepdim=True)
        share = dense / torch.where(total > 0, total, 1)
        torch.testing.assert_close(entropy[b][..., 0], -(share * share.clamp(min=1e-300).log()).sum(-1))
        position = case.query_start + torch.arange(dense.shape[1])[:, None]
        away = (torch.arange(dense.shape[2]) - position).abs()
        torch.testing.assert_close(distance[b][..., 0], (share * away).sum(-1))

        sorted_ = torch.nn.functional.pad(dense, (0, 3)).sort(-1, descending=True).values[..., :3]
        assert torch.equal(largest[b], sorted_)
        found = torch.nn.functional.pad(dense, (0, 1)).gather(-1, places[b].where(places[b] >= 0, dense.shape[2]))
        assert torch.equal(found, largest[b])
        assert torch.equal(places[b] == -1, largest[b] == 0)
        for q in range(0, dense.shape[1], 7):
            assert torch.equal(weights.row(q, b), dense[:, q])


def test_a_row_of_one_sequence_and_of_a_ragged_batch() -> None:
    dense, ragged = make(ONE).weights("reference"), make(RAGGED).weights("reference")
    assert torch.equal(dense.row(3), dense.dense()[0, :, 3])
    assert torch.equal(dense.row(-1, sequence=1), dense.dense()[1, :, 4])
    assert torch.equal(ragged.row(1, sequence=3), ragged.dense()[3][:, 1])
    assert torch.equal(ragged.row(-1, sequence=-1), ragged.dense()[3][:, 1])
    assert ragged.row(0, sequence=2).shape == (2, 1)


@pytest.mark.parametrize(
    ("query", "sequence", "message"),
    [
        (5, 0, "query must be one of the 5 rows of sequence 0, got 5"),
        (0, 1, "query must be one of the 0 rows of sequence 1, got 0"),
        (-3, 3, "query must be one of the 2 rows of sequence 3, got -3"),
        (0, 4, "sequence must be one of the batch's 4, got 4"),
    ],
)
def test_rows_that_do_not_exist_are_refused(query: int, sequence: int, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        make(RAGGED).weights("reference").row(query, sequence)


@SHAPES
def test_top_of_less_than_one_is_refused(case: Case) -> None:
    with pytest.raises(ShapeError, match="k must be at least 1, got 0"):
        make(case).weights("reference").top(0)


def test_numbers_by_hand() -> None:
    # One query at position 1, window (1, 1), three keys; weights 1/4, 1/4, 1/2.
    band = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64).view(1, 1, 1, 3)
    weights = AttentionWeights(band, torch.tensor([0]), torch.tensor([3]), query_start=1)
    # −(2 · 1/4 · ln 1/4 + 1/2 · ln 1/2) = ln 2 + (ln 2)/2; distances 1, 0, 1.
    torch.testing.assert_close(weights.entropy().item(), 1.5 * math.log(2))
    assert weights.distance().item() == 0.75
    top, places = weights.top(4)
    assert top.flatten().tolist() == [0.5, 0.25, 0.25, 0]
    assert places.flatten().tolist() in ([2, 0, 1, -1], [2, 1, 0, -1])
    # What does not sum to 1 is divided by its sum, so half as much of all says the same.
    half = AttentionWeights(band / 2, weights.first, weights.key_lengths, query_start=1)
    torch.testing.assert_close(half.entropy(), weights.entropy())
    assert half.distance().item() == 0.75


@SHAPES
def test_rows_that_see_nothing_are_zero(case: Case) -> None:
    call = make(case)
    weights = call.weights("reference")
    nothing = AttentionWeights(
        torch.zeros_like(weights.values), weights.first, weights.key_lengths, weights.query_start, weights.offsets
    )
    for x in (nothing.entropy(), nothing.distance(), nothing.top(2)[0], *nothing.dense()):
        assert (x == 0).all()
    assert (nothing.top(2)[1] == -1).all()


def test_a_long_band_stays_a_band() -> None:
    T, width = 100_000, 9  # all pairs would be 40 GB
    band = torch.rand(T, 1, width)
    offsets = torch.tensor([0, 40_000, T])
    lengths = offsets.diff()
    first = torch.cat([torch.arange(int(n)) for n in lengths]) - width // 2
    weights = AttentionWeights(band, first, lengths, 0, offsets)
    assert weights.entropy().shape == weights.distance().shape == (T, 1)
    assert weights.top(2)[1].shape == (T, 1, 2)
    assert weights.row(59_999, sequence=1).shape == (1, 60_000)
    assert weights.row(59_999, sequence=1)[0, -5:].tolist() == band[-1, 0, :5].tolist()


def test_an_empty_batch() -> None:
    x = torch.zeros(0, 2, 4)
    weights = regard.attention_weights(x, x, offsets=torch.tensor([0]), window=3, implementation="reference")
    assert weights.values.shape == (0, 2, 7)
    assert weights.dense() == []
    assert weights.entropy().shape == weights.distance().shape == (0, 2)
    x = torch.zeros(0, 2, 5, 4)
    weights = regard.attention_weights(x, x, window=3, implementation="reference")
    assert weights.values.shape == (0, 2, 5, 7)
    assert weights.top(2)[0].shape == (0, 2, 5, 2)
