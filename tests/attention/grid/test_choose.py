"""Which implementation runs a call over images, and what is said about it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

import regard
from regard import GridBias, UnsupportedError
from regard.attention import native as kernels
from regard.attention.grid import native
from regard.attention.grid.implementations import IMPLEMENTATIONS

X = torch.zeros(1, 2, 12, 4)
BIAS = GridBias(torch.zeros(2, 3), torch.zeros(2, 3))
HIDING = GridBias(torch.full((2, 3), -torch.inf), torch.zeros(2, 3))
ADDITIVE = regard.Additive(torch.zeros(2, 4))
# Why `native` cannot do a call, by the options that make it so.
REASONS: dict[str, dict[str, Any]] = {
    "the score is additive": {"score": ADDITIVE, "window": 1},
    "there is a bias tensor": {"bias": torch.zeros(1), "window": 1},
    "there is dropout": {"dropout_p": 0.5, "window": 1},
    "a side of the window has no limit": {"window": (1, None)},
    "the window holds more than 4096 keys": {"window": 40},
    'the border is "shift"': {"border": "shift", "window": 1},
}
built = pytest.mark.skipif(not kernels.is_built(), reason=kernels.NOT_BUILT)


def _explain(x: torch.Tensor = X, **options: Any) -> str:
    return regard.explain2d(x, x, x, size=(3, 4), **options)


@built
@pytest.mark.parametrize("reason", REASONS)
def test_native_says_why_not_and_auto_takes_another(reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        regard.attend2d(X, X, X, size=(3, 4), implementation="native", **REASONS[reason])
    assert _explain(**REASONS[reason]) == f"blocked, for native cannot: {reason}"
    assert regard.attend2d(X, X, X, size=(3, 4), **REASONS[reason]).shape == X.shape


@built
def test_native_tells_every_reason() -> None:
    told = "float64 has no kernel; the score is additive"
    with pytest.raises(UnsupportedError, match=f'"native" cannot do this call: {told}; use "auto"'):
        regard.attend2d(*[X.double()] * 3, size=(3, 4), window=1, score=ADDITIVE, implementation="native")
    assert _explain(X.double(), window=1, score=ADDITIVE) == f"blocked, for native cannot: {told}"
    half = X.bfloat16()
    with pytest.raises(UnsupportedError, match="query heads share keys whose gradients would be summed in"):
        regard.attend2d(half, half[:, :1], half[:, :1], size=(3, 4), window=1, implementation="native")


@built
def test_what_auto_takes() -> None:
    assert _explain() == _explain(window=1) == _explain(window=1, bias=BIAS) == "native"
    assert _explain(bias=BIAS) == "native, with the tables of the bias as more elements of query and key"
    assert _explain(bias=HIDING) == "blocked, for native cannot: a side of the window has no limit"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert regard.explain2d(X, X.half(), X, size=(3, 4), window=1) == "native"


@pytest.mark.parametrize("options", [{"window": 1}, {"bias": BIAS}, {"border": "shift", "window": 1}])
def test_the_log_says_what_auto_took_and_why(caplog: pytest.LogCaptureFixture, options: dict[str, Any]) -> None:
    regard.attend2d(X, X, X, size=(3, 4), **options)
    assert caplog.text == ""
    with caplog.at_level(logging.DEBUG, "regard"):
        regard.attend2d(X, X, X, size=(3, 4), **options)
    assert caplog.messages == [f"attend2d [1, 2, 12, 4]: {_explain(**options)}"]


def test_an_install_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", None)
    for options in ({}, {"window": 1}, {"bias": BIAS}):
        assert _explain(**options).startswith("blocked, for native cannot: it was not built")
        with pytest.raises(UnsupportedError, match='"native" cannot do this call: it was not built when regard'):
            regard.attend2d(X, X, X, size=(3, 4), implementation="native", **options)
        assert regard.attend2d(X, X, X, size=(3, 4), **options).shape == X.shape


def test_native_has_no_weights_to_show() -> None:
    with pytest.raises(UnsupportedError, match=r'"native" cannot give weights: .* use "blocked"'):
        regard.attention_weights2d(X, X, size=(3, 4), implementation="native")


def test_the_names_stand_in_one_place() -> None:
    assert tuple(IMPLEMENTATIONS) == ("reference", "blocked", "native")
    assert native.MOST == 4096
