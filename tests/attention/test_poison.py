"""NaN or Inf where a query may not look, by what hides it, in sizes that are worked on in several pieces."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from attention.cases import Call, Case, make
from attention.tolerances import assert_near

N = 190
BASE = Case(dtype=torch.float32, lengths=((N, N), (N, N)), key_heads=2, group=2)
HIDDEN_BY = {
    "window": replace(BASE, window=(20, 10)),
    "causal": replace(BASE, causal=True),
    "key_mask": replace(BASE, key_mask=True),
    "bias": replace(BASE, bias=(True, False, False, True), bias_hides=True),
    "other sequences": replace(BASE, ragged=True, lengths=((N, N), (3, 3), (5, 5), (0, 0), (1, 1), (29, 29), (9, 9))),
    "other sequences and window": replace(
        BASE, ragged=True, window=2, table=(2, 2), lengths=((3, 3), (290, 290), (7, 7), (40, 40), (33, 33))
    ),
    "causal beside what fills up": replace(BASE, ragged=True, causal=True, lengths=((1, 33), (2, 1), (9, 9))),
    "other sequences, crossed": replace(BASE, ragged=True, lengths=((3, 8), (60, 20), (7, 0), (0, 9), (4, 2))),
}
poisoned = pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "-inf"])
hidden = pytest.mark.parametrize("by", HIDDEN_BY)
named = pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])
scored = pytest.mark.parametrize("score", ["dot", "additive"])


def _call(by: str, score: str) -> tuple[Call, int]:
    """A call and the key of the first sequence, 150 where it is long, that is poisoned; masks hide it."""
    case = HIDDEN_BY[by]
    call = make(replace(case, score=score, dim=2 if score == "additive" else 8))
    key = min(150, case.lengths[0][1] - 1)
    if case.key_mask:
        call.options["key_mask"][:, key] = False
    if "bias" in call.leaves:
        call.leaves["bias"][..., key] = -math.inf
    return call, key


@named
@scored
@hidden
@poisoned
def test_hidden_poison(implementation: str, score: str, by: str, poison: float) -> None:
    if by == "bias" and implementation == "native":
        pytest.skip("which refuses a bias tensor")
    clean, key = _call(by, score)
    dirty = clean.to(torch.float32)
    for name in ("key", "value"):
        dirty.by_sequence(dirty.leaves[name], keys=True)[0][:, key] = poison
    expected, actual = clean.run(implementation), dirty.run(implementation)

    visible = clean.visible()
    for name in ("output", "query"):
        pairs = zip(dirty.by_sequence(actual[name]), clean.by_sequence(expected[name]), strict=True)
        for b, (got, want) in enumerate(pairs):
            well = ~visible[b][:, :, key] if b == 0 else torch.ones(got.shape[:2], dtype=torch.bool)  # [H, Q]
            assert_near(got[well], want[well], torch.float32, f"{name} of sequence {b}")
    ill = visible[0] & visible[0][:, :, key, None]  # [H, Q, K]: pairs in the rows that see it
    well_keys = ~ill.unflatten(0, (-1, clean.case.group)).any(1).any(1)  # [Hk, K]
    for name in ("key", "value"):
        for b in range(len(visible)):
            got, want = (dirty.by_sequence(x[name], keys=True)[b] for x in (actual, expected))
            well = well_keys if b == 0 else torch.ones(got.shape[:2], dtype=torch.bool)
            assert_near(got[well], want[well], torch.float32, f"{name} of sequence {b}")
    if by in ("key_mask", "bias"):  # hidden from all: nothing at all may change
        for name in actual:
            assert_near(actual[name], expected[name], torch.float32, name)
        for name in ("key", "value"):
            assert (dirty.by_sequence(actual[name], keys=True)[0][:, key] == 0).all()


@named
@pytest.mark.parametrize("normalizer", ["relu", "sigmoid"])
@pytest.mark.parametrize("by", ["window", "causal", "other sequences"])
def test_poison_under_other_normalizers(implementation: str, normalizer: str, by: str) -> None:
    clean, key = _call(by, "dot")
    clean.options["normalizer"] = normalizer
    dirty = clean.to(torch.float32)
    dirty.by_sequence(dirty.leaves["key"], keys=True)[0][:, key] = math.nan
    well = ~clean.visible()[0][:, :, key]
    got, want = (call.by_sequence(call.attend(implementation))[0] for call in (dirty, clean))
    assert_near(got[well], want[well], torch.float32)
    assert got[~well].isnan().all()  # and who sees it, shows it


@named
def test_who_sees_poison_shows_it(implementation: str) -> None:
    clean, key = _call("window", "dot")
    dirty = clean.to(torch.float32)
    dirty.by_sequence(dirty.leaves["value"], keys=True)[0][:, key, 0] = math.inf
    output = dirty.by_sequence(dirty.attend(implementation))[0]  # [H, Q, Dv]
    assert not output[clean.visible()[0][:, :, key]][:, 0].isfinite().any()
    assert output[..., 1:].isfinite().all()


@named
def test_weights_under_poison(implementation: str) -> None:
    clean, key = _call("window", "dot")
    dirty = clean.to(torch.float32)
    dirty.by_sequence(dirty.leaves["key"], keys=True)[0][:, key] = math.nan
    well = ~clean.visible()[0][:, :, key]
    got, want = (call.weights(implementation).values[0] for call in (dirty, clean))
    assert_near(got[well], want[well], torch.float32)


@pytest.mark.parametrize("implementation", ["sdpa", "auto"])
@poisoned
def test_causal_sdpa(implementation: str, poison: float) -> None:
    clean, key = _call("causal", "dot")
    clean = make(replace(clean.case, value_dim=8))
    dirty = clean.to(torch.float32)
    for name in ("key", "value"):
        dirty.leaves[name][0, :, key] = poison
    expected, actual = clean.run(implementation), dirty.run(implementation)
    for name in ("output", "query"):
        assert_near(actual[name][0, :, :key], expected[name][0, :, :key], torch.float32, name)
        assert_near(actual[name][1], expected[name][1], torch.float32, name)
    assert not actual["output"][0, :, key:].isfinite().any()
