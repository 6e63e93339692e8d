"""A ViT that `transformers` saved, as the parts of our networks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from regard.errors import ModelError
from regard.files import read_json
from regard.formats.huggingface import vit
from regard.formats.huggingface.folder import (
    ACTIVATIONS,
    CONFIG,
    WEIGHTS,
    Weights,
    check_depth,
    check_tensors,
    checked_config,
    open_weights,
    read_config,
)
from regard.formats.huggingface.names import Shapes, State, to_ours
from regard.formats.huggingface.timm import ARCHITECTURE, TIMM, as_transformers
from regard.formats.huggingface.vit import PREPROCESSOR, TRANSFORMERS, Dialect, Sizes
from regard.front_ends.stored import are_numbers

logger = logging.getLogger(__name__)

# What `transformers` takes where config.json leaves a key out.
DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "num_channels": 3,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "qkv_bias": True,
    "pooler_act": "tanh",
}
IMAGE_SIZE, PATCH_SIZE = 224, 16
MEAN = STD = 0.5
LARGEST = 2**15  # rows or columns of an image
LEFT_OUT = ("embeddings.mask_token", "decoder.", "pooler.", "classifier.")


@dataclass(frozen=True, eq=False)
class VitFolder:
    """A ViT as the parts of our networks, float32 on the CPU.

    Arguments:
        options: of a task's config, for the front end and the encoder.
        image_size: rows and columns to which its images are brought; another size is taken too.
        vocabulary: what restores the front end `patches` for ``options``.
        patches: the state of that front end.
        encoder: the state of the :class:`regard.nn.Encoder` for ``options``. A ViT whose queries, keys and values have
            no bias has zeros there.
        pooler: the state of a :class:`regard.nn.Pooling` "bert"; None where the folder has none of that kind.
        head: the state of a linear layer from the class's vector to ``labels``; None where the folder has none.
    """

    options: dict[str, Any]
    image_size: tuple[int, int] | None
    vocabulary: dict[str, Any]
    patches: State
    encoder: State
    pooler: State | None
    head: State | None
    labels: list[str]


def read_vit(folder: str | Path) -> VitFolder:
    """Reads a ViT that `transformers` saved: ``config.json``, its weights, and ``preprocessor_config.json`` if any.

    Also one that `timm` saved, where its name tells its sizes.

    Raises:
        ModelError: a file is missing or damaged, it is another architecture, or its parts do not fit together.

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words".
    """
    folder = Path(folder)
    config, scale, dialect = _read_config(folder)
    image, sizes = _image_size(folder, config), _sizes(folder, config)
    tensors = _read_tensors(folder, config, sizes, dialect)
    mean, std, size = _preprocessor(folder, scale, sizes.channels, image)
    biases = f"{dialect.head}.bias"
    return VitFolder(
        options=_options(config, sizes),
        image_size=size,
        vocabulary={"mean": mean, "std": std, "grid": list(sizes.grid)},
        patches=vit.added_to_ours(to_ours(vit.patches_names(dialect), tensors)),
        encoder=to_ours(vit.encoder_names(sizes.depth, dialect), tensors),
        pooler=to_ours(vit.pooler_names(), tensors) if "pooler.dense.bias" in tensors else None,
        head=to_ours(vit.head_names(dialect), tensors) if biases in tensors else None,
        labels=_labels(config, len(tensors[biases])) if biases in tensors else [],
    )


def _options(config: dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    return {
        "front_end": "patches",
        "patch_size": sizes.patch,
        "patch_stride": None,
        "stem": "linear",
        "class_token": True,
        "encoder": "attention",
        "dim": sizes.dim,
        "depth": sizes.depth,
        "heads": config["num_attention_heads"],
        "feed_forward_dim": sizes.feed_forward_dim,
        "positions": "none",
        "score": "dot",
        "normalizer": "softmax",
        "norm": "pre",
        "norm_eps": config["layer_norm_eps"],
        "embedding_norm": False,
        "activation": ACTIVATIONS[config["hidden_act"]],
    }


# config.json


def _read_config(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Dialect]:
    """The config, that of the images' scale, and what the tensors are called."""
    path, only = folder / CONFIG, {"model_type": vit.MODEL_TYPE}
    given = read_json(path) if path.is_file() else {}
    if ARCHITECTURE in given and "model_type" not in given:
        config, scale = as_transformers(path, given)
        return checked_config(path, config, DEFAULTS, only, kind="ViT"), scale, TIMM
    given = read_config(folder, kind="ViT", holds=WEIGHTS)
    config = checked_config(path, given, DEFAULTS, only, kind="ViT")
    path = folder / PREPROCESSOR
    return config, read_json(path) if path.is_file() else {}, TRANSFORMERS


