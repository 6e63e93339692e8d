"""ViTs that `timm` saved, told as `transformers` would tell them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from regard.errors import ModelError
from regard.formats.huggingface.vit import MODEL_TYPE, Dialect

ARCHITECTURE = "architecture"
NAME = re.compile("vit_(tiny|small|base|large|huge)_patch([0-9]{1,4})_([0-9]{1,4})")
SIZES = {  # dim, depth, heads
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}
NORM_EPS = 1e-6
TIMM = Dialect(
    token="cls_token",
    positions="pos_embed",
    projection="patch_embed.proj",
    norm="norm",
    head="head",
    layer="blocks.{}",
    parts={
        "attention.input": ("attn.qkv",),
        "attention.output": ("attn.proj",),
        "around_attention.norm": ("norm1",),
        "feed_forward.input": ("mlp.fc1",),
        "feed_forward.output": ("mlp.fc2",),
        "around_feed_forward.norm": ("norm2",),
    },
)


def as_transformers(path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The ``config.json`` and ``preprocessor_config.json`` that `transformers` would have of the same network.

    Arguments:
        path: of timm's ``config.json``, as messages name it.
        given: what it holds.

    Raises:
        ModelError: it is no ViT whose sizes its name tells.
    """
    name = NAME.fullmatch(str(given[ARCHITECTURE]))
    if name is None or given.get("model_args"):
        found = given[ARCHITECTURE] if name is None else f"{given[ARCHITECTURE]} with model_args"
        raise ModelError(
            f"{path}: {ARCHITECTURE} must be vit_(tiny, small, base, large or huge)_patch(P)_(size), got {found!r}; "
            "name the folder of a plain ViT"
        )
    cfg = given.get("pretrained_cfg")
    cfg = cfg if isinstance(cfg, dict) else {}
    dim, depth, heads = SIZES[name[1]]
    side = int(name[3])
    size = cfg.get("input_size", [3, side, side])
    channels, *image = size if isinstance(size, list) and size else [3, size]
    config = {
        "model_type": MODEL_TYPE,
        "hidden_size": dim,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * dim,
        "image_size": image,
        "patch_size": int(name[2]),
        "num_channels": channels,
        "layer_norm_eps": NORM_EPS,
    }
    labels = given.get("label_names")
    if isinstance(labels, list):
        config["id2label"] = {str(row): label for row, label in enumerate(labels)}
    scale = {theirs: cfg[ours] for ours, theirs in (("mean", "image_mean"), ("std", "image_std")) if ours in cfg}
    return config, scale
