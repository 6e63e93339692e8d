"""Pixels and patches: vectors of images against PyTorch's own convolution and unfold, one by one and in a batch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import colours, save
from torch.nn import functional as F

from regard import ConfigError, Image, ModelError
from regard.front_ends import learn_front_end, restore_front_end
from regard.front_ends.image import Patches
from regard.front_ends.image.stems import STEMS
from regard.tasks.classify.options import ClassifyConfig

SIZES = [(8, 8), (5, 7), (1, 1), (8, 8), (9, 4)]


def images(sizes=SIZES, channels=3):
    return [Image.from_pixels(colours(*size, channels, seed=place)) for place, size in enumerate(sizes)]


def made(patch=4, stride=None, **options):
    torch.manual_seed(0)
    return Patches([0.4, 0.5, 0.6], [0.2, 0.3, 0.25], dim=6, patch=patch, stride=stride, **options)


def scaled(front_end, image):
    """``[1, C, rows, columns]`` as the projection reads it."""
    pixels = (torch.from_numpy(image.pixels(3)) - front_end.mean) / front_end.std
    return pixels.movedim(2, 0)[None]


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_patches_are_what_unfold_cuts(patch):
    front_end, image = made(patch), images([(8, 12)])[0]
    blocks = F.unfold(scaled(front_end, image), patch, stride=patch)[0].T  # [T, C · patch · patch]
    weight = front_end.project.weight.flatten(1)
    found = front_end(front_end.encode([image]))
    torch.testing.assert_close(found.values, blocks @ weight.T + front_end.project.bias, atol=1e-5, rtol=1e-5)
    assert found.grid.tolist() == [[8 // patch, 12 // patch]]


@pytest.mark.parametrize(("patch", "stride"), [(4, 2), (3, 1), (5, 2), (4, 3)])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 1), (2, 11)])
def test_patches_that_overlap_or_do_not_fit_have_the_border_repeated(patch, stride, size):
    front_end, image = made(patch, stride), images([size])[0]
    counts = [-(-side // stride) for side in size]
    down, across = ((count - 1) * stride + patch - side for count, side in zip(counts, size, strict=True))
    before = (patch - stride) // 2
    pad = ((before, down - before), (before, across - before), (0, 0))
    padded = np.pad(scaled(front_end, image)[0].movedim(0, 2).numpy(), pad, mode="edge")
    wanted = front_end.project(torch.from_numpy(padded).movedim(2, 0)[None])[0].flatten(1).T
    found = front_end(front_end.encode([image]))
    torch.testing.assert_close(found.values, wanted, atol=1e-5, rtol=1e-5)
    assert found.grid.tolist() == [counts]
    assert (front_end.count(image), front_end.grid(image)) == (counts[0] * counts[1], tuple(counts))
    assert len(front_end.names(image)) == len(wanted)


@pytest.mark.parametrize(
    "options", [{}, {"patch": 3, "stride": 2}, {"stem": "convolution"}, {"stem": "residual"}, {"size": (8, 4)}]
)
def test_images_of_different_sizes_in_a_batch_are_what_they_are_alone(options):
    front_end = made(**options)
    together = front_end(front_end.encode(images()))
    alone = [front_end(front_end.encode([image])) for image in images()]
    torch.testing.assert_close(together.values, torch.cat([one.values for one in alone]), atol=1e-5, rtol=1e-5)
    assert together.grid.tolist() == [one.grid[0].tolist() for one in alone]
    assert together.lengths.tolist() == [front_end.count(image) for image in images()]
    together.values.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in front_end.parameters()]
    front_end.zero_grad()
    sum(one.values.square().sum() for one in alone).backward()
    for parameter, gradient in zip(front_end.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-3, rtol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    stem=st.sampled_from(sorted(STEMS.keys() - {"linear"})),
    patch=st.sampled_from([1, 2, 4, 8]),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
)
def test_a_stem_that_halves_makes_as_many_vectors(stem, patch, rows, columns):
    front_end, image = made(patch, stem=stem), images([(rows, columns)])[0]
    found = front_end(front_end.encode([image]))
    assert found.values.shape == (front_end.count(image), 6)
    assert found.values.isfinite().all()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.sampled_from([(1, 1), (4, 4), (4, 2)]))
def test_parts_cover_an_image_and_are_no_longer_than_asked(rows, columns, longest, shape):
    front_end = made(*shape)
    pixels = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    parts = front_end.split(Image.from_pixels(pixels), longest)
    assert all(0 < front_end.count(part) <= longest for part in parts)
    assert len(np.unique(np.concatenate([part.pixels().ravel() for part in parts]))) == rows * columns


def test_an_image_that_is_brought_to_a_size_stays_whole():
    front_end = made(size=(8, 8))
    image = images([(50, 70)])[0]
    assert front_end.split(image, 2) == [image]
    assert front_end.grid(images()[1]) == (2, 2)


@pytest.mark.parametrize("name", ["pixels", "patches"])
@pytest.mark.parametrize("channels", [1, 3])
def test_learning_and_restoring(name, channels):
    config = ClassifyConfig(front_end=name, dim=8, dropout=0.0)
    given = images(channels=channels)
    torch.manual_seed(0)
    front_end = learn_front_end(name, iter(given), config)
    pixels = np.concatenate([image.pixels().reshape(-1, channels) for image in given])
    np.testing.assert_allclose(front_end.mean, pixels.mean(0), atol=1e-5)
    np.testing.assert_allclose(front_end.std, pixels.std(0), atol=1e-5)
    assert front_end.patch == (1 if name == "pixels" else 4)
    again = restore_front_end(name, front_end.vocabulary(), config)
    again.load_state_dict(front_end.state_dict())
    batch = front_end.encode(given)
    torch.testing.assert_close(again(batch).values, front_end(batch).values, atol=0, rtol=0)


def test_the_scale_is_that_of_what_the_network_sees(tmp_path, monkeypatch):
    config = ClassifyConfig(front_end="patches", dim=8, image_size=(4, 6))
    front_end = learn_front_end("patches", images(), config)
    pixels = np.concatenate([image.at_size(4, 6).pixels(3).reshape(-1, 3) for image in images()])
    np.testing.assert_allclose(front_end.mean, pixels.mean(0), atol=1e-5)
    np.testing.assert_allclose(front_end.std, pixels.std(0), atol=1e-5)
    wide = Image.from_file(save(tmp_path / "a.png", np.full((1500, 4000), 51, np.uint8)))
    sizes = []
    monkeypatch.setattr(Image, "pixels", lambda self, channels: sizes.append(self.size) or np.zeros((*self.size, 1)))
    learn_front_end("patches", [wide], ClassifyConfig(front_end="patches", dim=8))
    assert sizes == [(500, 1333)]


def test_gray_and_coloured_images_are_all_coloured():
    config = ClassifyConfig(front_end="patches", dim=8)
    assert len(learn_front_end("patches", images(channels=1) + images()[:1], config).mean) == 3


@pytest.mark.parametrize(
    "vocabulary", [{}, {"mean": [0.5], "std": [0.1, 0.2]}, {"mean": [0.5], "std": [0.0]}, {"mean": "x", "std": [1.0]}]
)
def test_a_vocabulary_that_is_none(vocabulary):
    config = ClassifyConfig(front_end="patches")
    with pytest.raises(ModelError, match=r"mean|std"):
        restore_front_end("patches", vocabulary, config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 4, "stride": 5}, "patch_stride must be at most patch_size, 4, got 5: pixels would be left out"),
        ({"patch": 6, "stem": "convolution"}, r"patch_size must be 1, 2, 4, 8, 16, ... with stem=convolution, got 6"),
        ({"patch": 4, "stride": 2, "stem": "convolution"}, "patch_stride goes with stem=linear, got 2"),
        ({"patch": 6, "stem": "residual"}, r"patch_size must be 1, 2, 4, 8, 16, ... with stem=residual, got 6"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ConfigError, match=message):
        made(**options)
