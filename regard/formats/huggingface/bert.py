"""BERT's tensors by name and shape, and which of ours they are: what reading and writing BERT have in common.

Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers"; the names are those of `transformers`.
"""

from __future__ import annotations

from dataclasses import dataclass

from regard.formats.huggingface.names import Names, Shapes, linear, norm, weights_and_biases

MODEL_TYPE, POSITION_TYPE = "bert", "absolute"
WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
PREDICTIONS = "cls.predictions."

_LAYER: Names = {
    "attention.input": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output": ("attention.output.dense",),
    "around_attention.norm": ("attention.output.LayerNorm",),
    "feed_forward.input": ("intermediate.dense",),
    "feed_forward.output": ("output.dense",),
    "around_feed_forward.norm": ("output.LayerNorm",),
}


@dataclass(frozen=True)
class Sizes:
    """V tokens, E, number of layers, F the inner width, P positions, types of segment."""

    vocabulary: int
    dim: int
    depth: int
    feed_forward_dim: int
    positions: int
    types: int = 2


def encoder_names(depth: int) -> Names:
    """Every tensor of an :class:`regard.nn.Encoder` that is a BERT."""
    parts: Names = {"embedding_norm": ("embeddings.LayerNorm",)}
    for layer in range(depth):
        for ours, theirs in _LAYER.items():
            parts[f"layers.{layer}.{ours}"] = tuple(f"encoder.layer.{layer}.{name}" for name in theirs)
    return {"positions.table": (POSITIONS,), **weights_and_biases(parts)}


def pooler_names() -> Names:
    """The layer of :class:`regard.nn.Pooling` "bert"."""
    return weights_and_biases({"dense": ("pooler.dense",)})


def masked_head_names() -> Names:
    """Every tensor of a :class:`regard.nn.MaskedHead`."""
    parts: Names = {"dense": (f"{PREDICTIONS}transform.dense",), "norm": (f"{PREDICTIONS}transform.LayerNorm",)}
    return {"bias": (f"{PREDICTIONS}bias",), **weights_and_biases(parts)}


def classifier_names() -> Names:
    """The linear layer at the end of a labeler or classifier."""
    return weights_and_biases({"": ("classifier",)})


def encoder_shapes(sizes: Sizes) -> Shapes:
    """Every tensor of BERT between tokens and the vectors out."""
    E, F = sizes.dim, sizes.feed_forward_dim
    shapes: Shapes = {
        WORDS: (sizes.vocabulary, E),
        POSITIONS: (sizes.positions, E),
        TYPES: (sizes.types, E),
        **norm("embeddings.LayerNorm", E),
    }
    for layer in range(sizes.depth):
        place = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            shapes |= linear(f"{place}.attention.self.{name}", E, E)
        shapes |= linear(f"{place}.attention.output.dense", E, E) | norm(f"{place}.attention.output.LayerNorm", E)
        shapes |= linear(f"{place}.intermediate.dense", F, E)
        shapes |= linear(f"{place}.output.dense", E, F) | norm(f"{place}.output.LayerNorm", E)
    return shapes


def pooler_shapes(sizes: Sizes) -> Shapes:
    return linear("pooler.dense", sizes.dim, sizes.dim)


def masked_head_shapes(sizes: Sizes) -> Shapes:
    E = sizes.dim
    transform = linear(f"{PREDICTIONS}transform.dense", E, E) | norm(f"{PREDICTIONS}transform.LayerNorm", E)
    return {f"{PREDICTIONS}bias": (sizes.vocabulary,), **transform}


def classifier_shapes(sizes: Sizes, labels: int) -> Shapes:
    return linear("classifier", labels, sizes.dim)
