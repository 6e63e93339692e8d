"""A BERT that `transformers` saved, as the parts of our networks."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.errors import ModelError
from regard.formats.huggingface import bert
from regard.formats.huggingface.bert import ARCHITECTURES, Architecture, Sizes
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
from regard.front_ends.tokenizer import is_lowercase, read_tokenizer, subword_models

logger = logging.getLogger(__name__)

ONLY = {"position_embedding_type": bert.POSITION_TYPE, "is_decoder": False, "add_cross_attention": False}
POSITION_IDS = "embeddings.position_ids"  # 0, 1, 2, ...: nothing is lost with them
HEADS = ("classifier.", "qa_outputs.", "cls.seq_relationship.", "pre_classifier.", "discriminator_predictions.")


@dataclass(frozen=True, eq=False)
class BertFolder:
    """A BERT as the parts of our networks, float32 on the CPU.

    Arguments:
        options: of a task's config, for the front end and the encoder; a window is free to choose.
        tokenizer: what :class:`regard.front_ends.subwords.Subwords` takes.
        embedding: ``[V, E]``, the table of that front end.
        encoder: the state of the :class:`regard.nn.Encoder` for ``options``. What BERT adds to a first segment stands
            in its table of positions, so that ``embedding`` is also the output matrix of ``masked_head``.
        masked_head: the state of a :class:`regard.nn.MaskedHead`; None where the folder has none of that kind.
        pooler: the state of a :class:`regard.nn.Pooling` "bert"; None where the folder has none.
    """

    options: dict[str, Any]
    tokenizer: dict[str, Any]
    embedding: Tensor
    encoder: State
    masked_head: State | None
    pooler: State | None


def read_bert(folder: str | Path) -> BertFolder:
    """Reads a BERT, or one of its kin (`ARCHITECTURES`), that `transformers` saved.

    Its folder holds ``config.json``, ``model.safetensors`` or its parts, and the tokenizer: ``tokenizer.json``,
    ``vocab.txt``, or ``vocab.json`` and ``merges.txt``. Heads of a finished task are left out, which is logged.

    Raises:
        ModelError: a file is missing or damaged, it is another architecture, or its parts do not fit together.
    """
    folder = Path(folder)
    architecture, config = _read_config(folder)
    sizes = _sizes(folder, architecture, config)
    tensors = _read_tensors(folder, architecture, config, sizes)
    tokenizer = json.loads(read_tokenizer(folder, rows=sizes.vocabulary).to_str())
    encoder = to_ours(bert.encoder(architecture, sizes)[0], tensors)
    encoder["positions.table"] = encoder["positions.table"][sizes.unused :]
    if sizes.types:
        encoder["positions.table"] += tensors[bert.TYPES][0]
    head, pooler = bert.masked_head(architecture, sizes)[0], bert.pooling(architecture.pooler, sizes)[0]
    return BertFolder(
        options=_options(architecture, config, sizes, tokenizer),
        tokenizer=tokenizer,
        embedding=tensors[bert.WORDS],
        encoder=encoder,
        masked_head=to_ours(head, tensors) if architecture.masked_head.bias in tensors else None,
        pooler=to_ours(pooler, tensors) if f"{architecture.pooler}.bias" in tensors else None,
    )


def _read_config(folder: Path) -> tuple[Architecture, dict[str, Any]]:
    """Which it is, and its settings as BERT calls them."""
    given = read_config(folder, kind="BERT", holds=f"{WEIGHTS} and tokenizer.json or vocab.txt")
    name = given.get("model_type")
    if name not in tuple(ARCHITECTURES):
        raise ModelError(
            f"{folder / CONFIG}: model_type is {name!r}, only {', '.join(map(repr, ARCHITECTURES))} can be read; "
            "name the folder of such an encoder"
        )
    row = ARCHITECTURES[name]
    defaults = {**bert.DEFAULTS, **row.defaults}
    config = checked_config(folder / CONFIG, given, defaults, ONLY, kind=row.title, keys=row.keys)
    return row, {**config, **row.fixed}


def _sizes(folder: Path, architecture: Architecture, config: dict[str, Any]) -> Sizes:
    unused = config["pad_token_id"] + 1 if architecture.after_padding else 0
    positions = config["max_position_embeddings"]
    if positions <= unused:
        raise ModelError(
            f"{folder / CONFIG}: max_position_embeddings must be more than the {unused} up to pad_token_id, "
            f"got {positions}; copy it again"
        )
    return Sizes(
        vocabulary=config["vocab_size"],
        dim=config["hidden_size"],
        embedding_dim=config["embedding_size" if "embedding_size" in architecture.defaults else "hidden_size"],
        depth=config["num_hidden_layers"],
        feed_forward_dim=config["intermediate_size"],
        positions=positions - unused,
        unused=unused,
        types=config["type_vocab_size"] if architecture.types else 0,
    )


def _options(
    architecture: Architecture, config: dict[str, Any], sizes: Sizes, tokenizer: dict[str, Any]
) -> dict[str, Any]:
    return {
        "architecture": architecture.name,
        "front_end": "subwords",
        **subword_models(tokenizer),
        "subwords": sizes.vocabulary,
        "lowercase": is_lowercase(tokenizer),
        "encoder": "attention",
        "dim": sizes.dim,
        "embedding_dim": None if sizes.embedding_dim == sizes.dim else sizes.embedding_dim,
        "depth": sizes.depth,
        "heads": config["num_attention_heads"],
        "feed_forward_dim": sizes.feed_forward_dim,
        "positions": "learned",
        "position_reach": sizes.positions,
        "score": "dot",
        "normalizer": "softmax",
        "norm": "post",
        "norm_eps": config["layer_norm_eps"],
        "embedding_norm": True,
        "activation": ACTIVATIONS[config["hidden_act"]],
    }


def _read_tensors(folder: Path, architecture: Architecture, config: dict[str, Any], sizes: Sizes) -> State:
    """Those of the encoder, of the pooler and of the masked head, as far as there are any that can be taken."""
    head = architecture.masked_head
    with open_weights(folder, lambda full: _plain_name(full, architecture)) as weights:
        if f"{head.table}.bias" in weights.names and head.bias not in weights.names:
            weights.names[head.bias] = weights.names.pop(f"{head.table}.bias")
        check_depth(weights, sizes.depth)
        parts = _parts(weights, architecture, sizes)
        wanted = {name: shape for part in parts.values() for name, shape in part.items()}
        left_out = (POSITION_IDS, *HEADS, f"{head.table}.")
        check_tensors(weights, wanted, kind=f"{architecture.title} with {sizes.depth} layers", left_out=left_out)
        tensors = {name: weights.read(name) for name in wanted}
        table = weights.read(f"{head.table}.weight") if f"{head.table}.weight" in weights.names else None
    other_activation = head.activation not in (None, ACTIVATIONS[config["hidden_act"]])
    if other_activation or (table is not None and not torch.equal(table, tensors[bert.WORDS])):
        tensors = {name: tensor for name, tensor in tensors.items() if name not in parts.get("head", {})}
    left = sorted(weights.names.keys() - tensors.keys() - {POSITION_IDS})
    if left:
        logger.info("%s: not taken, as no part of an encoder: %s", weights.path, ", ".join(left))
    return tensors


def _plain_name(full: str, architecture: Architecture) -> str:
    """As `transformers` has it today in an encoder by itself."""
    name = full.removeprefix(architecture.prefix).replace("LayerNorm.gamma", "LayerNorm.weight")
    return name.replace("LayerNorm.beta", "LayerNorm.bias")


def _parts(weights: Weights, architecture: Architecture, sizes: Sizes) -> dict[str, Shapes]:
    """The tensors of the encoder, and of each other part of which any is there."""
    parts = {
        "encoder": bert.encoder(architecture, sizes)[1],
        "pooler": bert.pooling(architecture.pooler, sizes)[1],
        "head": bert.masked_head(architecture, sizes)[1],
    }
    return {part: shapes for part, shapes in parts.items() if part == "encoder" or shapes.keys() & weights.names.keys()}