def _sizes(folder: Path, config: dict[str, Any]) -> Sizes:
    image, patches = _image_size(folder, config), _pair(config.get("patch_size", PATCH_SIZE))
    if patches is None or patches[0] != patches[1]:
        raise ModelError(
            f"{folder / CONFIG}: patch_size must be a whole number from 1, got {config['patch_size']!r}; "
            "name a ViT of square patches"
        )
    patch = patches[0]
    if image[0] % patch or image[1] % patch:
        raise ModelError(
            f"{folder / CONFIG}: image_size must be a multiple of patch_size, got {list(image)} and {patch}; "
            "copy it again"
        )
    if type(config["qkv_bias"]) is not bool:
        raise ModelError(f"{folder / CONFIG}: qkv_bias must be true or false, got {config['qkv_bias']!r}")
    return Sizes(
        dim=config["hidden_size"],
        depth=config["num_hidden_layers"],
        feed_forward_dim=config["intermediate_size"],
        grid=(image[0] // patch, image[1] // patch),
        patch=patch,
        channels=config["num_channels"],
    )


def _image_size(folder: Path, config: dict[str, Any]) -> tuple[int, int]:
    found = _pair(config.get("image_size", IMAGE_SIZE))
    if found is None:
        given = config["image_size"]
        raise ModelError(f"{folder / CONFIG}: image_size must be one or two whole numbers, got {given!r}")
    return found


def _pair(value: Any) -> tuple[int, int] | None:
    """Rows and columns of one number or two; None of anything else."""
    pair = [value, value] if type(value) is int else value
    if not isinstance(pair, list) or len(pair) != 2 or not all(type(n) is int and 0 < n <= LARGEST for n in pair):
        return None
    return pair[0], pair[1]


def _labels(config: dict[str, Any], count: int) -> list[str]:
    """In the order of the head's rows; numbered where config.json has other names than rows."""
    names = config.get("id2label")
    rows = [str(row) for row in range(count)]
    if isinstance(names, dict) and names.keys() == set(rows):
        return [str(names[row]) for row in rows]
    return rows


# preprocessor_config.json


def _preprocessor(
    folder: Path, found: dict[str, Any], channels: int, image: tuple[int, int]
) -> tuple[list[float], list[float], tuple[int, int] | None]:
    """Mean and deviation of pixels from 0 to 1 by which they are scaled, and the size to which images are brought."""
    path = folder / PREPROCESSOR if (folder / PREPROCESSOR).is_file() else folder / CONFIG
    most = 255.0 if found.get("do_rescale", True) is False else 255 * _factor(path, found)  # of a pixel that is 1
    mean, std = found.get("image_mean", [MEAN] * channels), found.get("image_std", [STD] * channels)
    if found.get("do_normalize", True) is False:
        mean, std = [0.0] * channels, [1.0] * channels
    if not are_numbers(mean) or not are_numbers(std) or min(std) <= 0 or not len(mean) == len(std) == channels:
        raise ModelError(
            f"{path}: image_mean and image_std must be {channels} numbers each, the second above 0, "
            f"got {mean!r} and {std!r}; copy it again"
        )
    size: Any = found.get("size", list(image))
    if isinstance(size, dict):
        size = [size["height"], size["width"]] if size.keys() == {"height", "width"} else list(image)
    brought = _pair(size)
    if brought is None:
        raise ModelError(f"{path}: size must be rows and columns, got {found['size']!r}; copy it again")
    scaled = [float(x) / most for x in mean], [float(x) / most for x in std]
    return *scaled, None if found.get("do_resize", True) is False else brought


def _factor(path: Path, found: dict[str, Any]) -> float:
    factor = found.get("rescale_factor", 1 / 255)
    if type(factor) not in (int, float) or not 0 < factor < 2**127:
        raise ModelError(f"{path}: rescale_factor must be a number above 0, got {factor!r}; copy it again")
    return float(factor)


# The weights


def _read_tensors(folder: Path, config: dict[str, Any], sizes: Sizes, dialect: Dialect) -> State:
    """Those of patches and encoder, of the pooler and of the head, as far as there are any."""
    with open_weights(folder, lambda name: name.removeprefix("vit.")) as weights:
        check_depth(weights, sizes.depth)
        wanted = _wanted(weights, config, sizes, dialect)
        left_out = LEFT_OUT if dialect == TRANSFORMERS else ()
        check_tensors(weights, wanted, kind=f"a ViT of {sizes.depth} layers", left_out=left_out)
        tensors = {name: weights.read(name) for name in wanted}
    left = sorted(weights.names.keys() - wanted.keys())
    if left:
        logger.info("%s: not taken, as no part of an encoder: %s", weights.path, ", ".join(left))
    return tensors | {name: torch.zeros(sizes.dim) for name in _no_biases(config, sizes, dialect)}


def _wanted(weights: Weights, config: dict[str, Any], sizes: Sizes, dialect: Dialect) -> Shapes:
    wanted = vit.patches_shapes(sizes, dialect) | vit.encoder_shapes(sizes, dialect)
    for name in _no_biases(config, sizes, dialect):
        del wanted[name]
    if config["pooler_act"] == DEFAULTS["pooler_act"] and any(name.startswith("pooler.") for name in weights.names):
        wanted |= vit.pooler_shapes(sizes)
    head = weights.entries.get(f"{dialect.head}.weight")
    if head is not None:
        wanted |= vit.head_shapes(sizes, head.shape[0] if head.shape else 0, dialect)
    return wanted


def _no_biases(config: dict[str, Any], sizes: Sizes, dialect: Dialect) -> list[str]:
    """Those of queries, keys and values, where a ViT has none."""
    if config["qkv_bias"]:
        return []
    places = [dialect.layer.format(layer) for layer in range(sizes.depth)]
    return [f"{place}.{name}.bias" for place in places for name in dialect.parts["attention.input"]]
