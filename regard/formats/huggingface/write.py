"""Our networks as a BERT, or one of its kin, that `transformers` opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.errors import ConfigError, UnsupportedError
from regard.files import write_json
from regard.formats.huggingface import bert
from regard.formats.huggingface.bert import ARCHITECTURES, Architecture, Sizes
from regard.formats.huggingface.folder import CONFIG
from regard.formats.huggingface.names import Layout, State, to_theirs
from regard.formats.huggingface.writing import differences, encoder_config, inner_width, new_folder
from regard.front_ends.tokenizer import padding_of, write_tokenizer
from regard.front_ends.tokens import PAD

CLASSES = {
    "encoder": "Model",
    "label": "ForTokenClassification",
    "classify": "ForSequenceClassification",
    "pretrain": "ForMaskedLM",
}
ALL_HAVE = {
    "front_end": "subwords",
    "encoder": "attention",
    "positions": "learned",
    "embedding_norm": True,
    "window": None,
    "windows": None,
    "causal": False,
    "score": "dot",
    "normalizer": "softmax",
    "norm": "post",
    "case": False,
}


def architecture_of(options: Mapping[str, Any]) -> Architecture:
    """The one of `ARCHITECTURES` that a network is to be written as."""
    return ARCHITECTURES[options.get("architecture", "bert")]


def reasons_against_bert(kind: str, options: Mapping[str, Any]) -> list[str]:
    """Every option of a network that its architecture does not have; none where :func:`write_bert` can write it.

    >>> reasons_against_bert("label", {"front_end": "subwords", "norm": "pre"})
    ["norm is 'pre', BERT has 'post'"]
    """
    row = architecture_of(options)
    wanted = dict(ALL_HAVE)
    if kind == "classify":
        wanted["pooling"] = row.pooling
    if kind == "pretrain" and row.masked_head.activation is not None:
        wanted["activation"] = row.masked_head.activation
    if "embedding_size" not in row.defaults and options.get("embedding_dim") != options.get("dim"):
        wanted["embedding_dim"] = None
    if "layer_norm_eps" in row.fixed:
        wanted["norm_eps"] = row.fixed["layer_norm_eps"]
    return differences(row.title, wanted, options)


def write_bert(
    folder: str | Path,
    *,
    kind: str,
    options: Mapping[str, Any],
    tokenizer: dict[str, Any],
    embedding: Tensor,
    encoder: State,
    head: State | None = None,
    pooler: State | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Writes a folder that `transformers` opens (``AutoModel...``, ``AutoTokenizer``) and that gives the same numbers.

    - "encoder": for AutoModel; with ``pooler``, or without.
    - "label": for AutoModelForTokenClassification; with ``head`` and ``labels``. Pass it sentences with
      ``is_split_into_words=True``: the label of a word is that of its first token.
    - "classify": for AutoModelForSequenceClassification; with ``pooler``, ``head`` and ``labels``.
    - "pretrain": for AutoModelForMaskedLM; with ``head``, the state of a :class:`regard.nn.MaskedHead`.

    Arguments:
        folder: made, or an empty one; it is filled when all is written.
        kind: one of the above.
        options: those of the network, all of them, as in a task's config; ``architecture`` is what it is written as.
        tokenizer: what the front end was made of.
        embedding: ``[V, E]``, the front end's table.
        encoder: state of the :class:`regard.nn.Encoder`.
        head: state of a linear layer from E to the labels, or of the masked head.
        pooler: state of the :class:`regard.nn.Pooling` of the architecture's kind.
        labels: by row of ``head``.

    Raises:
        UnsupportedError: the network is none of its architecture, with every reason.
        ModelError: tensors that are not those of the options.
        ConfigError: a ``kind`` that does not exist.
        RegardError: the folder cannot be written, or something is in it.
    """
    folder = Path(folder)
    _check_call(folder, kind, options)
    row, padding = architecture_of(options), padding_of(tokenizer)
    sizes = _sizes(row, options, padding, vocabulary=len(embedding))
    inner = _encoder_tensors(row, sizes, embedding, encoder)
    outer = _renamed(row, "head", _head(row, kind, sizes, len(labels)), head)
    pooled = row.pooled if kind == "classify" else row.pooler if kind == "encoder" and pooler is not None else None
    pooling = _renamed(row, "pooler", bert.pooling(pooled, sizes), pooler)
    if pooled == row.pooler:
        inner |= pooling
    else:
        outer |= pooling
    prefix = "" if kind == "encoder" else row.prefix
    with new_folder(folder, outer | {prefix + name: tensor for name, tensor in inner.items()}) as part:
        write_tokenizer(
            part,
            tokenizer,
            rows=sizes.vocabulary,
            longest=sizes.positions,
            types=sizes.types > 1,
            of_words=kind == "label",
        )
        write_json(_config(row, kind, options, sizes, padding, labels), part / CONFIG)


