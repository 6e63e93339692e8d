"""Folders that are no ViT, each refused with what to do."""

import json

import pytest
import torch
from small_vit import save_timm, save_vit
from test_bert_refused import config, cut_weights, drop, put, rename, write
from transformers import ViTForImageClassification

from regard import ModelError, load_vit

QUERY = "vit.encoder.layer.1.attention.attention.query.weight"
POSITIONS = "vit.embeddings.position_embeddings"


def preprocessor(**settings):
    return write("preprocessor_config.json", json.dumps(settings))


def index(**weights):
    def spoil(folder):
        (folder / "model.safetensors").rename(folder / "a.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))

    return spoil


BAD_FOLDERS = [
    (
        config(model_type="deit"),
        "config.json: model_type is 'deit', only 'vit' can be read; name the folder of a plain ViT",
    ),
    (config(model_type="dinov2"), "model_type is 'dinov2', only 'vit'"),
    (config(model_type="beit"), "model_type is 'beit', only 'vit'"),
    (config(hidden_act="silu"), "hidden_act must be one of relu, gelu, gelu_new, gelu_pytorch_tanh, got 'silu'"),
    (config(hidden_size=10), "hidden_size must be a multiple of num_attention_heads, got 10 and 3"),
    (config(num_channels=0), "num_channels must be a whole number from 1, got 0"),
    (config(patch_size=[4, 2]), r"patch_size must be a whole number from 1, got \[4, 2\]; name a ViT of square"),
    (config(patch_size=5), r"image_size must be a multiple of patch_size, got \[12, 12\] and 5"),
    (config(image_size="large"), "image_size must be one or two whole numbers, got 'large'"),
    (config(image_size=2**40), "image_size must be one or two whole numbers, got 1099511627776"),
    (config(qkv_bias="no"), "qkv_bias must be true or false, got 'no'"),
    (config(qkv_bias=False), r"attention.key.bias' is no part of a ViT of 2 layers"),
    (
        config(image_size=16),
        r"'embeddings.position_embeddings' has shape \[1, 10, 12\], config.json asks for \[1, 17, 12\]",
    ),
    (config(num_hidden_layers=3), "'encoder.layer.2.attention.attention.query.weight' is missing"),
    (config(num_hidden_layers=2**40), r"holds \d+ tensors, config.json asks for 1099511627776 layers"),
    (config(num_hidden_layers=1), "'encoder.layer.1.attention.attention.key.bias' is no part of a ViT of 1 layers"),
    (drop(QUERY), r"'encoder.layer.1.attention.attention.query.weight' is missing, config.json asks for \[12, 12\]"),
    (drop("classifier.bias"), "'classifier.bias' is missing"),
    (put(QUERY, torch.zeros(12, 12, dtype=torch.int8)), "query.weight' holds I8, only F16, .* can be read"),
    (put(QUERY.removeprefix("vit."), torch.zeros(12, 12)), "query.weight' stands there twice"),
    (
        put("vit.embeddings.distillation_token", torch.zeros(1, 1, 12)),
        "'embeddings.distillation_token' is no part of a",
    ),
    (put("vit.encoder.layer.0.layer_scale1.lambda1", torch.zeros(12)), "layer_scale1.lambda1' is no part of a ViT"),
    (preprocessor(image_mean=[0.5]), r"image_mean and image_std must be 3 numbers each, .* got \[0.5\] and"),
    (preprocessor(image_std=[0.5, 0.5, 0]), r"image_mean and image_std must be 3 numbers each, the second above 0"),
    (preprocessor(size="large"), "size must be rows and columns, got 'large'"),
    (preprocessor(rescale_factor=0), "rescale_factor must be a number above 0, got 0"),
    (write("preprocessor_config.json", "["), "preprocessor_config.json: not whole JSON"),
    (rename("config.json", "x"), "config.json: no such file; a ViT's folder holds config.json, model.safetensors, as"),
    (rename("model.safetensors", "x"), "model.safetensors: no such file; copy it beside config.json"),
    (cut_weights, "model.safetensors: not a whole safetensors file"),
    (index(**{QUERY: "b.safetensors"}), "b.safetensors: no such file, which model.safetensors.index.json names"),
    (index(**{QUERY: "../b.safetensors"}), "index.json: weight_map must name a file beside it for each tensor"),
    (index(), "index.json: weight_map must name a file beside it for each tensor, got {}"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit")
    save_vit(folder, ViTForImageClassification)
    return folder


@pytest.mark.parametrize(("spoil", "message"), BAD_FOLDERS, ids=[message[:60] for _, message in BAD_FOLDERS])
def test_a_folder_that_is_no_vit_is_refused(tmp_path, saved, spoil, message):
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spoil(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        load_vit(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


SIZES = "architecture must be vit_"
BAD_TIMM = [
    (
        config(architecture="deit_tiny_patch16_224"),
        f"{SIZES}.*got 'deit_tiny_patch16_224'; name the folder of a plain ViT",
    ),
    (config(architecture="vit_base_patch16_clip_224"), f"{SIZES}.*got 'vit_base_patch16_clip_224'"),
    (config(architecture=7), f"{SIZES}.*got 7"),
    (config(model_args={"img_size": 8}), f"{SIZES}.*got 'vit_tiny_patch4_12 with model_args'"),
    (config(pretrained_cfg={"input_size": [3]}), r"image_size must be one or two whole numbers, got \[\]"),
    (config(pretrained_cfg={"input_size": ["3", 12, 12]}), "num_channels must be a whole number from 1, got '3'"),
    (config(pretrained_cfg={"mean": 0.5}), r"config.json: image_mean and image_std must be 3 numbers each"),
    (put("fc_norm.weight", torch.zeros(12)), "'fc_norm.weight' is no part of a ViT of 2 layers"),
    (drop("blocks.1.attn.qkv.bias"), r"'blocks.1.attn.qkv.bias' is missing, config.json asks for \[36\]"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD_TIMM, ids=[message[:60] for _, message in BAD_TIMM])
def test_a_folder_of_timm_that_is_no_plain_vit_is_refused(tmp_path, monkeypatch, spoil, message):
    save_timm(tmp_path, monkeypatch)
    spoil(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        load_vit(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
