"""Which implementation runs a call, and what is said about it."""

from __future__ import annotations

import logging
import runpy
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import regard
from attention.cases import Case, cases, make, refuses
from attention.tolerances import assert_near
from regard import ConfigError, ShapeError, UnsupportedError
from regard.attention import native, triton
from regard.attention.api import IMPLEMENTATIONS

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


@pytest.mark.parametrize("implementation", ["sdpa", "native"])
@given(case=cases())
def test_a_refusal_names_every_reason_and_no_other(implementation: str, case: Case) -> None:
    expected = refuses(implementation, case)
    call = make(case)
    if not any(expected.values()):
        assert call.attend(implementation).shape == call.attend("auto").shape
        return
    with pytest.raises(UnsupportedError) as error:
        call.attend(implementation)
    for reason, holds in expected.items():
        assert (reason in str(error.value)) == holds, reason
        assert not holds or reason in _explain(case)


@given(case=cases())
def test_auto_takes_the_first_that_can(case: Case) -> None:
    preferred = ("sdpa", "native") if case.sides == (None, None) else ("native", "sdpa")  # for all is short
    able = [name for name in preferred if not any(refuses(name, case).values())]
    assert _explain(case).startswith([*able, "blocked"][0])


def test_auto_leaves_short_calls_to_sdpa() -> None:
    short, long = torch.zeros(1, 1, 255, 4), torch.zeros(1, 1, 256, 4)
    ahead = "native, for sdpa is ahead only where everyone sees all, in fewer than 2¹⁶ pairs"
    assert regard.explain(short, short, short) == (
        "sdpa, for everyone sees all, in fewer than 2¹⁶ pairs, and it is started soonest"
    )
    assert regard.explain(long, long, long) == ahead
    assert regard.explain(short, short, short, causal=True) == ahead


