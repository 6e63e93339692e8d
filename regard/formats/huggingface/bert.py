"""BERT's tensors by name and shape, and which of ours they are: what reading and writing BERT have in common.

Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers"; the names are those of `transformers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]
Names = dict[str, tuple[str, ...]]  # ours → BERT's, whose rows stand below each other in ours
Shapes = dict[str, tuple[int, ...]]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
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
    return {"positions.table": (POSITIONS,), **_weights_and_biases(parts)}


def pooler_names() -> Names:
    """The layer of :class:`regard.nn.Pooling` "bert"."""
    return _weights_and_biases({"dense": ("pooler.dense",)})


def masked_head_names() -> Names:
    """Every tensor of a :class:`regard.nn.MaskedHead`."""
    dense, norm = f"{PREDICTIONS}transform.dense", f"{PREDICTIONS}transform.LayerNorm"
    return {"bias": (f"{PREDICTIONS}bias",), **_weights_and_biases({"dense": (dense,), "norm": (norm,)})}


def classifier_names() -> Names:
    """The linear layer at the end of a labeler or classifier."""
    return _weights_and_biases({"": ("classifier",)})


def _weights_and_biases(parts: Names) -> Names:
    return {
        f"{ours}.{kind}".removeprefix("."): tuple(f"{name}.{kind}" for name in theirs)
        for ours, theirs in parts.items()
        for kind in ("weight", "bias")
    }


def encoder_shapes(sizes: Sizes) -> Shapes:
    """Every tensor of BERT between tokens and the vectors out."""
    E, F = sizes.dim, sizes.feed_forward_dim
    shapes: Shapes = {
        WORDS: (sizes.vocabulary, E),
        POSITIONS: (sizes.positions, E),
        TYPES: (sizes.types, E),
        **_norm("embeddings.LayerNorm", E),
    }
    for layer in range(sizes.depth):
        place = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            shapes |= _linear(f"{place}.attention.self.{name}", E, E)
        shapes |= _linear(f"{place}.attention.output.dense", E, E) | _norm(f"{place}.attention.output.LayerNorm", E)
        shapes |= _linear(f"{place}.intermediate.dense", F, E)
        shapes |= _linear(f"{place}.output.dense", E, F) | _norm(f"{place}.output.LayerNorm", E)
    return shapes


def pooler_shapes(sizes: Sizes) -> Shapes:
    return _linear("pooler.dense", sizes.dim, sizes.dim)


def masked_head_shapes(sizes: Sizes) -> Shapes:
    E = sizes.dim
    transform = _linear(f"{PREDICTIONS}transform.dense", E, E) | _norm(f"{PREDICTIONS}transform.LayerNorm", E)
    return {f"{PREDICTIONS}bias": (sizes.vocabulary,), **transform}


def classifier_shapes(sizes: Sizes, labels: int) -> Shapes:
    return _linear("classifier", labels, sizes.dim)


def _linear(name: str, rows: int, columns: int) -> Shapes:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def from_bert(names: Names, tensors: Mapping[str, Tensor]) -> State:
    """BERT's tensors under our names."""
    return {ours: torch.cat([tensors[name] for name in theirs]) for ours, theirs in names.items()}


def to_bert(names: Names, state: Mapping[str, Tensor]) -> State:
    """Our tensors under BERT's names."""
    return {
        name: part
        for ours, theirs in names.items()
        for name, part in zip(theirs, state[ours].chunk(len(theirs)), strict=True)
    }


def our_shapes(names: Names, shapes: Shapes) -> Shapes:
    """What shape each of our tensors has, by the shapes of BERT's."""
    return {ours: (sum(shapes[name][0] for name in theirs), *shapes[theirs[0]][1:]) for ours, theirs in names.items()}
