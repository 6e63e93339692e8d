"""What `GridWeights` tells, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import regard
from regard import ShapeError


@pytest.mark.parametrize("implementation", ["reference", "blocked"])
def test_a_window_of_equal_weights(implementation: str) -> None:
    x = torch.zeros(1, 1, 12, 2)
    weights = regard.attention_weights2d(x, x, size=(3, 4), window=(1, 0, 0, 1), implementation=implementation)
    assert weights.values.shape == (1, 1, 12, 4)
    assert weights.row((1, 1)).tolist() == [[[0, 0.25, 0.25, 0], [0, 0.25, 0.25, 0], [0, 0, 0, 0]]]
    for pixel in (5, -7, np.int64(5), (-2, 1), (np.int64(1), -3)):
        assert torch.equal(weights.row(pixel), weights.row((1, 1)))
    assert weights.values[0, 0, 0].tolist() == [0, 0, 0.5, 0.5]  # the row above is not there
    assert weights.entropy()[0, 0, 5] == pytest.approx(math.log(4))
    assert weights.distance()[0, 0, 5] == pytest.approx((1 + 1 + math.sqrt(2)) / 4)


@pytest.mark.parametrize("implementation", ["reference", "blocked"])
def test_images_of_several_sizes(implementation: str) -> None:
    x = torch.zeros(9, 1, 2)
    offsets, size = torch.tensor([0, 6, 6, 9]), [(2, 3), (0, 5), (3, 1)]
    weights = regard.attention_weights2d(
        x, x, size=size, offsets=offsets, window=1, dilation=2, border="shift", implementation=implementation
    )
    assert [tuple(part.shape) for part in weights.dense()] == [(1, 6, 6), (1, 0, 0), (1, 3, 3)]
    assert weights.row((1, 0)).tolist() == [[[0, 0, 0], [0.5, 0, 0.5]]]
    assert weights.row((2, 0), image=2).tolist() == [[[0.5], [0], [0.5]]]
    assert weights.distance()[:, 0].tolist() == [1, 0, 1, 1, 0, 1, 1, 0, 1]
    assert weights.top(5)[0][4, 0].tolist() == [1, 0, 0, 0, 0]
    assert weights.top(5)[1][4, 0].tolist() == [4, -1, -1, -1, -1]
    assert sorted(weights.top(2)[1][6, 0].tolist()) == [0, 2]


def test_without_limits_it_is_attention() -> None:
    x = torch.randn(2, 2, 12, 4)
    expected = regard.attention_weights(x, x).dense()
    torch.testing.assert_close(regard.attention_weights2d(x, x, size=(3, 4)).dense(), expected)
    torch.testing.assert_close(regard.attend2d(x, x, x, size=(3, 4)), regard.attend(x, x, x))


def test_top_is_that_of_all_pairs() -> None:
    for size, options in (((3, 5), {}), ((3, 5), {"window": (1, 2), "dilation": 2, "border": "shift"})):
        x = torch.randn(2, 2, 15, 4)
        weights = regard.attention_weights2d(x, x, size=size, **options)
        expected, places = weights.dense().topk(3)
        assert torch.equal(weights.top(3)[0], expected)
        assert torch.equal(weights.top(3)[1][expected > 0], places[expected > 0])
    x = torch.randn(15, 2, 4)
    sizes, offsets = [(2, 3), (0, 5), (3, 3)], torch.tensor([0, 6, 6, 15])
    weights = regard.attention_weights2d(x, x, size=sizes, offsets=offsets, window=1)
    expected, places = weights.dense()[2].transpose(0, 1).topk(4)
    assert torch.equal(weights.top(4)[0][6:], expected)
    assert torch.equal(weights.top(4)[1][6:], places)
    with pytest.raises(ShapeError, match="k must be at least 1, got 0"):
        weights.top(0)


def test_a_pixel_that_is_not_there_is_refused() -> None:
    x = torch.zeros(1, 1, 12, 2)
    weights = regard.attention_weights2d(x, x, size=(3, 4))
    for pixel in ((3, 0), (0, -5), 12, (1,), (1, 0.5), (True, 0), "one"):
        with pytest.raises(ShapeError, match="query must be"):
            weights.row(pixel)


@pytest.mark.parametrize("implementation", ["reference", "blocked"])
def test_batches_with_nothing_in_them(implementation: str) -> None:
    x, none = torch.zeros(0, 2, 12, 4), torch.zeros(0, 2, 4)
    dense = regard.attention_weights2d(x, x, size=(3, 4), window=1, implementation=implementation)
    assert dense.dense().shape == (0, 2, 12, 12)
    ragged = regard.attention_weights2d(
        none, none, size=[(0, 3)], offsets=torch.tensor([0, 0]), window=1, implementation=implementation
    )
    assert [tuple(part.shape) for part in ragged.dense()] == [(2, 0, 0)]
    for weights, shape in ((dense, (0, 2, 12)), (ragged, (0, 2))):
        assert weights.entropy().shape == weights.distance().shape == shape
        assert weights.top(3)[0].shape == weights.top(3)[1].shape == (*shape, 3)
    assert not regard.attention_weights2d(none, none, size=[], offsets=torch.tensor([0])).dense()
