"""BERT and its kin: what each calls its tensors and settings, and which of ours they are.

A row of `ARCHITECTURES` is all that reading and writing one of them takes; the names are those of `transformers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regard.formats.huggingface.names import Layout, Names, Parts, layout

POSITION_TYPE = "absolute"
WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"

# What `transformers` takes where a BERT's config.json leaves a key out.
DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "position_embedding_type": POSITION_TYPE,
    "is_decoder": False,
    "add_cross_attention": False,
}
_LAYER: Names = {
    "attention.input": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output": ("attention.output.dense",),
    "around_attention.norm": ("attention.output.LayerNorm",),
    "feed_forward.input": ("intermediate.dense",),
    "feed_forward.output": ("output.dense",),
    "around_feed_forward.norm": ("output.LayerNorm",),
}


@dataclass(frozen=True)
class MaskedNames:
    """The tensors of a head that guesses tokens: two layers, the bias of the scores, and the table once more.

    Arguments:
        activation: the only one that such a head has; None: that of the layers.
    """

    dense: str
    norm: str
    bias: str
    table: str
    activation: str | None = None


@dataclass(frozen=True)
class Architecture:
    """What BERT, or one of its kin, calls things, and how it differs.

    Arguments:
        title: as messages call it.
        name: ``model_type`` in config.json, and the option `architecture`.
        model: how the names of its classes begin.
        prefix: how the names of the encoder's tensors begin, where there is a head beside it.
        masked_head: its tensors.
        pooling: the kind of :class:`regard.nn.Pooling` that its classifiers have.
        pooled, output: the layer of that pooling, and the matrix to the labels.
        pooler: the layer of a pooling "bert" that the encoder has by itself; None where it has none.
        layer, parts: how the names of layer ``{}`` begin, and those of its parts, ours → theirs.
        keys: of config.json, where they are not called as BERT's are.
        defaults: of these keys, as BERT calls them, where they are others than BERT's.
        fixed: what no key says.
        types: of segments that a new one has; with 0 none tells them apart.
        after_padding: whether positions are counted from the number of the padding token on, and 1.
    """

    title: str
    name: str
    model: str
    prefix: str
    masked_head: MaskedNames
    pooling: str = "bert"
    pooled: str = "classifier.dense"
    output: str = "classifier.out_proj"
    pooler: str | None = "pooler.dense"
    layer: str = "encoder.layer.{}"
    parts: Names = field(default_factory=lambda: _LAYER)
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    types: int = 2
    after_padding: bool = False


def _roberta(title: str, name: str, model: str) -> Architecture:
    """Liu et al. 2019, "RoBERTa"."""
    head = MaskedNames("lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder", activation="gelu")
    size = 50265 if name == "roberta" else 30522
    defaults = {"vocab_size": size, "pad_token_id": 1}
    return Architecture(title, name, model, "roberta.", head, defaults=defaults, types=1, after_padding=True)


_PREDICTIONS = "cls.predictions"
ARCHITECTURES = {
    row.name: row
    for row in (
        Architecture(  # Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers"
            "BERT",
            "bert",
            "Bert",
            "bert.",
            MaskedNames(
                f"{_PREDICTIONS}.transform.dense",
                f"{_PREDICTIONS}.transform.LayerNorm",
                f"{_PREDICTIONS}.bias",
                f"{_PREDICTIONS}.decoder",
            ),
            pooled="pooler.dense",
            output="classifier",
        ),
        _roberta("RoBERTa", "roberta", "Roberta"),
        _roberta("XLM-RoBERTa", "xlm-roberta", "XLMRoberta"),
        _roberta("CamemBERT", "camembert", "Camembert"),
        Architecture(  # Sanh et al. 2019, "DistilBERT"
            "DistilBERT",
            "distilbert",
            "DistilBert",
            "distilbert.",
            MaskedNames("vocab_transform", "vocab_layer_norm", "vocab_projector.bias", "vocab_projector"),
            pooling="distilbert",
            pooled="pre_classifier",
            output="classifier",
            pooler=None,
            layer="transformer.layer.{}",
            parts={
                "attention.input": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
                "attention.output": ("attention.out_lin",),
                "around_attention.norm": ("sa_layer_norm",),
                "feed_forward.input": ("ffn.lin1",),
                "feed_forward.output": ("ffn.lin2",),
                "around_feed_forward.norm": ("output_layer_norm",),
            },
            keys={
                "hidden_size": "dim",
                "num_hidden_layers": "n_layers",
                "num_attention_heads": "n_heads",
                "intermediate_size": "hidden_dim",
                "hidden_act": "activation",
                "hidden_dropout_prob": "dropout",
                "attention_probs_dropout_prob": "attention_dropout",
            },
            defaults={"num_hidden_layers": 6},
            fixed={"layer_norm_eps": 1e-12},
            types=0,
        ),
        Architecture(  # Clark et al. 2020, "ELECTRA"
            "ELECTRA",
            "electra",
            "Electra",
            "electra.",
            MaskedNames(
                "generator_predictions.dense",
                "generator_predictions.LayerNorm",
                "generator_lm_head.bias",
                "generator_lm_head",
                activation="gelu",
            ),
            pooling="electra",
            pooler=None,
            defaults={"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024, "embedding_size": 128},
        ),
    )
}


@dataclass(frozen=True)
class Sizes:
    """V tokens, E, the width of their vectors, number of layers, F the inner width, P positions, types of segment.

    Arguments:
        unused: rows before the first position's.
    """

    vocabulary: int
    dim: int
    embedding_dim: int
    depth: int
    feed_forward_dim: int
    positions: int
    unused: int
    types: int


def encoder(architecture: Architecture, sizes: Sizes) -> Layout:
    """The tensors between tokens and the vectors out; those with a name of ours make an :class:`regard.nn.Encoder`."""
    E, F, I = sizes.dim, sizes.feed_forward_dim, sizes.embedding_dim  # noqa: E741
    ours = {
        "attention.input": (3 * E, E),
        "attention.output": (E, E),
        "around_attention.norm": (E,),
        "feed_forward.input": (F, E),
        "feed_forward.output": (E, F),
        "around_feed_forward.norm": (E,),
    }
    parts: Parts = {"embedding_norm": (("embeddings.LayerNorm",), (I,))}
    if I != E:
        parts = {"embedding_norm.0": parts["embedding_norm"], "embedding_norm.1": (("embeddings_project",), (E, I))}
    for layer in range(sizes.depth):
        place = architecture.layer.format(layer)
        for part, theirs in architecture.parts.items():
            parts[f"layers.{layer}.{part}"] = (tuple(f"{place}.{name}" for name in theirs), ours[part])
    names, shapes = layout(parts)
    tables = {WORDS: (sizes.vocabulary, I), POSITIONS: (sizes.unused + sizes.positions, I)}
    tables |= {TYPES: (sizes.types, I)} if sizes.types else {}
    return {"positions.table": (POSITIONS,), **names}, tables | shapes


def pooling(name: str | None, sizes: Sizes) -> Layout:
    """The layer of a :class:`regard.nn.Pooling`; none where it has no name."""
    return ({}, {}) if name is None else layout({"dense": ((name,), (sizes.dim, sizes.dim))})


def masked_head(architecture: Architecture, sizes: Sizes) -> Layout:
    """Every tensor of a :class:`regard.nn.MaskedHead`."""
    head, width = architecture.masked_head, sizes.embedding_dim
    names, shapes = layout({"dense": ((head.dense,), (width, sizes.dim)), "norm": ((head.norm,), (width,))})
    return {"bias": (head.bias,), **names}, {head.bias: (sizes.vocabulary,), **shapes}


def classifier(name: str, sizes: Sizes, labels: int) -> Layout:
    """The linear layer at the end of a labeler or classifier."""
    return layout({"": ((name,), (labels, sizes.dim))})
