"""A BERT that `transformers` saved, as the parts of our networks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.formats.huggingface import bert
from regard.formats.huggingface.bert import PREDICTIONS, Sizes
from regard.formats.huggingface.folder import (
    ACTIVATIONS,
    WEIGHTS,
    check_depth,
    check_tensors,
    open_weights,
    read_config,
)
from regard.formats.huggingface.names import Shapes, State, to_ours
from regard.front_ends.tokenizer import is_lowercase, read_tokenizer, subword_model

logger = logging.getLogger(__name__)

# What `transformers` takes where config.json leaves a key out.
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
    "position_embedding_type": bert.POSITION_TYPE,
    "is_decoder": False,
    "add_cross_attention": False,
}
ONLY = {
    "model_type": bert.MODEL_TYPE,
    "position_embedding_type": bert.POSITION_TYPE,
    "is_decoder": False,
    "add_cross_attention": False,
}
DECODER = f"{PREDICTIONS}decoder"
POSITION_IDS = "embeddings.position_ids"  # 0, 1, 2, ...: nothing is lost with them
LEFT_OUT = (POSITION_IDS, "classifier.", "qa_outputs.", "cls.seq_relationship.", f"{DECODER}.")


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
    """Reads a BERT that `transformers` saved: ``config.json``, ``model.safetensors``, and the tokenizer.

    The tokenizer is ``tokenizer.json`` or ``vocab.txt``. Heads of a finished task are left out, which is logged.

    Raises:
        ModelError: a file is missing or damaged, it is another architecture, or its parts do not fit together.

    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers".
    """
    folder = Path(folder)
    holds = f"{WEIGHTS} and tokenizer.json or vocab.txt"
    config = read_config(folder, DEFAULTS, ONLY, kind="BERT", holds=holds)
    sizes = Sizes(
        vocabulary=config["vocab_size"],
        dim=config["hidden_size"],
        depth=config["num_hidden_layers"],
        feed_forward_dim=config["intermediate_size"],
        positions=config["max_position_embeddings"],
        types=config["type_vocab_size"],
    )
    tensors = _read_tensors(folder, sizes)
    tokenizer = json.loads(read_tokenizer(folder, rows=sizes.vocabulary).to_str())
    encoder = to_ours(bert.encoder_names(sizes.depth), tensors)
    encoder["positions.table"] += tensors[bert.TYPES][0]
    names, pooler_names = bert.masked_head_names(), bert.pooler_names()
    return BertFolder(
        options=_options(config, tokenizer),
        tokenizer=tokenizer,
        embedding=tensors[bert.WORDS],
        encoder=encoder,
        masked_head=to_ours(names, tensors) if f"{PREDICTIONS}bias" in tensors else None,
        pooler=to_ours(pooler_names, tensors) if "pooler.dense.bias" in tensors else None,
    )


def _options(config: dict[str, Any], tokenizer: dict[str, Any]) -> dict[str, Any]:
    return {
        "front_end": "subwords",
        "subword_model": subword_model(tokenizer),
        "subwords": config["vocab_size"],
        "lowercase": is_lowercase(tokenizer),
        "encoder": "attention",
        "dim": config["hidden_size"],
        "depth": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "feed_forward_dim": config["intermediate_size"],
        "positions": "learned",
        "position_reach": config["max_position_embeddings"],
        "score": "dot",
        "normalizer": "softmax",
        "norm": "post",
        "norm_eps": config["layer_norm_eps"],
        "embedding_norm": True,
        "activation": ACTIVATIONS[config["hidden_act"]],
    }


def _read_tensors(folder: Path, sizes: Sizes) -> State:
    """Those of the encoder, of the pooler and of the masked head, as far as there are any."""
    with open_weights(folder, _plain_name) as weights:
        if f"{DECODER}.bias" in weights.names and f"{PREDICTIONS}bias" not in weights.names:
            weights.names[f"{PREDICTIONS}bias"] = weights.names.pop(f"{DECODER}.bias")
        check_depth(weights, sizes.depth)
        wanted = _wanted(weights.names, sizes)
        check_tensors(weights, wanted, kind=f"a BERT of {sizes.depth} layers", left_out=LEFT_OUT)
        tensors = {name: weights.read(name) for name in wanted}
        output = weights.read(f"{DECODER}.weight") if f"{DECODER}.weight" in weights.names else None
    left = sorted(weights.names.keys() - wanted.keys() - {POSITION_IDS})
    if output is not None and f"{PREDICTIONS}bias" in tensors and not torch.equal(output, tensors[bert.WORDS]):
        head = [name for name in tensors if name.startswith(PREDICTIONS)]  # it has an output matrix of its own
        tensors = {name: tensor for name, tensor in tensors.items() if name not in head}
        left += head
    if left:
        logger.info("%s: not taken, as no part of an encoder: %s", weights.path, ", ".join(left))
    return tensors


def _plain_name(full: str) -> str:
    """As `transformers` has it today in an encoder by itself."""
    name = full.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight")
    return name.replace("LayerNorm.beta", "LayerNorm.bias")


def _wanted(found: Iterable[str], sizes: Sizes) -> Shapes:
    wanted = bert.encoder_shapes(sizes)
    if any(name.startswith("pooler.") for name in found):
        wanted |= bert.pooler_shapes(sizes)
    if any(name.startswith(PREDICTIONS) for name in found):
        wanted |= bert.masked_head_shapes(sizes)
    return wanted
