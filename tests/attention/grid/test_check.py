"""What does not fit is refused by name, with what was found and what to do."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

import regard
from regard import ConfigError, GridBias, RelativeBias, ShapeError
from regard.attention.grid.spec import BORDERS

X = torch.zeros(1, 2, 12, 4)
T = torch.zeros(12, 2, 4)
OFFSETS = torch.tensor([0, 8, 12])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 12}, r"size must be \(rows, columns\) of every image, got 12"),
        ({"size": (3, -4)}, r"size must be \(rows, columns\) of every image, got \(3, -4\)"),
        ({"size": (3, 5)}, r"must have rows · columns = 3 · 5 = 15 pixels, got 12 and 12"),
        ({"bias": torch.zeros(12, 11)}, r"bias must be broadcastable to .* \[1, 2, 12, 12\], got \[12, 11\]"),
        (
            {"bias": torch.zeros(1, 1, dtype=torch.int64)},
            "bias must be floating-point .* or a GridBias; got torch.int64",
        ),
        ({"bias": RelativeBias(torch.zeros(2, 3))}, "bias must be .* or a GridBias; got RelativeBias"),
        (
            {"bias": GridBias(torch.zeros(3, 3), torch.zeros(2, 3))},
            "GridBias rows must have one row per head .* 2; got 3",
        ),
        ({"bias": GridBias(torch.zeros(2, 3), torch.zeros(2, 3).long())}, "GridBias columns must be floating-point"),
    ],
)
def test_shapes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        regard.attend2d(X, X, X, **{"size": (3, 4)} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": [(2, 4)]}, r"size must be int64 of shape \[B, 2\] = \[2, 2\], .* got torch.int64 of shape \[1, 2\]"),
        ({"size": torch.zeros(2, 2)}, r"size must be int64 of shape .* got torch.float32"),
        ({"size": [(2, 4), 4]}, r"size must be \[B, 2\] or a list of \(rows, columns\), one for each image, got"),
        ({"size": [(2, 4), (2, 3)]}, r"size\[1\] must be .* of the 4 pixels .* image 1, got \(2, 3\), which are 6"),
        ({"size": [(2, 4), (-2, -2)]}, r"size\[1\] must be .* got \(-2, -2\)"),
        ({"size": [(2, 4), (2, 2)], "bias": torch.zeros(1)}, "for ragged batches pass a regard.GridBias"),
        ({"size": torch.zeros(2, 2, dtype=torch.int64, device="meta")}, "size must hold numbers, .* make it on cpu"),
        ({"size": [(2, 4), (2, 2)], "offsets": [0, 8, 12]}, "offsets must be a tensor, got list; make one with"),
    ],
)
@pytest.mark.parametrize("implementation", ["reference", "blocked", "auto"])
def test_ragged_shapes(options: dict[str, Any], message: str, implementation: str) -> None:
    with pytest.raises(ShapeError, match=message):
        regard.attend2d(T, T, T, implementation=implementation, **{"offsets": OFFSETS} | options)


def test_query_and_key_are_of_the_same_images() -> None:
    with pytest.raises(ShapeError, match=r"must have the same pixels, got 12 and 11 rows; .* key_offsets"):
        regard.attend2d(T, T[:11], T[:11], size=[(2, 4), (2, 2)], offsets=OFFSETS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({"window": window}, r"window must be None, a whole number from 0, .*\(up, down, left, right\).* got")
            for window in (-1, 1.5, (1, 2, 3), (1, -2), (1, 2, 3, "4"), True)
        ),
        *(({"dilation": d}, "dilation must be a whole number from 1, .* got") for d in (0, 1.5, (1, 2, 3), (1, 0))),
        ({"border": "reflect"}, "border must be one of zero, shift; got 'reflect'"),
        ({"border": "shift", "window": (1, None, 1, 1)}, "along an axis the window must have both limits or none"),
        ({"normalizer": "max"}, "normalizer must be one of softmax, relu, sigmoid; got 'max'"),
        ({"implementation": "sdpa"}, "implementation must be one of auto, reference, blocked, native; got 'sdpa'"),
    ],
)
def test_choices(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        regard.attend2d(X, X, X, size=(3, 4), **options)


@pytest.mark.parametrize("implementation", ["reference", "blocked", "auto"])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("window", [sys.maxsize, (1 << 62, 1 << 70)])
def test_a_window_further_than_any_image_sees_all(implementation: str, border: str, window: Any) -> None:
    x = torch.randn(1, 2, 12, 4)
    options: dict[str, Any] = {"size": (3, 4), "border": border, "implementation": implementation}
    torch.testing.assert_close(regard.attend2d(x, x, x, window=window, **options), regard.attend(x, x, x))


@pytest.mark.parametrize("implementation", ["reference", "blocked", "native"])
@pytest.mark.parametrize("dilation", [5, sys.maxsize, 1 << 70])
def test_a_dilation_beyond_the_image_sees_the_pixel_alone(implementation: str, dilation: int) -> None:
    x, bias = torch.randn(1, 2, 20, 4), GridBias(torch.randn(2, 3), torch.randn(2, 3))
    options: dict[str, Any] = {"size": (2, 10), "window": 1, "implementation": implementation, "bias": bias}
    torch.testing.assert_close(regard.attend2d(x, x, x, dilation=(dilation, dilation + 5), **options), x)


@pytest.mark.parametrize("implementation", ["reference", "blocked", "native"])
def test_numbers_of_numpy_and_int32_are_taken(implementation: str) -> None:
    x, rows, columns = torch.randn(12, 2, 4), torch.randn(2, 4), torch.randn(2, 3)

    def attend(size: Any, offsets: torch.Tensor, up: Any, **options: Any) -> torch.Tensor:
        bias = GridBias(rows, columns, up=up)
        return regard.attend2d(x, x, x, size=size, offsets=offsets, bias=bias, implementation=implementation, **options)

    expected = attend(torch.tensor([(2, 4), (2, 2)]), OFFSETS, 2, window=(2, 1), dilation=(1, 2), scale=0.5)
    for window in ((np.int64(2), np.uint8(1)), [2, 2, 1, np.int32(1)], list(np.array([2, 1]))):
        options = {"window": window, "dilation": (1, np.int64(2)), "scale": np.float32(0.5)}
        sizes = [(np.int64(2), 4), [2, np.int32(2)]]
        assert torch.equal(attend(sizes, OFFSETS, np.int64(2), **options), expected)
    narrow = torch.tensor([(2, 4), (2, 2)], dtype=torch.int32), OFFSETS.int()
    assert torch.equal(attend(*narrow, 2, window=(2, 1), dilation=(1, 2), scale=0.5), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3), torch.zeros(2, 3)), r"GridBias rows must be a tensor of shape \[H, up\+down\+1\], got \[3\]"),
        ((torch.zeros(2, 3), None), r"GridBias columns must be a tensor of shape \[H, left\+right\+1\], got NoneType"),
        ((torch.zeros(2, 4), torch.zeros(2, 3)), "GridBias rows: an even width, 4, has no middle; say with up="),
        (
            (torch.zeros(2, 3), torch.zeros(2, 3), 1, 3),
            "GridBias columns: left must be a whole number from 0 to 2 .* got 3",
        ),
    ],
)
def test_tables(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        GridBias(*arguments)


def test_weights() -> None:
    weights = regard.attention_weights2d(X, X, size=(3, 4))
    with pytest.raises(ShapeError, match="query must be one of the 3 · 4 pixels of image 0, got 12"):
        weights.row(12)
    with pytest.raises(ShapeError, match="image must be one of the batch's 1, got 1"):
        weights.row(0, image=1)
