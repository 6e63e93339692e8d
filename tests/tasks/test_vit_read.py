"""What is read of a ViT's folder, against `transformers`."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_bert import change_tensors, close
from small_vit import pixels, save_timm, save_vit, their_hidden
from transformers import ViTForImageClassification, ViTForMaskedImageModeling, ViTModel

import regard
from regard import DataError, RegardError, ShapeError

CHOICES = st.fixed_dictionaries(
    {
        "patch_size": st.sampled_from([1, 2, 3]),
        "num_channels": st.sampled_from([1, 3]),
        "qkv_bias": st.booleans(),
        "layer_norm_eps": st.sampled_from([1e-12, 1e-6, 0.1]),
        "hidden_act": st.sampled_from(["gelu", "gelu_new", "relu"]),
        "num_hidden_layers": st.sampled_from([0, 1, 2]),
        "rows": st.integers(1, 3),
    }
)


@settings(max_examples=12, deadline=None)
@given(choices=CHOICES, size=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_hidden_states_are_those_of_transformers(tmp_path_factory, choices, size):
    folder = tmp_path_factory.mktemp("vit")
    patch, side = choices["patch_size"], choices["patch_size"] * choices.pop("rows")
    theirs = save_vit(folder, ViTModel, image_size=side, **choices)
    vit = regard.load_vit(folder)
    for rows, columns in ((side, side), (patch * size[0], patch * size[1])):
        images = pixels(2, choices["num_channels"], rows, columns)
        close(vit(images).values, their_hidden(theirs, images))


def test_a_grid_that_is_not_square_is_read(tmp_path):
    theirs = save_vit(tmp_path, ViTModel, image_size=[8, 12])
    images = pixels(2, 3, 8, 12)
    close(regard.load_vit(tmp_path)(images).values, theirs(images).last_hidden_state.flatten(0, 1))


@pytest.mark.parametrize("size", [(12, 12), (8, 20)])
def test_gradients_are_those_of_transformers(tmp_path, size):
    theirs, images = save_vit(tmp_path, ViTModel), pixels(2, 3, *size)
    vit = regard.load_vit(tmp_path)
    for hidden in (vit(images).values, their_hidden(theirs, images)):
        (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum().backward()
    layer, their_layer, added = vit.encoder.layers[1], theirs.layers[1], theirs.embeddings
    query = [getattr(their_layer.attention, f"{name}_proj").weight.grad for name in "qkv"]
    patches = vit.front_end
    for ours, wanted in [
        (layer.attention.input.weight.grad, torch.cat(query)),
        (layer.feed_forward.output.weight.grad, their_layer.mlp.fc2.weight.grad),
        (patches.project.weight.grad, added.patch_embeddings.projection.weight.grad),
        (patches.class_token.token.grad, added.cls_token.grad[0, 0]),
        (patches.class_token.table.grad, added.position_embeddings.grad[0]),
    ]:
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)


def test_the_head_and_the_pooler_are_those_of_transformers(tmp_path):
    images = pixels(3, 3, 12, 12)
    theirs = save_vit(tmp_path / "head", ViTForImageClassification, labels=["cat", "dog", "owl"])
    vit = regard.load_vit(tmp_path / "head")
    assert (vit.labels, vit.pooler) == (["cat", "dog", "owl"], None)
    close(vit.logits(images), theirs(images).logits)
    theirs = save_vit(tmp_path / "pooler", ViTModel)
    vit = regard.load_vit(tmp_path / "pooler")
    close(vit.pooler(vit(images)), theirs(images).pooler_output)
    close(vit.encode(images), theirs(images).last_hidden_state[:, 0])
    with pytest.raises(RegardError, match="this ViT has no head: its folder holds a ViTModel"):
        vit.logits(images)


SCALES = {
    "none": (None, (0.5, 0.5), (12, 12)),
    "of its own": ({"image_mean": [0.4], "image_std": [0.2], "size": 8}, (0.4, 0.2), (8, 8)),
    "rows and columns": ({"size": {"height": 8, "width": 16}}, (0.5, 0.5), (8, 16)),
    "an edge": ({"size": {"shortest_edge": 20}}, (0.5, 0.5), (12, 12)),
    "no resize": ({"do_resize": False}, (0.5, 0.5), None),
    "no scale": ({"do_normalize": False}, (0.0, 1.0), (12, 12)),
    "another factor": ({"rescale_factor": 2 / 255}, (0.25, 0.25), (12, 12)),
    "of bytes": ({"do_rescale": False, "image_mean": [51], "image_std": [102]}, (0.2, 0.4), (12, 12)),
}


@pytest.mark.parametrize("case", SCALES)
def test_images_are_scaled_as_the_preprocessor_says(tmp_path, case):
    preprocessor, (mean, std), size = SCALES[case]
    save_vit(tmp_path, ViTModel, preprocessor, num_channels=1)
    vit = regard.load_vit(tmp_path)
    assert vit.front_end.image_size == size
    torch.testing.assert_close(torch.stack([vit.front_end.mean, vit.front_end.std]), torch.tensor([[mean], [std]]))
    image = np.random.default_rng(1).random((*(size or (8, 4)), 1), np.float32)
    scaled = torch.from_numpy((np.moveaxis(image, 2, 0) - mean) / std)[None].float()
    close(vit([image]).values, vit(scaled).values)


def test_images_of_many_sizes_and_kinds_go_together(tmp_path):
    from PIL import Image

    save_vit(tmp_path, ViTModel)
    rng = np.random.default_rng(1)
    one, other = (rng.integers(0, 256, size, np.uint8) for size in ((12, 12, 3), (7, 9, 3)))
    Image.fromarray(one).save(tmp_path / "one.png")
    vit = regard.load_vit(tmp_path, image_size=None)
    hidden = vit([tmp_path / "one.png", regard.Image.from_pixels(other), Image.fromarray(one)])
    assert (hidden.lengths.tolist(), hidden.grid) == ([1 + 9, 1 + 2 * 3, 1 + 9], None)
    first, second, third = hidden.unbind()
    assert torch.equal(first, third)
    close(vit([other]).values, second)
    assert vit(vit.pixels([one])).values.shape == (10, 12)
    assert regard.load_vit(tmp_path)([other]).lengths.tolist() == [10]
    with pytest.raises(DataError, match="expected an image: the path of a file, pixels"):
        vit([None])
    with pytest.raises(
        ShapeError, match=r"images must be pixels \[B, 3, rows, columns\], got a tensor of shape \[3, 12"
    ):
        vit(torch.zeros(3, 12, 12))


def test_weights_in_several_files_and_halves_are_read(tmp_path):
    theirs, images = save_vit(tmp_path / "one", ViTModel), pixels(1, 3, 12, 12)
    theirs.save_pretrained(tmp_path / "several", max_shard_size="5KB")
    assert not (tmp_path / "several" / "model.safetensors").exists()
    whole = regard.load_vit(tmp_path / "one")(images).values
    assert torch.equal(regard.load_vit(tmp_path / "several")(images).values, whole)
    change_tensors(tmp_path / "one", lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    half = regard.load_vit(tmp_path / "one")
    assert half.front_end.class_token.token.dtype == torch.float32


def test_what_is_no_part_of_an_encoder_is_left_out_and_told(tmp_path, caplog):
    theirs = save_vit(tmp_path, ViTForMaskedImageModeling, encoder_stride=4)
    with caplog.at_level(logging.INFO, "regard"):
        vit = regard.load_vit(tmp_path)
    assert "no part of an encoder: decoder.0.bias, decoder.0.weight, embeddings.mask_token" in caplog.text
    images = pixels(1, 3, 12, 12)
    close(vit(images).values, their_hidden(theirs, images))


def test_a_vit_of_timm_is_read(tmp_path, monkeypatch):
    theirs, images = save_timm(tmp_path, monkeypatch, label_names=["cat", "dog"]), pixels(2, 3, 12, 12)
    vit = regard.load_vit(tmp_path)
    close(vit(images).values, their_hidden(theirs, images))
    close(vit.logits(images), theirs(images).logits)
    assert (vit.labels, vit.front_end.image_size) == (["cat", "dog"], (12, 12))
    torch.testing.assert_close(vit.front_end.std, torch.full((3,), 0.3))
