"""What `GridWeights` tells, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

import regard


@pytest.mark.parametrize("implementation", ["reference", "blocked"])
def test_a_window_of_equal_weights(implementation: str) -> None:
    x = torch.zeros(1, 1, 12, 2)
    weights = regard.attention_weights2d(x, x, size=(3, 4), window=(1, 0, 0, 1), implementation=implementation)
    assert weights.values.shape == (1, 1, 12, 4)
    assert weights.row((1, 1)).tolist() == [[[0, 0.25, 0.25, 0], [0, 0.25, 0.25, 0], [0, 0, 0, 0]]]
    assert torch.equal(weights.row(5), weights.row((1, 1)))
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
    assert not regard.attention_weights2d(x[:0], x[:0], size=[], offsets=torch.tensor([0])).dense()


def test_without_limits_it_is_attention() -> None:
    x = torch.randn(2, 2, 12, 4)
    expected = regard.attention_weights(x, x).dense()
    torch.testing.assert_close(regard.attention_weights2d(x, x, size=(3, 4)).dense(), expected)
    torch.testing.assert_close(regard.attend2d(x, x, x, size=(3, 4)), regard.attend(x, x, x))
