"""Which implementation runs a call, and what is said about it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor

import regard
from regard import ConfigError, UnsupportedError
from regard.attention.api import IMPLEMENTATIONS

from .cases import Case, cases, make, refuses
from .tolerances import assert_near

X = torch.zeros(1, 2, 8, 4)
PLAIN = Case(dtype=torch.float32)
ANOTHER = {
    "the score is additive": replace(PLAIN, score="additive"),
    "the normalizer is relu": replace(PLAIN, normalizer="relu"),
    "the window is truncated": replace(PLAIN, window=3),
    "the batch is ragged": replace(PLAIN, ragged=True),
    "there is a key_mask": replace(PLAIN, key_mask=True),
    "there is a bias": replace(PLAIN, bias=(True, True, True, True)),
    "there is dropout": replace(PLAIN, dropout_p=0.5),
    "float64 has no fused kernel": replace(PLAIN, dtype=torch.float64),
    "value's last axis differs from key's": replace(PLAIN, value_dim=3),
    "there are no queries or no keys": replace(PLAIN, lengths=((4, 0),)),
    "scale": replace(PLAIN, causal=True, scale=-1.0),
}


def _explain(case: Case) -> str:
    call = make(case)
    query, key, value = (call.leaves[name] for name in ("query", "key", "value"))
    return regard.explain(query, key, value, **call.arguments(call.leaves))


@pytest.mark.parametrize("reason", ANOTHER)
def test_sdpa_says_why_not(reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason) as error:
        make(ANOTHER[reason]).attend("sdpa")
    assert 'implementation "sdpa" cannot' in str(error.value)
    assert 'use "auto"' in str(error.value)
    assert reason in _explain(ANOTHER[reason])


@given(case=cases())
def test_a_refusal_names_every_reason_and_no_other(case: Case) -> None:
    expected = refuses("sdpa", case)
    call = make(case)
    if not any(expected.values()):
        assert call.attend("sdpa").shape == call.attend("auto").shape
        assert _explain(case).startswith("sdpa")
        return
    with pytest.raises(UnsupportedError) as error:
        call.attend("sdpa")
    for reason, holds in expected.items():
        assert (reason in str(error.value)) == holds, reason
        assert (reason in _explain(case)) == holds, reason
    assert _explain(case).startswith("blocked")


@pytest.mark.parametrize("scale", [0.0, -0.5])
def test_auto_keeps_away_from_what_sdpa_gets_wrong(scale: float) -> None:
    call = make(replace(PLAIN, causal=True, scale=scale))
    exact = call.to(torch.float64).run("reference")
    for name, actual in call.run("auto").items():
        assert_near(actual, exact[name], torch.float32, name)


def test_an_unknown_implementation_is_refused() -> None:
    for call in (lambda: regard.attend(X, X, X, implementation="flash"), lambda: _weights(X, implementation="flash")):
        with pytest.raises(ConfigError, match="implementation must be one of auto, reference, blocked, sdpa") as error:
            call()
        assert "'flash'" in str(error.value)


def test_sdpa_has_no_weights_to_show() -> None:
    with pytest.raises(UnsupportedError, match='"sdpa" cannot give weights'):
        _weights(X, implementation="sdpa")


def _weights(x: Tensor, **options: Any) -> regard.AttentionWeights:
    return regard.attention_weights(x, x, **options)


@pytest.mark.parametrize("window", [None, 2])
def test_the_log_says_what_auto_took_and_why(caplog: pytest.LogCaptureFixture, window: int | None) -> None:
    with caplog.at_level(logging.DEBUG, "regard"):
        regard.attend(X, X, X, window=window)
    explained = regard.explain(X, X, X, window=window)
    assert explained in caplog.text
    assert ("blocked" in explained, "window is truncated" in explained) == ((True, True) if window else (False, False))


def test_nothing_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "regard"):
        regard.attend(X, X, X, window=2)
    assert caplog.text == ""


def test_the_names_stand_in_one_place() -> None:
    assert IMPLEMENTATIONS[:3] == ("reference", "blocked", "sdpa")
