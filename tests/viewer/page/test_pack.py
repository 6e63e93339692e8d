"""Weights as bytes: read back, pooled and shrunk, against plain NumPy over every pair."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import AttentionWeights, attention_weights
from regard.viewer.page.pack import ROWS, Packed, pooled


def weights_of(queries, keys=None, *, window=None, heads=2, seed=0, start=0):
    generator = torch.Generator().manual_seed(seed)
    keys = queries if keys is None else keys
    q, k = (torch.randn(1, heads, count, 4, generator=generator) for count in (queries, keys))
    return attention_weights(3 * q, k, window=window, query_start=start)


def bytes_of(dense, largest):
    return np.rint(255 * np.sqrt(np.asarray(dense, np.float64) / largest))


def square(packed, head, level):
    """Every pair at a level, of what the page is given."""
    cells = np.concatenate([packed.block(head, level, number) for number in packed.numbers(level)])
    keys, left = -(-packed.keys >> level), packed.left_at(level)
    found = np.zeros((len(cells), keys), np.uint8)
    for q, row in enumerate(cells):
        for c, byte in enumerate(row):
            key = c if left is None else q - left + c
            if 0 <= key < keys:
                found[q, key] = byte
            else:
                assert byte == 0
    return found


def joined(cells, level):
    step = 1 << level
    rows, columns = (-(-side // step) for side in cells.shape)
    wide = np.zeros((rows * step, columns * step))
    wide[: cells.shape[0], : cells.shape[1]] = cells
    return wide.reshape(rows, step, columns, step).max((1, 3))


SIDES = st.one_of(st.none(), st.integers(0, 9))


@settings(max_examples=40, deadline=None)
@given(queries=st.integers(1, 40), more=st.integers(0, 20), left=SIDES, right=SIDES, level=st.integers(0, 6))
def test_levels_are_the_largest_of_every_pair(queries, more, left, right, level):
    weights = weights_of(queries, queries + more, window=None if left is right is None else (left, right))
    packed = Packed.of(weights)
    dense = weights.dense()[0].double().numpy()
    for head in range(2):
        cells = square(packed, head, 0)
        assert (
            np.abs(cells - bytes_of(dense[head], packed.largest[head])).max() <= 1
        )  # where a root is rounded otherwise
        np.testing.assert_array_equal(square(packed, head, level), joined(cells, level))


@pytest.mark.parametrize("window", [None, 5, (3, 0)])
def test_bytes_are_read_back_within_the_promise(window):
    weights = weights_of(50, window=window)
    packed = Packed.of(weights)
    for head in range(2):
        largest = packed.largest[head]
        read = largest * (square(packed, head, 0) / 255.0) ** 2
        assert np.abs(read - weights.dense()[0, head].numpy()).max() <= 0.004 * largest
        assert read.max() == pytest.approx(largest)


def test_blocks_are_rows_at_their_level():
    rows = 2 * ROWS + 7
    packed = Packed.of(weights_of(rows, window=2, heads=1))
    assert [len(packed.block(0, 0, number)) for number in packed.numbers()] == [ROWS, ROWS, 7]
    assert [len(packed.block(0, 1, number)) for number in packed.numbers(1)] == [ROWS, 4]
    assert [len(packed.block(0, 2, number)) for number in packed.numbers(2)] == [ROWS // 2 + 2]
    assert packed.block(0, 3, 0).shape == (-(-rows >> 3), 3)


def test_a_later_start_moves_the_band():
    weights = weights_of(6, 20, window=2, start=9)
    packed = Packed.of(weights)
    assert packed.left == -7
    expected = bytes_of(weights.dense()[0, 0], packed.largest[0])
    np.testing.assert_array_equal(square(packed, 0, 0), expected)
    np.testing.assert_array_equal(square(packed, 0, 1), joined(expected, 1))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 300), columns=st.integers(1, 300))
def test_small_maps_lose_no_large_weight(rows, columns):
    weights = weights_of(rows, columns, heads=1, seed=rows)
    packed = Packed.of(weights)
    (thumb,) = packed.thumbs
    whole = packed.block(0, 0, 0)
    assert thumb.shape == (min(64, rows), min(64, columns))
    assert thumb.max() == whole.max() == 255
    place = np.unravel_index(whole.argmax(), whole.shape)
    starts = [np.arange(side) * count // side for side, count in zip(thumb.shape, whole.shape, strict=True)]
    assert thumb[tuple(np.searchsorted(start, at, "right") - 1 for start, at in zip(starts, place, strict=True))] == 255


@pytest.mark.parametrize(("rows", "window", "straight"), [(30, 4, False), (700, 200, False), (700, 3, True)])
def test_small_maps_of_bands(rows, window, straight):
    weights = weights_of(rows, window=window, heads=1)
    packed = Packed.of(weights)
    (thumb,) = packed.thumbs
    assert packed.straight is straight
    dense = bytes_of(weights.dense()[0, 0], packed.largest[0])
    if straight:
        assert thumb.shape == (64, 2 * window + 1)
        np.testing.assert_array_equal(thumb[:, window].max(), np.diag(dense).max())
    elif rows <= 64:
        np.testing.assert_array_equal(thumb, dense)
    else:
        assert thumb.shape[0] <= 64
        assert thumb.shape[1] <= 64
        assert (thumb[0, -10:] == 0).all()  # what the window hides


def test_nothing_and_no_numbers():
    def dense(values):
        return AttentionWeights.from_dense([torch.tensor(values)[None, None]], heads=1, left=None, right=None)

    assert Packed.of(dense([[0.0, 0.0]])).block(0, 0, 0).tolist() == [[0, 0]]
    packed = Packed.of(dense([[float("nan"), 0.5, float("inf")]]))
    assert packed.largest == [0.5]
    assert packed.block(0, 0, 0).tolist() == [[0, 255, 0]]


def test_ragged_is_read_as_dense_is():
    values = torch.rand(5, 2, 5)
    dense = AttentionWeights(values.transpose(0, 1)[None], torch.zeros(5, dtype=torch.int64), torch.tensor([5]), 0)
    ragged = AttentionWeights(values, dense.first, dense.key_lengths, 0, torch.tensor([0, 5]))
    np.testing.assert_array_equal(Packed.of(ragged).block(1, 0, 0), Packed.of(dense).block(1, 0, 0))


def test_a_band_stays_as_small_as_it_is():
    band = np.full((4096, 257), 9, np.uint8)
    assert pooled(band, 128).shape == (2048, 129)
    assert pooled(pooled(band, 128), 64).shape == (1024, 65)
