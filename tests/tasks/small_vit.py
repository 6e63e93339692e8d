"""Small random ViTs of `transformers`."""

import json

import torch
from small_bert import scramble

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
