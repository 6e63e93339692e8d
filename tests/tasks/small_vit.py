"""Small random ViTs of `transformers`."""

import json

import torch
from small_bert import change_tensors, scramble

SIZES = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "image_size": 12,
    "patch_size": 4,
    "num_channels": 3,
}


def save_vit(folder, kind, preprocessor=None, *, labels=None, **config):
    """A random one of the class ``kind`` in a folder."""
    from transformers import ViTConfig

    names = (
        {}
        if labels is None
        else {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    )
    theirs = scramble(kind(ViTConfig(**(SIZES | names | config))))
    theirs.save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return theirs


def pixels(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def their_hidden(theirs, images):
    """``[B·N, E]``."""
    return theirs.base_model(images, interpolate_pos_encoding=True).last_hidden_state.flatten(0, 1)


TIMM = {  # as timm 1.0 calls them, whose hidden states were compared once with the same numbers
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "encoder.layer": "blocks",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "layernorm": "norm",
    "classifier": "head",
}


def as_timm(tensors):
    """A ViTForImageClassification as timm saves it."""
    renamed, fused = {}, {}
    for name, tensor in tensors.items():
        name = name.removeprefix("vit.")
        for theirs, timm in TIMM.items():
            name = name.replace(theirs, timm)
        place, found, rest = name.partition(".attention.attention.")
        if found:
            fused.setdefault(f"{place}.attn.qkv.{rest.split('.')[1]}", {})[rest.split(".")[0]] = tensor
        else:
            renamed[name] = tensor
    for name, parts in fused.items():
        renamed[name] = torch.cat([parts[part] for part in ("query", "key", "value")])
    return renamed


def save_timm(folder, monkeypatch, **settings):
    """The same network as timm and as `transformers` have it; the first in the folder, the second returned."""
    from transformers import ViTForImageClassification

    from regard.formats.huggingface import timm

    monkeypatch.setitem(timm.SIZES, "tiny", (12, 2, 3))
    theirs = save_vit(folder, ViTForImageClassification, intermediate_size=48, layer_norm_eps=1e-6)
    change_tensors(folder, as_timm)
    config = {"architecture": "vit_tiny_patch4_12", "num_classes": 2, "global_pool": "token"}
    config["pretrained_cfg"] = {"input_size": [3, 12, 12], "mean": [0.4] * 3, "std": [0.3] * 3}
    (folder / "config.json").write_text(json.dumps(config | settings))
    return theirs
