"""Sums over examples against loops over every pair."""

import math

import numpy as np
import pytest
import torch

from regard.attention import AttentionWeights, attention_weights
from regard.viewer.aggregate import OTHERS, REACH, Aggregate, Attended

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