def _check_call(folder: Path, kind: str, options: Mapping[str, Any]) -> None:
    if kind not in CLASSES:
        raise ConfigError(f"kind must be one of {', '.join(CLASSES)}; got {kind!r}")
    reasons = reasons_against_bert(kind, options)
    if reasons:
        title = architecture_of(options).title
        raise UnsupportedError(
            f"this network is no {title}, as which it is to be exported: {'; '.join(reasons)}; "
            f"train with the options of a {title}, or from one"
        )


def _sizes(row: Architecture, options: Mapping[str, Any], padding: int | None, *, vocabulary: int) -> Sizes:
    if row.after_padding and padding is None:
        raise UnsupportedError(
            f"this network is no {row.title}: its tokenizer lacks {PAD}, after whose number positions are counted"
        )
    width = options.get("embedding_dim")
    return Sizes(
        vocabulary=vocabulary,
        dim=options["dim"],
        embedding_dim=options["dim"] if width is None else width,
        depth=options["depth"],
        feed_forward_dim=inner_width(options),
        positions=options["position_reach"],
        unused=padding + 1 if row.after_padding and padding is not None else 0,
        types=row.types,
    )


def _encoder_tensors(row: Architecture, sizes: Sizes, embedding: Tensor, encoder: State) -> State:
    """With nothing added to any segment: what a first one has stands in the table of positions."""
    names, shapes = bert.encoder(row, sizes)
    table = encoder.get("positions.table")
    if table is not None:
        encoder = encoder | {"positions.table": torch.cat([table.new_zeros(sizes.unused, *table.shape[1:]), table])}
    tensors = _renamed(row, "embedding", ({"": (bert.WORDS,)}, shapes), {"": embedding})
    tensors |= _renamed(row, "encoder", (names, shapes), encoder)
    return tensors | ({bert.TYPES: embedding.new_zeros(shapes[bert.TYPES])} if sizes.types else {})


def _head(row: Architecture, kind: str, sizes: Sizes, labels: int) -> Layout:
    if kind == "encoder":
        return {}, {}
    if kind == "pretrain":
        return bert.masked_head(row, sizes)
    return bert.classifier(row.output if kind == "classify" else "classifier", sizes, labels)


def _renamed(row: Architecture, part: str, layout: Layout, state: State | None) -> State:
    return to_theirs(part, *layout, state, program=row.title)


def _config(
    row: Architecture,
    kind: str,
    options: Mapping[str, Any],
    sizes: Sizes,
    padding: int | None,
    labels: Sequence[str],
) -> dict[str, Any]:
    config = encoder_config(options, labels) | {
        "architectures": [row.model + CLASSES[kind]],
        "model_type": row.name,
        "position_embedding_type": bert.POSITION_TYPE,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.unused + sizes.positions,
        "pad_token_id": padding,
        "tie_word_embeddings": True,
    }
    config |= {"type_vocab_size": sizes.types} if sizes.types else {}
    config |= {"embedding_size": sizes.embedding_dim} if "embedding_size" in row.defaults else {}
    return {row.keys.get(key, key): value for key, value in config.items() if key not in row.fixed}
