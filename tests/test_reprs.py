"""What Python shows of things is one short line, and never a whole tensor."""

import numpy as np
import pytest
import torch

import regard
from regard import Classifier, Labeler
from regard.viewer.images import ImageMaps
from regard.viewer.maps import Maps, PairMaps
from regard.viewer.recording import Recording

QUERY = torch.zeros(1, 2, 50, 8)
IMAGES = torch.zeros(1, 2, 36, 8)
MAPS = Maps(Recording.of([torch.zeros(2, 4, 5)] * 3))


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        (
            regard.Ragged.from_list([torch.zeros(300, 4), torch.zeros(5, 4)]),
            "Ragged(2 sequences, values [305, 4] float32)",
        ),
        (
            regard.Ragged.from_grids([torch.zeros(2, 3, 1)]),
            "Ragged(1 sequence in grids, values [6, 1] float32)",
        ),
        (
            regard.attention_weights(QUERY, QUERY, window=4),
            "AttentionWeights(dense, values [1, 2, 50, 9] float32)",
        ),
        (
            regard.attention_weights2d(IMAGES, IMAGES, size=(6, 6), window=1),
            "GridWeights(dense, 1 image, values [1, 2, 36, 9] float32)",
        ),
        (regard.Additive(torch.zeros(2, 8)), "Additive(weight [2, 8] float32)"),
        (regard.RelativeBias(torch.zeros(2, 9)), "RelativeBias(table [2, 9] float32, left 4)"),
        (
            regard.GridBias(torch.zeros(2, 5), torch.zeros(2, 3)),
            "GridBias(rows [2, 5] float32, columns [2, 3] float32, up 2, left 1)",
        ),
        (MAPS, "Maps(3 layers of 2 heads, 4 × 5 items)"),
        (PairMaps(MAPS, MAPS, MAPS), f"PairMaps(encoder={MAPS!r}, decoder={MAPS!r}, cross={MAPS!r})"),
        (
            ImageMaps(Recording.of([torch.zeros(1, 6, 6)]), torch.zeros(4, 6, 1), grid=(2, 3), stride=2),
            "ImageMaps(1 layer of 1 head, 2 × 3 patches)",
        ),
        (
            regard.Recording.from_samples(np.zeros(80_000, np.float32), 8000),
            "Recording(rate=8000, length=80000, path=None, first=0)",
        ),
        (
            Labeler(front_end="words", dim=16, depth=1, heads=2),
            "<Labeler: not fitted, words front end, attention encoder, depth 1, dim 16, 2 heads>",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_things(thing, shown):
    assert repr(thing) == shown


def test_a_fitted_model_tells_labels_and_parameters():
    model = Classifier(front_end="vectors", dim=8, depth=1, heads=2)
    data = [(np.ones((3, 2), np.float32), str(label)) for label in range(7)]
    model.fit(data, epochs=1, average=0, baselines="none", quiet=True)
    count = sum(parameter.numel() for parameter in model.network.parameters())
    sizes = "vectors front end, attention encoder, depth 1, dim 8, 2 heads"
    assert repr(model) == f"<Classifier: 7 labels (0, 1, 2, 3, 4, ...), {sizes}, {count:,} parameters>"


def test_streams_tell_how_many_they_are():
    model = Labeler(front_end="vectors", dim=8, depth=1, heads=2, window=2)
    model.fit([(np.ones((3, 2), np.float32), ["x", "y", "x"])] * 2, epochs=1, average=0, baselines="none", quiet=True)
    assert repr(model.streams(3)) == "Streams(3 streams)"
    assert repr(model.stream()) == "Stream(of Streams(1 stream))"
