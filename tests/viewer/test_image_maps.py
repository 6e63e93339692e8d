"""Maps over an image: numbers against plain loops and `transformers`, and the pictures made of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regard
from regard import RegardError
from regard.viewer.distances import Distances
from regard.viewer.images import ImageMaps
from regard.viewer.maps import Maps
from regard.viewer.recording import Recording


def random_maps(rows, columns, *, before=0, depth=2, heads=3, stride=2, pooling=True):
    generator = torch.Generator().manual_seed(5)
    N = before + rows * columns
    layers = [torch.rand(heads, N, N, generator=generator).softmax(-1) for _ in range(depth)]
    pool = torch.rand(heads, N, generator=generator).softmax(-1) if pooling else None
    picture = torch.rand(rows * stride, columns * stride, 1, generator=generator)
    recording = Recording([*Recording.of(layers), *(Recording.of([pool[:, None]], "pooling") if pooling else ())])
    return ImageMaps(recording, picture, grid=(rows, columns), stride=stride, before=before)


GRIDS = {"rows": st.integers(1, 6), "columns": st.integers(1, 6), "before": st.integers(0, 1)}


@settings(max_examples=20, deadline=None)
@given(**GRIDS, stride=st.integers(1, 4))
def test_distance_is_the_mean_over_patches_in_pixels(rows, columns, before, stride):
    maps = random_maps(rows, columns, before=before, stride=stride)
    places = [(row * stride, column * stride) for row in range(rows) for column in range(columns)]
    for layer, heads in zip(maps.layers, maps.distance(), strict=True):
        for weights, found in zip(layer[:, before:, before:].tolist(), heads.tolist(), strict=True):
            means = [
                sum(w * math.dist(q, k) for w, k in zip(row, places, strict=True)) / sum(row)
                for row, q in zip(weights, places, strict=True)
            ]
            assert found == pytest.approx(sum(means) / len(means), abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(**GRIDS)
def test_maps_and_rollout_are_those_of_their_vector(rows, columns, before):
    maps = random_maps(rows, columns, before=before)
    N = before + rows * columns
    row, column = rows - 1, columns // 2
    number = before + row * columns + column
    seen = maps.image((row, column))
    assert seen.shape == (2, 3, rows, columns)
    assert torch.equal(seen[1, 2].flatten(), maps[1][2, number, before:])
    assert torch.equal(maps.image(), maps.image((rows // 2, columns // 2)))
    product = np.eye(N)
    for layer in maps.layers:
        product = (0.5 * layer.mean(0).numpy() + 0.5 * np.eye(N)) @ product
    np.testing.assert_allclose(maps.rollout((row, column)).flatten(), product[number, before:], atol=1e-6)
    pooled = maps.pooling.mean(0).numpy() @ product
    np.testing.assert_allclose(maps.rollout().flatten(), pooled[before:], atol=1e-6)
    assert float(random_maps(rows, columns, pooling=False).rollout().sum()) == pytest.approx(1, abs=1e-5)


def test_distances_of_many_are_their_mean(tmp_path):
    several = [random_maps(2, 3, depth=4), random_maps(3, 1, depth=4), random_maps(1, 1, depth=4)]
    found = Distances.of(iter(several))
    assert found.images == 3
    torch.testing.assert_close(found.mean, torch.stack([maps.distance() for maps in several]).mean(0))
    axis = found.figure().axes[0]
    assert [dots.get_offsets().shape for dots in axis.collections] == [(3, 2)] * 4
    assert b"attention over 3 images" in found.save(tmp_path / "a.html").read_bytes()
    with pytest.raises(RegardError, match="the mean over images, got none"):
        Distances.of([])
    with pytest.raises(RegardError, match="got maps of a sequence; give a model of images"):
        Distances.of([Maps(Recording.of([torch.ones(1, 2, 2) / 2]))])


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_layers_are_counted_in_whole_numbers(layers):
    axis = Distances(torch.ones(layers, 2), 1).figure().axes[0]
    assert [place for place in axis.get_xticks() if 0.5 < place < layers + 0.5] == list(range(1, layers + 1))


def test_a_place_that_is_none_is_refused():
    maps = random_maps(2, 3)
    with pytest.raises(
        RegardError, match="no patch in row 3, column 1, counted from 1; the image has 2 rows and 3 columns"
    ):
        maps.image((2, 0))
    with pytest.raises(RegardError, match="no vector of the class"):
        maps.rollout("class")
    with pytest.raises(RegardError, match=r"path must end in .png, .svg, .pdf or .html, got 'x.gif'"):
        maps.save("x.gif")


def test_a_vits_maps_are_those_of_transformers(tmp_path):
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
    ViTModel(ViTConfig(**sizes, image_size=12, patch_size=4)).save_pretrained(tmp_path)
    theirs = ViTModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    image = np.random.default_rng(0).random((12, 12, 3), np.float32)
    pixels = torch.from_numpy(np.moveaxis(image, 2, 0) / 0.5 - 1)[None]
    wanted = theirs(pixels, output_attentions=True).attentions
    maps = regard.load_vit(tmp_path).attention(image)
    assert (maps.grid, maps.stride, len(maps)) == ((3, 3), 4, 2)
    for ours, other in zip(maps.layers, wanted, strict=True):
        torch.testing.assert_close(ours, other[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(maps.image("class")[0].flatten(1), maps[0][:, 0, 1:])
    assert torch.equal(maps.rollout(), maps.rollout("class"))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (40, 1, 3), (500, 300, 3)])
def test_images_of_any_shape_are_drawn(tmp_path, shape):
    rows, columns = max(1, shape[0] // 8), max(1, shape[1] // 8)
    layers = [torch.full((1, rows * columns, rows * columns), 0.0)]
    maps = ImageMaps(Recording.of(layers), torch.zeros(shape), grid=(rows, columns), stride=8)
    assert maps.save(tmp_path / "x.png").stat().st_size > 1000
