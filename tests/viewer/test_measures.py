"""What is told of each head, against plain loops over every pair."""

import math

import pytest
import torch

from regard import AttentionWeights, attention_weights
from regard.viewer import measures as module
from regard.viewer.images import ImageMaps
from regard.viewer.measures import is_punctuation, measures
from regard.viewer.recording import Recorded, Recording


def weights_of(queries, keys=None, *, window=None, normalizer="softmax"):
    generator = torch.Generator().manual_seed(3)
    keys = queries if keys is None else keys
    q, k = (torch.randn(1, 2, count, 4, generator=generator) for count in (queries, keys))
    return attention_weights(2 * q, k, window=window, normalizer=normalizer)


def plainly(weights, punctuation, far, near):
    """Each measure of each head by the definition."""
    found = {name: [] for name in ("entropy", "distance", "self", "neighbours", "first", "punctuation")}
    for head in weights.dense()[0].double().tolist():
        rows = [[w / sum(row) for w in row] for row in head if sum(row) > 0]
        places = [q for q, row in enumerate(head) if sum(row) > 0]

        def mean(term, rows=rows, places=places):
            total = sum(term(q, k, p) for q, row in zip(places, rows, strict=True) for k, p in enumerate(row))
            return total / max(1, len(rows))

        found["entropy"].append(mean(lambda q, k, p: -p * math.log(p) if p else 0.0))
        found["distance"].append(mean(lambda q, k, p: p * far(q, k)))
        found["self"].append(mean(lambda q, k, p: p * (q == k)))
        found["neighbours"].append(mean(lambda q, k, p: p * near(q, k)))
        found["first"].append(mean(lambda q, k, p: p * (k == 0)))
        found["punctuation"].append(mean(lambda q, k, p: p * punctuation[k]))
    return found


@pytest.mark.parametrize("normalizer", ["softmax", "relu"])
@pytest.mark.parametrize("window", [None, 2, (3, 0)])
@pytest.mark.parametrize("together", [1, 1 << 22])
def test_of_a_sequence(window, normalizer, together, monkeypatch):
    monkeypatch.setattr(module, "CELLS", together)
    weights = weights_of(9, window=window, normalizer=normalizer)
    marks = torch.arange(9) % 3 == 1
    found = measures(weights, positions=True, punctuation=marks)
    expected = plainly(weights, marks.tolist(), lambda q, k: abs(q - k), lambda q, k: abs(q - k) == 1)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-5), name


@pytest.mark.parametrize("before", [0, 1])
def test_of_an_image_over_rows_and_columns(before):
    weights = weights_of(before + 12)

    def apart(q, k):
        (a, b), (c, d) = divmod(q - before, 4), divmod(k - before, 4)
        return None if min(q, k) < before else (abs(a - c), abs(b - d))

    found = measures(weights, positions=True, grid=(3, 4), before=before)
    expected = plainly(
        weights,
        [0] * (before + 12),
        lambda q, k: math.hypot(*(apart(q, k) or (0, 0))),
        lambda q, k: max(apart(q, k) or (0, 0)) == 1,
    )
    assert found["punctuation"] is None
    for name in ("entropy", "self", "neighbours", "first"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5), name
    layers = Recording([Recorded("layers.0", "attention", weights)])
    maps = ImageMaps(layers, torch.zeros(12, 16, 1), grid=(3, 4), stride=4, before=before)
    assert found["distance"] == pytest.approx((maps.distance()[0] / 4).tolist(), abs=1e-5)  # in patches
    if not before:
        assert found["distance"] == pytest.approx(expected["distance"], abs=1e-5)


def test_patches_that_attend_to_the_class_alone_have_no_distance():
    values = torch.tensor([[0.0, 0.5, 0.5], [0.2, 0.0, 0.8], [1.0, 0.0, 0.0]])[None, None]
    weights = AttentionWeights.from_dense([values], heads=1, left=None, right=None)
    assert measures(weights, positions=True, grid=(1, 2), before=1)["distance"] == [1.0]


def test_of_two_sequences_places_tell_nothing():
    found = measures(weights_of(4, 7), positions=False)
    assert [name for name, values in found.items() if values is None] == [
        "distance",
        "self",
        "neighbours",
        "punctuation",
    ]


def test_rows_that_see_nothing_do_not_count():
    values = torch.tensor([[0.0, 0.0], [0.5, 0.5]])[None, None]
    weights = AttentionWeights.from_dense([values], heads=1, left=None, right=None)
    found = measures(weights, positions=True)
    assert found["entropy"] == pytest.approx([math.log(2)])
    assert found["self"] == [0.5]


def test_what_is_punctuation():
    names = [",", "…", "(", "$", "a", "a.", "", " ", "##,", "▁.", "Ġ!", "[CLS]", "##", "、", "7"]
    expected = [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0]
    assert is_punctuation(names).int().tolist() == expected
