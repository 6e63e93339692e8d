"""ViT's tensors by name and shape, and which of ours they are: what reading and writing ViT have in common.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; the names are those of a library.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from regard.formats.huggingface.names import Names, Shapes, State, linear, norm, weights_and_biases

MODEL_TYPE = "vit"
PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class Dialect:
    """What a library calls the tensors of a ViT.

    Arguments:
        token, positions: those that stand alone.
        projection, norm, head: of patches, after the last layer, and to labels.
        layer: begins the names of layer ``{}``.
        parts: of each layer, ours → theirs.
    """

    token: str
    positions: str
    projection: str
    norm: str
    head: str
    layer: str
    parts: Names


TRANSFORMERS = Dialect(
    token="embeddings.cls_token",
    positions="embeddings.position_embeddings",
    projection="embeddings.patch_embeddings.projection",
    norm="layernorm",
    head="classifier",
    layer="encoder.layer.{}",
    parts={
        "attention.input": ("attention.attention.query", "attention.attention.key", "attention.attention.value"),
        "attention.output": ("attention.output.dense",),
        "around_attention.norm": ("layernorm_before",),
        "feed_forward.input": ("intermediate.dense",),
        "feed_forward.output": ("output.dense",),
        "around_feed_forward.norm": ("layernorm_after",),
    },
)


@dataclass(frozen=True)
class Sizes:
    """E, number of layers, F the inner width, rows and columns of patches, patch in pixels, channels."""

    dim: int
    depth: int
    feed_forward_dim: int
    grid: tuple[int, int]
    patch: int
    channels: int


def encoder_names(depth: int, dialect: Dialect = TRANSFORMERS) -> Names:
    """Every tensor of an :class:`regard.nn.Encoder` that is a ViT."""
    parts: Names = {"norm": (dialect.norm,)}
    for layer in range(depth):
        place = dialect.layer.format(layer)
        for ours, theirs in dialect.parts.items():
            parts[f"layers.{layer}.{ours}"] = tuple(f"{place}.{name}" for name in theirs)
    return weights_and_biases(parts)


def patches_names(dialect: Dialect = TRANSFORMERS) -> Names:
    """Every tensor of :class:`regard.front_ends.image.Patches` with a class token."""
    added: Names = {"class_token.token": (dialect.token,), "class_token.table": (dialect.positions,)}
    return weights_and_biases({"project": (dialect.projection,)}) | added


def pooler_names() -> Names:
    """The layer of :class:`regard.nn.Pooling` "bert"."""
    return weights_and_biases({"dense": ("pooler.dense",)})


def head_names(dialect: Dialect = TRANSFORMERS) -> Names:
    """The linear layer at the end of a classifier."""
    return weights_and_biases({"": (dialect.head,)})


def encoder_shapes(sizes: Sizes, dialect: Dialect = TRANSFORMERS) -> Shapes:
    E, F = sizes.dim, sizes.feed_forward_dim
    matrices = {
        "attention.input": (3 * E, E),
        "attention.output": (E, E),
        "feed_forward.input": (F, E),
        "feed_forward.output": (E, F),
    }
    shapes = norm(dialect.norm, E)
    for layer in range(sizes.depth):
        place = dialect.layer.format(layer)
        for ours, theirs in dialect.parts.items():
            for name in theirs:
                if ours in matrices:
                    rows, columns = matrices[ours]
                    shapes |= linear(f"{place}.{name}", rows // len(theirs), columns)
                else:
                    shapes |= norm(f"{place}.{name}", E)
    return shapes


def patches_shapes(sizes: Sizes, dialect: Dialect = TRANSFORMERS) -> Shapes:
    E, places = sizes.dim, 1 + sizes.grid[0] * sizes.grid[1]
    projection = linear(dialect.projection, E, sizes.channels, sizes.patch, sizes.patch)
    return {dialect.token: (1, 1, E), dialect.positions: (1, places, E), **projection}


def pooler_shapes(sizes: Sizes) -> Shapes:
    return linear("pooler.dense", sizes.dim, sizes.dim)


def head_shapes(sizes: Sizes, labels: int, dialect: Dialect = TRANSFORMERS) -> Shapes:
    return linear(dialect.head, labels, sizes.dim)


def added_to_ours(state: State) -> State:
    """The token and the table of positions without the axes of one that ViT has before them."""
    flat: dict[str, Tensor] = {"class_token.token": state["class_token.token"][0, 0]}
    return state | flat | {"class_token.table": state["class_token.table"][0]}


def added_to_theirs(state: State) -> State:
    """The other way."""
    deep: dict[str, Tensor] = {"class_token.token": state["class_token.token"][None, None]}
    return state | deep | {"class_token.table": state["class_token.table"][None]}
