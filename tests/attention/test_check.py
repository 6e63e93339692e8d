"""Arguments that do not fit are refused by name, with the rule, what was given, and what to do."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import regard
from regard import Additive, ConfigError, RelativeBias, ShapeError
from regard.errors import RegardError


def dense(B: int = 2, H: int = 4, N: int = 5, D: int = 3, **options: Any) -> Tensor:
    return torch.zeros(B, H, N, D, **options)


def offsets(*numbers: int, dtype: torch.dtype = torch.int64) -> Tensor:
    return torch.tensor(numbers, dtype=dtype)


Q = dense()
R = torch.zeros(6, 4, 3)  # ragged


def refused(
    kind: type[RegardError], *parts: str, query: Any = Q, key: Any = None, value: Any = None, **options: Any
) -> Any:
    """One case: the error and what its message must hold; key and value are query where they are not given."""
    key = query if key is None else key
    value = key if value is None else value
    return pytest.param(kind, parts, (query, key, value), options, id=f"{parts[0]}: {parts[-1]}"[:70])


SHAPES = [
    refused(ShapeError, "[B, H, N, D]", "ragged batches [T, H, D] pass offsets", "query [6, 4, 3]", query=R),
    refused(ShapeError, "[T, H, D] with offsets", "query [2, 4, 5, 3]", offsets=offsets(0, 5)),
    refused(ShapeError, "must have shape", "key [4, 5, 3]", key=dense()[0]),
    refused(ShapeError, "must share one of float32, float64", "torch.float64", ".to(dtype)", key=dense().double()),
    refused(ShapeError, "must share one of float32", "torch.int64", query=dense().long()),
    refused(ShapeError, "one device", "meta", ".to(device)", value=dense(device="meta")),
    refused(ShapeError, "the same last axis D", "query [2, 4, 5, 3], key [2, 4, 5, 2]", key=dense(D=2)),
    refused(ShapeError, "the same last axis D, at least 1", "[2, 4, 5, 0]", query=dense(D=0)),
    refused(ShapeError, "key and value must agree in all axes but the last", "value [2, 4, 6, 3]", value=dense(N=6)),
    refused(ShapeError, "the same number of sequences B", "key [1, 4, 5, 3]", key=dense(B=1)),
    refused(ShapeError, "heads of key must divide those of query", "3 and 4", key=dense(H=3)),
    refused(ShapeError, "heads of key must divide those of query", "0 and 4", key=dense(H=0)),
    refused(ShapeError, "heads of key must divide those of query", "8 and 4", key=dense(H=8)),
]

OFFSETS = [
    refused(ShapeError, "key_offsets needs offsets", "pass both", key_offsets=offsets(0, 5)),
    refused(
        ShapeError, "offsets must be int64 of shape [B+1]", "torch.float32", query=R, offsets=offsets(0, 6).float()
    ),
    refused(ShapeError, "offsets must be int64 of shape [B+1]", "[1, 2]", query=R, offsets=offsets(0, 6)[None]),
    refused(ShapeError, "offsets must be int64", "[0]", "regard.Ragged", query=R, offsets=offsets()),
    refused(
        ShapeError,
        "key_offsets must be int64",
        "torch.bool",
        query=R,
        offsets=offsets(0, 6),
        key_offsets=offsets(0, 1).bool(),
    ),
    refused(
        ShapeError,
        "as many entries as offsets",
        "3 and 2",
        query=R,
        offsets=offsets(0, 6),
        key_offsets=offsets(0, 2, 6),
    ),
    refused(ShapeError, "6 rows and key 5", "key_offsets", query=R, key=R[:5], offsets=offsets(0, 6)),
    refused(ShapeError, "offsets must run from 0 to the 6 rows of query", "0 to 5", query=R, offsets=offsets(0, 5)),
    refused(ShapeError, "offsets must run from 0 to the 6 rows of query", "1 to 6", query=R, offsets=offsets(1, 6)),
    refused(ShapeError, "offsets must run from 0 to the 6 rows of query", "0 to 0", query=R, offsets=offsets(0)),
    refused(ShapeError, "offsets must hold numbers", "on cpu", query=R, offsets=offsets(0, 6).to("meta")),
    refused(
        ShapeError,
        "key_offsets must hold numbers",
        "meta",
        query=R,
        offsets=offsets(0, 6),
        key_offsets=offsets(0, 6).to("meta"),
    ),
    refused(ShapeError, "offsets must never fall", "4 then 2 at sequence 1", query=R, offsets=offsets(0, 4, 2, 6)),
    refused(
        ShapeError,
        "key_offsets must run from 0 to the 4 rows of key",
        "0 to 6",
        query=R,
        key=R[:4],
        offsets=offsets(0, 6),
        key_offsets=offsets(0, 6),
    ),
]

CHOICES = [
    refused(ShapeError, "Additive weight must have shape [H, D] = [4, 3]", "[3]", score=Additive(torch.zeros(3))),
    refused(ShapeError, "Additive weight must be on cpu", "meta", score=Additive(torch.zeros(4, 3, device="meta"))),
    refused(ConfigError, "scale must be None with an Additive", "0.5", score=Additive(torch.zeros(4, 3)), scale=0.5),
    refused(ConfigError, 'score must be "dot" or regard.Additive', "'cosine'", score="cosine"),
    refused(ConfigError, "normalizer must be one of softmax, relu, sigmoid", "'tanh'", normalizer="tanh"),
    refused(ConfigError, "scale must be a finite number", "1/sqrt(D)", "inf", scale=math.inf),
    refused(ConfigError, "scale must be a finite number", "'large'", scale="large"),
    refused(ConfigError, "dropout_p must be a probability", "below 1", "1.0", dropout_p=1.0),
    refused(ConfigError, "dropout_p must be a probability", "-0.1", dropout_p=-0.1),
    refused(ConfigError, "dropout_p must be a probability", "nan", dropout_p=math.nan),
    *[
        refused(
            ConfigError, "window must be None, a whole number from 0, or (left, right)", repr(window), window=window
        )
        for window in (-1, 1.5, True, (1, -2), (1, 2, 3), "8", (None, "8"), np.int64(-1), np.float64(2))
    ],
    refused(ConfigError, "query_start must be a whole number from 0", "-1", query_start=-1),
    refused(ConfigError, "query_start must be a whole number from 0", "2.0", query_start=2.0),
]

MASK = torch.ones(2, 5, dtype=torch.bool)
MASKS = [
    refused(
        ShapeError,
        "key_mask goes with the dense layout",
        "drop the rows",
        query=R,
        offsets=offsets(0, 6),
        key_mask=MASK,
    ),
    refused(ShapeError, "key_mask must be bool of shape [B, K] = [2, 5]", "True where", "[2, 4]", key_mask=MASK[:, :4]),
    refused(ShapeError, "key_mask must be bool", "torch.float32", key_mask=MASK.float()),
    refused(ShapeError, "key_mask must be on cpu", "meta", key_mask=MASK.to("meta")),
    refused(ShapeError, "bias must be floating-point", "torch.int64", bias=torch.zeros(5, 5, dtype=torch.int64)),
    refused(ShapeError, "bias must be floating-point on cpu", "meta", bias=torch.zeros(5, 5, device="meta")),
    refused(ShapeError, "bias must be floating-point", "RelativeBias", "list", bias=[0.0]),
    refused(ShapeError, "one row per head", "4", "got 3", bias=RelativeBias(torch.zeros(3, 5))),
    refused(
        ShapeError, "a bias tensor goes with the dense layout", query=R, offsets=offsets(0, 6), bias=torch.zeros(6, 6)
    ),
    refused(ShapeError, "broadcastable to [B, H, Q, K] = [2, 4, 5, 5]", "[4, 5]", bias=torch.zeros(4, 5)),
    refused(ShapeError, "broadcastable to [B, H, Q, K]", "[1, 1, 1, 1, 1]", bias=torch.zeros(1, 1, 1, 1, 1)),
]


@pytest.mark.parametrize(("kind", "parts", "inputs", "options"), [*SHAPES, *OFFSETS, *CHOICES, *MASKS])
@pytest.mark.parametrize("implementation", ["reference", "blocked", "native", "auto"])
def test_refused(
    implementation: str,
    kind: type[RegardError],
    parts: tuple[str, ...],
    inputs: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    with pytest.raises(kind) as error:
        regard.attend(*inputs, implementation=implementation, **options)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("call", [regard.attention_weights, regard.explain])
def test_the_other_calls_refuse_the_same(call: Any) -> None:
    with pytest.raises(ConfigError, match="normalizer must be one of"):
        call(*[Q] * (3 if call is regard.explain else 2), normalizer="tanh")
    with pytest.raises(ShapeError, match="must have shape"):
        call(*[R] * (3 if call is regard.explain else 2))


@pytest.mark.parametrize("name", ["query", "key", "value"])
@pytest.mark.parametrize("given", [np.zeros((2, 4, 5, 3)), [[0.0]], None], ids=["array", "list", "None"])
def test_what_is_no_tensor_is_refused(name: str, given: Any) -> None:
    with pytest.raises(ShapeError, match=f"{name} must be a tensor, got {type(given).__name__}"):
        regard.attend(**({"query": Q, "key": Q, "value": Q} | {name: given}))


@pytest.mark.parametrize("name", ["offsets", "key_offsets", "key_mask", "Additive weight"])
@pytest.mark.parametrize("given", [[0, 6], np.array([0, 6])], ids=["list", "array"])
def test_an_option_that_is_no_tensor_is_refused(name: str, given: Any) -> None:
    wrong: Any = given
    query, options = {
        "offsets": (R, {"offsets": wrong}),
        "key_offsets": (R, {"offsets": offsets(0, 6), "key_offsets": wrong}),
        "key_mask": (Q, {"key_mask": wrong}),
        "Additive weight": (Q, {"score": Additive(wrong)}),
    }[name]
    with pytest.raises(ShapeError, match=f"{name} must be a tensor, got {type(given).__name__}; make one with"):
        regard.attend(query, query, query, **options)


@pytest.mark.parametrize(
    ("table", "left", "message"),
    [
        (torch.zeros(4), None, r"must be a tensor of shape \[H, left\+right\+1\], got \[4\]"),
        (torch.zeros(4, 0), None, r"must be a tensor of shape \[H, left\+right\+1\], got \[4, 0\]"),
        (torch.zeros(4, 6), None, "an even width, 6, has no middle; say with left="),
        (torch.zeros(4, 5), 5, "left must be a whole number from 0 to 4 for a table of 5, got 5"),
        (torch.zeros(4, 5), -1, "left must be a whole number from 0 to 4 for a table of 5, got -1"),
        ([[0.0]], None, r"must be a tensor of shape \[H, left\+right\+1\], got list"),
        (torch.zeros(4, 5), 1.0, "left must be a whole number from 0 to 4 for a table of 5, got 1.0"),
        (torch.zeros(4, 5), True, "left must be a whole number from 0 to 4 for a table of 5, got True"),
        (torch.zeros(4, 5), "2", "left must be a whole number from 0 to 4 for a table of 5, got '2'"),
        (torch.tensor(0.0), None, r"must be a tensor of shape \[H, left\+right\+1\], got \[\]"),
    ],
)
def test_relative_bias_refuses(table: Any, left: int | None, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        RelativeBias(table, left)


def test_relative_bias_reach() -> None:
    assert RelativeBias(torch.zeros(2, 7)).reach == (3, 3)
    assert RelativeBias(torch.zeros(2, 7), left=0).reach == (0, 6)
    assert RelativeBias(torch.zeros(2, 1)).reach == (0, 0)


@pytest.mark.parametrize("window", [3, (3, 3), [3, 3], (3, None), (None, 0), (None, None), 0])
def test_windows_that_are_taken(window: Any) -> None:
    assert regard.attend(Q, Q, Q, window=window).shape == Q.shape


@pytest.mark.parametrize("implementation", ["reference", "blocked", "native"])
@pytest.mark.parametrize("window", [sys.maxsize, (1 << 62, 1 << 70)])
def test_a_window_further_than_any_sequence_sees_all(implementation: str, window: Any) -> None:
    x = torch.randn(1, 2, 5, 3)
    actual = regard.attend(x, x, x, window=window, implementation=implementation)
    torch.testing.assert_close(actual, regard.attend(x, x, x))


@pytest.mark.parametrize("implementation", ["reference", "blocked", "native"])
def test_numbers_of_numpy_are_taken(implementation: str) -> None:
    x, table = torch.randn(2, 4, 5, 3), torch.randn(4, 5)
    options: dict[str, Any] = {"implementation": implementation, "dropout_p": 0.0, "scale": 0.5}
    expected = regard.attend(x, x, x, window=(2, 1), query_start=1, bias=RelativeBias(table, 1), **options)
    options |= {"dropout_p": np.float64(0), "scale": np.float32(0.5), "query_start": np.int64(1)}
    for window in ((np.int64(2), np.uint8(1)), (np.int32(2), 1), list(np.array([2, 1]))):
        bias: Any = RelativeBias(table, np.int64(1))  # type: ignore[arg-type]
        given: Any = window
        assert torch.equal(regard.attend(x, x, x, window=given, bias=bias, **options), expected)
    one: Any = np.int64(1)
    both = regard.attend(x, x, x, window=1, implementation=implementation)
    assert torch.equal(regard.attend(x, x, x, window=one, implementation=implementation), both)
    assert regard.attention_weights(x, x, window=one, implementation=implementation).values.shape[-1] == 3


def test_int32_offsets_are_taken() -> None:
    wide, narrow = (offsets(0, 2, 6, dtype=dtype) for dtype in (torch.int64, torch.int32))
    x = torch.randn(6, 4, 3)
    assert torch.equal(regard.attend(x, x, x, offsets=narrow), regard.attend(x, x, x, offsets=wide))
    far, exact = (regard.attention_weights(x, x, offsets=o, window=1).distance() for o in (narrow, wide))
    assert torch.equal(far, exact)
