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

from regard.errors import ModelError
from regard.files import read_json
from regard.formats.huggingface import bert
from regard.formats.huggingface.bert import CONFIG, PREDICTIONS, WEIGHTS, Shapes, Sizes, State
from regard.front_ends.tokenizer import is_lowercase, read_tokenizer, subword_model
from regard.nn.layers import ACTIVATIONS
from regard.tensors import BadTensors, open_tensors

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
NUMBERS = ("F16", "BF16", "F32", "F64")


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
    config = _read_config(folder)
    sizes = Sizes(
        vocabulary=config["vocab_size"],
        dim=config["hidden_size"],
        depth=config["num_hidden_layers"],
        feed_forward_dim=config["intermediate_size"],
        positions=config["max_position_embeddings"],
        types=config["type_vocab_size"],
    )
    tensors = _read_tensors(_weights_of(folder), sizes)
    tokenizer = json.loads(read_tokenizer(folder, rows=sizes.vocabulary).to_str())
    encoder = bert.from_bert(bert.encoder_names(sizes.depth), tensors)
    encoder["positions.table"] += tensors[bert.TYPES][0]
    names, pooler_names = bert.masked_head_names(), bert.pooler_names()
    return BertFolder(
        options=_options(config, tokenizer),
        tokenizer=tokenizer,
        embedding=tensors[bert.WORDS],
        encoder=encoder,
        masked_head=bert.from_bert(names, tensors) if f"{PREDICTIONS}bias" in tensors else None,
        pooler=bert.from_bert(pooler_names, tensors) if "pooler.dense.bias" in tensors else None,
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
        "activation": config["hidden_act"],
    }


# config.json


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(
            f"{path}: no such file; a BERT's folder holds {CONFIG}, {WEIGHTS} and tokenizer.json or vocab.txt, "
            "as save_pretrained of `transformers` writes them"
        )
    config = DEFAULTS | read_json(path)
    for key, wanted in ONLY.items():
        if config.get(key) != wanted:
            raise ModelError(
                f"{path}: {key} is {config.get(key)!r}, only {wanted!r} can be read; name the folder of a BERT encoder"
            )
    if config["hidden_act"] not in tuple(ACTIVATIONS):
        known = ", ".join(ACTIVATIONS)
        raise ModelError(
            f"{path}: hidden_act must be one of {known}, got {config['hidden_act']!r}; name the folder of another BERT"
        )
    _check_sizes(path, config)
    return config


def _check_sizes(path: Path, config: dict[str, Any]) -> None:
    for key, default in DEFAULTS.items():
        value, least = config[key], 0 if key == "num_hidden_layers" else 1
        if type(default) is int and (type(value) is not int or value < least):
            raise ModelError(f"{path}: {key} must be a whole number from {least}, got {value!r}; copy it again")
    eps = config["layer_norm_eps"]
    if type(eps) not in (int, float) or not 0 < eps < 1:
        raise ModelError(f"{path}: layer_norm_eps must be a number between 0 and 1, got {eps!r}; copy it again")
    dim, heads = config["hidden_size"], config["num_attention_heads"]
    if dim % heads:
        raise ModelError(f"{path}: hidden_size must be a multiple of num_attention_heads, got {dim} and {heads}")


# model.safetensors


def _weights_of(folder: Path) -> Path:
    """The file of weights; what else a folder may hold in its stead is refused with what to do."""
    path = folder / WEIGHTS
    others = [name for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack") if (folder / name).is_file()]
    if path.is_file():
        for other in others:
            logger.info("%s: not read, as only %s is", folder / other, WEIGHTS)
        return path
    if (folder / f"{WEIGHTS}.index.json").is_file():
        raise ModelError(
            f"{folder}: its weights lie in several files; join them with `transformers`: "
            "model.save_pretrained(FOLDER, max_shard_size='100GB')"
        )
    if others:
        raise ModelError(
            f"{folder}: holds {others[0]} but no {WEIGHTS}, and only that is read, as opening the others may run code "
            "of whoever wrote them; if you trust it, open it with `transformers` and call model.save_pretrained(FOLDER)"
        )
    raise ModelError(f"{path}: no such file; copy it beside {CONFIG}")


def _read_tensors(path: Path, sizes: Sizes) -> State:
    """Those of the encoder, of the pooler and of the masked head, as far as there are any."""
    try:
        with open_tensors(path) as file:
            names = _plain_names(path, file.entries)
            found = {name: file.entries[full].shape for name, full in names.items()}
            if sizes.depth > len(found):  # the names of any number of layers would take any memory
                asked = f"{CONFIG} asks for {sizes.depth} layers"
                raise ModelError(f"{path}: holds {len(found)} tensors, {asked}; copy both from one place")
            wanted = _wanted(found, sizes)
            _check_shapes(path, wanted, found, sizes)
            _check_numbers(path, {name: file.entries[names[name]].kind for name in wanted})
            tensors = {name: file.read(names[name]).float() for name in wanted}
            output = file.read(names[f"{DECODER}.weight"]).float() if f"{DECODER}.weight" in names else None
    except (OSError, BadTensors) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error}); copy it again") from error
    left = sorted(found.keys() - wanted.keys() - {POSITION_IDS})
    if output is not None and f"{PREDICTIONS}bias" in tensors and not torch.equal(output, tensors[bert.WORDS]):
        head = [name for name in tensors if name.startswith(PREDICTIONS)]  # it has an output matrix of its own
        tensors = {name: tensor for name, tensor in tensors.items() if name not in head}
        left += head
    if left:
        logger.info("%s: not taken, as no part of an encoder: %s", path, ", ".join(left))
    return tensors


def _plain_names(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Each name as `transformers` has it today in an encoder by itself, and as it stands in the file."""
    plain: dict[str, str] = {}
    for full in names:
        name = full.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        if name in plain:
            raise ModelError(f"{path}: '{name}' stands there twice, as {plain[name]} and {full}; save the model again")
        plain[name] = full
    if f"{DECODER}.bias" in plain and f"{PREDICTIONS}bias" not in plain:
        plain[f"{PREDICTIONS}bias"] = plain.pop(f"{DECODER}.bias")
    return plain


def _wanted(found: Shapes, sizes: Sizes) -> Shapes:
    wanted = bert.encoder_shapes(sizes)
    if any(name.startswith("pooler.") for name in found):
        wanted |= bert.pooler_shapes(sizes)
    if any(name.startswith(PREDICTIONS) for name in found):
        wanted |= bert.masked_head_shapes(sizes)
    return wanted


def _check_shapes(path: Path, wanted: Shapes, found: Shapes, sizes: Sizes) -> None:
    for name, shape in wanted.items():
        if name not in found:
            raise ModelError(f"{path}: '{name}' is missing, {CONFIG} asks for {list(shape)}; copy both from one place")
        if found[name] != shape:
            raise ModelError(
                f"{path}: '{name}' has shape {list(found[name])}, {CONFIG} asks for {list(shape)}; "
                "copy both from one place"
            )
    surplus = sorted(name for name in found if name not in wanted and not name.startswith(LEFT_OUT))
    if surplus:
        raise ModelError(
            f"{path}: '{surplus[0]}' is no part of a BERT of {sizes.depth} layers, which {CONFIG} says it is; "
            "copy both from one place"
        )


def _check_numbers(path: Path, kinds: dict[str, str]) -> None:
    for name, kind in kinds.items():
        if kind not in NUMBERS:
            raise ModelError(
                f"{path}: '{name}' holds {kind}, only {', '.join(NUMBERS)} can be read; save the model again in float32"
            )