ON_A_GPU: dict[str, tuple[dict[str, Any], str]] = {
    "short": (
        {"length": 8},
        "sdpa, for the call has fewer than 2²⁰ pairs, and it is started soonest",
    ),
    "all": ({}, "sdpa, for everyone sees all, where cuDNN is ahead on a GPU"),
    "causal": (
        {"causal": True},
        "triton, for sdpa must first clean keys and values of NaN and Inf in causal calls",
    ),
    "window": ({"window": 9}, "triton, for sdpa cannot: the window is truncated"),
    "ragged": ({"offsets": [0, 5, 4096]}, "triton, for sdpa cannot: the batch is ragged"),
    "dropout": ({"dropout_p": 0.1}, "triton, for sdpa cannot: there is dropout"),
    "relu": ({"normalizer": "relu"}, "triton, for sdpa cannot: the normalizer is relu, not softmax"),
    "wide": (
        {"dim": 320, "window": 9},
        "blocked, for triton cannot: a head of more than 256 channels has no kernel; "
        "and sdpa cannot: the window is truncated",
    ),
    "float64": (
        {"dtype": torch.float64, "normalizer": "relu"},
        "blocked, for triton cannot: float64 has no kernel; and sdpa cannot: the normalizer is relu, not softmax; "
        "float64 has no fused kernel, which would hold every score",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ON_A_GPU)
def test_on_a_gpu_it_is_said_why(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There need be none."""
    monkeypatch.setattr(triton, "AGAINST_TRITON", None)
    options, expected = dict(ON_A_GPU[kind][0]), ON_A_GPU[kind][1]
    length, dim, dtype = (options.pop(name, usual) for name, usual in (("length", 4096), ("dim", 64), ("dtype", None)))
    shape = (length, 2, dim) if "offsets" in options else (1, 2, length, dim)
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(shape, device="cuda", dtype=dtype)
        if "offsets" in options:
            options["offsets"] = torch.tensor(options["offsets"], device="cuda")
        assert regard.explain(x, x, x, **options) == expected


def test_tensors_of_two_devices_are_refused() -> None:
    with FakeTensorMode():
        x = torch.empty(1, 2, 8, 4, device="cuda")
        y = x.cpu()
        with pytest.raises(ShapeError, match=r"on one device; got cuda:0, cpu, cuda:0; use .to\(device\)"):
            regard.attend(x, y, x, implementation="triton")


def test_offsets_may_be_on_the_cpu_beside_a_gpu() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(8, 2, 4, device="cuda")
        output = regard.attend(x, x, x, offsets=torch.tensor([0, 3, 8]))
        assert (output.shape, output.device) == (x.shape, x.device)


def test_what_is_traced_runs_on_pytorchs_own_operators_where_it_can() -> None:
    program = torch.export.export(Plain(), (X,))
    assert "scaled_dot_product_attention" in str(program.graph)


class Plain(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return regard.attend(x, x, x)


def test_an_install_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_kernels", None)
    assert regard.explain(X, X, X, window=2).startswith("blocked, for native cannot: it was not built")
    with pytest.raises(UnsupportedError, match='"native" cannot do this call: it was not built when regard'):
        regard.attend(X, X, X, implementation="native")
    assert regard.attend(X, X, X, window=2).shape == X.shape


def test_kernels_that_cannot_be_imported_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regard.attention.native._kernels", None)
    again = runpy.run_path(str(native.__file__))
    assert not again["is_built"]()
    assert again["refusals_of_inputs"](X, X, X) == [native.NOT_BUILT]


def test_tensors_of_another_device_are_refused() -> None:
    with FakeTensorMode():
        there = torch.empty(1, 2, 8, 4, device="cuda")
    assert "the tensors are on cuda, not the CPU" in native.refusals_of_inputs(there, there, there)


@pytest.mark.parametrize("name", ["avx1024", ""])
def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("REGARD_ISA", name)
    with pytest.raises(ConfigError, match=f"REGARD_ISA must be one of baseline.* got '{name}'"):
        regard.attend(X, X, X, implementation="native")


@pytest.mark.parametrize("scale", [0.0, -0.5])
def test_auto_keeps_away_from_what_sdpa_gets_wrong(scale: float) -> None:
    call = make(replace(PLAIN, causal=True, scale=scale))
    exact = call.to(torch.float64).run("reference")
    for name, actual in call.run("auto").items():
        assert_near(actual, exact[name], torch.float32, name)


def test_an_unknown_implementation_is_refused() -> None:
    for call in (lambda: regard.attend(X, X, X, implementation="flash"), lambda: _weights(X, implementation="flash")):
        with pytest.raises(ConfigError, match="must be one of auto, reference, blocked, sdpa, ") as error:
            call()
        assert "'flash'" in str(error.value)


def test_sdpa_has_no_weights_to_show() -> None:
    with pytest.raises(UnsupportedError, match='"sdpa" cannot give weights'):
        _weights(X, implementation="sdpa")


def test_native_weights_are_refused_as_its_output_is() -> None:
    with pytest.raises(UnsupportedError, match='"native" cannot do this call: float64 has no kernel'):
        _weights(X.double(), implementation="native")


def _weights(x: Tensor, **options: Any) -> regard.AttentionWeights:
    return regard.attention_weights(x, x, **options)


@pytest.mark.parametrize("window", [None, 2])
def test_the_log_says_what_auto_took_and_why(caplog: pytest.LogCaptureFixture, window: int | None) -> None:
    with caplog.at_level(logging.DEBUG, "regard"):
        regard.attend(X, X, X, window=window)
    assert regard.explain(X, X, X, window=window) in caplog.text
    with caplog.at_level(logging.DEBUG, "regard"):
        regard.attend(X.double(), X.double(), X.double(), window=window)
    explained = regard.explain(X.double(), X.double(), X.double(), window=window)
    assert explained in caplog.text
    assert "float64 has no kernel" in explained
    assert ("window is truncated" in explained) == bool(window)


def test_nothing_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "regard"):
        regard.attend(X, X, X, window=2)
    assert caplog.text == ""


def test_the_names_stand_in_one_place() -> None:
    assert tuple(IMPLEMENTATIONS) == ("reference", "blocked", "sdpa", "triton", "native")
