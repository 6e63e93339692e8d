"""Sums over examples against loops over every pair."""

import math

import numpy as np
import pytest
import torch

from regard.attention import AttentionWeights, attention_weights, attention_weights2d
from regard.viewer.aggregate import OTHERS, REACH, Aggregate, Attended
from regard.viewer.images import ImageMaps
from regard.viewer.recording import Recording

HEADS = 2


def example(number, count, *, window=None, seed=0):
    generator = torch.Generator().manual_seed(seed + number)
    q, k = torch.randn(2, 1, HEADS, count, 4, generator=generator)
    labels = ["XYZ"[place % (1 + number % 3)] for place in range(count)]
    return Attended(
        number, [attention_weights(q, k, window=window)], [f"w{p}" for p in range(count)], labels, "ab"[number % 2]
    )


def pairs_of(one, head):
    """Every query, key and weight."""
    weights = one.weights[0].dense()[0, head].numpy()
    return [(q, k, weights[q, k]) for q in range(len(weights)) for k in range(len(weights))]


def diagonal(count):
    """Attention of each position to itself."""
    first = torch.zeros(count, dtype=torch.int64)
    return AttentionWeights(torch.eye(count)[None, None], first, torch.tensor([count]), 0)


@pytest.mark.parametrize("window", [None, 2])
def test_against_loops(window):
    examples = [example(number, count, window=window) for number, count in enumerate([3, 7, 50, 5], 1)]
    told = Aggregate(["layers.0.attention"])
    for one in examples:
        told.add(one)
    names = told.labels()
    assert sorted(names) == ["X", "Y", "Z"]
    for head in range(HEADS):
        found = told.head(0, head)
        mass, count, share = {}, {}, dict.fromkeys([(a, b) for a in names for b in names], 0.0)
        queries, far = dict.fromkeys(names, 0), {}
        for one in examples:
            for q, k, weight in pairs_of(one, head):
                if window is not None and abs(k - q) > window:
                    continue
                mass[k - q] = mass.get(k - q, 0.0) + weight
                count[k - q] = count.get(k - q, 0) + 1
                share[one.labels[q], one.labels[k]] += weight
                bucket = 0 if q == k else 1 + math.ceil(math.log2(abs(k - q)))
                far[bucket] = far.get(bucket, 0.0) + weight
            for label in one.labels:
                queries[label] += 1
        for place, value in enumerate(found["relative"]):
            away = place - REACH
            assert (value is None) == (away not in count)
            if value is not None:
                assert value == pytest.approx(mass[away] / count[away], abs=1e-6)
        total = sum(len(one.names) for one in examples)
        np.testing.assert_allclose(found["distances"], [far[b] / total for b in sorted(far)], atol=1e-6)
        expected = [[share[a, b] / queries[a] for b in names] for a in names]
        np.testing.assert_allclose(found["labels"], expected, atol=1e-6)
        assert found["wholes"]["a"]["examples"] == found["wholes"]["b"]["examples"] == 2
        own = [one.weights[0] for one in examples if one.whole == "a"]
        entropies = [float(weights.entropy()[0, head].mean()) for weights in own]
        assert found["wholes"]["a"]["entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)


def test_the_most_certain_examples_come_first():
    count, told = 6, Aggregate(["layers.0.attention"])
    first = torch.zeros(count, dtype=torch.int64)
    for number in range(1, 31):
        sharp = torch.eye(count).roll(1, 1) * (number % 7) * 2
        values = sharp.softmax(1).expand(1, 1, count, count)
        told.add(Attended(number, [AttentionWeights(values, first, torch.tensor([count]), 0)], [*"abcdef"]))
    certain = told.head(0, 0)["certain"]
    assert [one["number"] % 7 for one in certain] == [6] * 4 + [5] * 4 + [4] * 2
    who, whom, _ = certain[0]["link"]
    assert "abcdefa".find(who + whom) >= 0
    assert certain[0]["text"] == "a b c d e f"
    assert [one["entropy"] for one in certain] == sorted(one["entropy"] for one in certain)


def test_rare_labels_are_joined():
    told = Aggregate(["layers.0.attention"])
    count = 30
    eye = AttentionWeights(
        torch.eye(count)[None, None], torch.zeros(count, dtype=torch.int64), torch.tensor([count]), 0
    )
    told.add(Attended(1, [eye], None, [str(place) for place in range(count)]))
    assert told.labels()[-1] == OTHERS
    np.testing.assert_allclose(told.head(0, 0)["labels"], np.eye(25))


def test_positions_without_a_label_and_without_a_name():
    told = Aggregate(["layers.0.attention"])
    told.add(Attended(7, [diagonal(3)], None, [None, "X", None]))
    assert told.head(0, 0)["labels"] == [[1.0]]
    assert told.head(0, 0)["certain"][0]["link"] == ["1", "1", 1.0]


@pytest.mark.parametrize("window", [(None, 0), (2, 0), (None, 2), (3, None), (5, 5)])
def test_what_a_window_hides_is_nothing_to_choose_from(window):
    """All alike is certain of nothing, however few keys can be seen; and no mean is of keys that cannot."""
    q = torch.zeros(1, 1, 6, 4)
    weights = attention_weights(q, q, window=window)
    for whole in (weights, AttentionWeights.from_dense([weights.dense()], heads=1, left=None, right=None)):
        told = Aggregate(["layers.0.attention"])
        told.add(Attended(1, [whole], [*"abcdef"], reach=[window]))
        found = told.head(0, 0)
        assert found["certain"][0]["entropy"] == pytest.approx(1.0)
        who, _, weight = found["certain"][0]["link"]
        seen = (weights.dense()[0, 0, "abcdef".index(who)] > 0).sum()
        assert seen > 2
        assert weight == pytest.approx(1 / int(seen))
        left, right = (5 if side is None else min(side, 5) for side in window)
        known = [place - REACH for place, mean in enumerate(found["relative"]) if mean is not None]
        assert known == list(range(-left, right + 1))


def test_of_images_over_rows_and_columns():
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, HEADS, 12, 4, generator=generator)
    window = (1, 0, 2, 1)
    weights = [attention_weights2d(x, k, size=(3, 4), window=window).dense() for x in (q, torch.zeros_like(q))]
    layers = Recording.of([layer[0] for layer in weights])
    told = Aggregate([layer.name for layer in layers])
    told.add(Attended(1, [layer.weights for layer in layers], whole="a", grid=(3, 4), reach=[window] * 2))
    far = ImageMaps(layers, torch.zeros(3, 4, 1), grid=(3, 4), stride=1).distance()
    for layer in range(2):
        for head in range(HEADS):
            assert told.head(layer, head)["wholes"]["a"]["distance"] == pytest.approx(float(far[layer, head]), abs=1e-5)
    assert told.head(1, 0)["certain"][0]["entropy"] == pytest.approx(1.0)
    assert np.shape(told.head(1, 0)["relative"]) == (3, 5)
    assert told.head(1, 0)["relative"][2] == [None] * 5  # nothing below is seen


def test_the_class_is_in_no_row():
    weights = torch.full((1, 7, 7), 1 / 7)
    layers = Recording.of([weights])
    told = Aggregate(["layers.0"])
    told.add(Attended(1, [layers[0].weights], whole="a", grid=(2, 3), before=1))
    far = ImageMaps(layers, torch.zeros(2, 3, 1), grid=(2, 3), stride=1, before=1).distance()
    assert told.head(0, 0)["wholes"]["a"]["distance"] == pytest.approx(float(far[0, 0]))
