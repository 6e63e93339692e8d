"""ViT's tensors by name and shape, and which of ours they are: what reading and writing ViT have in common.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; the names are those of `transformers`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from regard.formats.huggingface.names import Names, Shapes, State, linear, norm, weights_and_biases

MODEL_TYPE = "vit"
PREPROCESSOR = "preprocessor_config.json"
TOKEN, POSITIONS = "embeddings.cls_token", "embeddings.position_embeddings"
OURS_ADDED = {"class_token.token": TOKEN, "class_token.table": POSITIONS}

_LAYER: Names = {
    "attention.input": ("attention.attention.query", "attention.attention.key", "attention.attention.value"),
    "attention.output": ("attention.output.dense",),
    "around_attention.norm": ("layernorm_before",),
    "feed_forward.input": ("intermediate.dense",),
    "feed_forward.output": ("output.dense",),
    "around_feed_forward.norm": ("layernorm_after",),
}


@dataclass(frozen=True)
class Sizes:
    """E, number of layers, F the inner width, rows and columns of patches, patch in pixels, channels."""

    dim: int
    depth: int
    feed_forward_dim: int
    grid: tuple[int, int]
    patch: int
    channels: int


def encoder_names(depth: int) -> Names:
    """Every tensor of an :class:`regard.nn.Encoder` that is a ViT."""
    parts: Names = {"norm": ("layernorm",)}
    for layer in range(depth):
        for ours, theirs in _LAYER.items():
            parts[f"layers.{layer}.{ours}"] = tuple(f"encoder.layer.{layer}.{name}" for name in theirs)
    return weights_and_biases(parts)


def patches_names() -> Names:
    """Every tensor of :class:`regard.front_ends.image.Patches` with a class token."""
    added: Names = {ours: (theirs,) for ours, theirs in OURS_ADDED.items()}
    return weights_and_biases({"project": ("embeddings.patch_embeddings.projection",)}) | added


def pooler_names() -> Names:
    """The layer of :class:`regard.nn.Pooling` "bert"."""
    return weights_and_biases({"dense": ("pooler.dense",)})


def head_names() -> Names:
    """The linear layer at the end of a classifier."""
    return weights_and_biases({"": ("classifier",)})


def encoder_shapes(sizes: Sizes) -> Shapes:
    E, F = sizes.dim, sizes.feed_forward_dim
    shapes = norm("layernorm", E)
    for layer in range(sizes.depth):
        place = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            shapes |= linear(f"{place}.attention.attention.{name}", E, E)
        shapes |= linear(f"{place}.attention.output.dense", E, E)
        shapes |= linear(f"{place}.intermediate.dense", F, E) | linear(f"{place}.output.dense", E, F)
        shapes |= norm(f"{place}.layernorm_before", E) | norm(f"{place}.layernorm_after", E)
    return shapes


def patches_shapes(sizes: Sizes) -> Shapes:
    E, places = sizes.dim, 1 + sizes.grid[0] * sizes.grid[1]
    projection = linear("embeddings.patch_embeddings.projection", E, sizes.channels, sizes.patch, sizes.patch)
    return {TOKEN: (1, 1, E), POSITIONS: (1, places, E), **projection}


def pooler_shapes(sizes: Sizes) -> Shapes:
    return linear("pooler.dense", sizes.dim, sizes.dim)


def head_shapes(sizes: Sizes, labels: int) -> Shapes:
    return linear("classifier", labels, sizes.dim)


def added_to_ours(state: State) -> State:
    """The token and the table of positions without the axes of one that ViT has before them."""
    flat: dict[str, Tensor] = {"class_token.token": state["class_token.token"][0, 0]}
    return state | flat | {"class_token.table": state["class_token.table"][0]}


def added_to_theirs(state: State) -> State:
    """The other way."""
    deep: dict[str, Tensor] = {"class_token.token": state["class_token.token"][None, None]}
    return state | deep | {"class_token.table": state["class_token.table"][None]}
