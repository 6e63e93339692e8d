"""Our networks as a BERT that `transformers` opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.errors import ConfigError, UnsupportedError
from regard.files import write_json
from regard.formats.huggingface import bert
from regard.formats.huggingface.bert import Sizes
from regard.formats.huggingface.folder import CONFIG
from regard.formats.huggingface.names import Names, Shapes, State, to_theirs
from regard.formats.huggingface.writing import differences, encoder_config, inner_width, new_folder
from regard.front_ends.tokenizer import write_tokenizer
from regard.front_ends.tokens import PAD

ARCHITECTURES = {
    "encoder": "BertModel",
    "label": "BertForTokenClassification",
    "classify": "BertForSequenceClassification",
    "pretrain": "BertForMaskedLM",
}
BERT_HAS = {
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


def reasons_against_bert(kind: str, options: Mapping[str, Any]) -> list[str]:
    """Every option of a network that no BERT has; none where :func:`write_bert` can write it.

    >>> reasons_against_bert("label", {"front_end": "subwords", "norm": "pre"})
    ["norm is 'pre', BERT has 'post'"]
    """
    return differences("BERT", BERT_HAS | ({"pooling": "bert"} if kind == "classify" else {}), options)


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
        options: those of the network, all of them, as in a task's config.
        tokenizer: what the front end was made of.
        embedding: ``[V, E]``, the front end's table.
        encoder: state of the :class:`regard.nn.Encoder`.
        head: state of a linear layer from E to the labels, or of the masked head.
        pooler: state of the :class:`regard.nn.Pooling` "bert".
        labels: by row of ``head``.

    Raises:
        UnsupportedError: the network is no BERT, with every reason.
        ModelError: tensors that are not those of the options.
        ConfigError: a ``kind`` that does not exist.
        RegardError: the folder cannot be written, or something is in it.

    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers".
    """
    folder = Path(folder)
    _check_call(folder, kind, options)
    sizes = _sizes(options, vocabulary=len(embedding))
    tensors = _encoder_tensors(sizes, embedding, encoder)
    with_pooler = kind == "classify" or (kind == "encoder" and pooler is not None)
    tensors |= _renamed("pooler", bert.pooler_names() if with_pooler else {}, bert.pooler_shapes(sizes), pooler)
    names, shapes = _head(kind, sizes, len(labels))
    tensors |= _renamed("head", names, shapes, head)
    with new_folder(folder, _full_names(kind, tensors)) as part:
        written = write_tokenizer(part, tokenizer, rows=sizes.vocabulary, longest=sizes.positions)
        write_json(_config(kind, options, sizes, written.token_to_id(PAD), labels), part / CONFIG)


def _check_call(folder: Path, kind: str, options: Mapping[str, Any]) -> None:
    if kind not in ARCHITECTURES:
        raise ConfigError(f"kind must be one of {', '.join(ARCHITECTURES)}; got {kind!r}")
    reasons = reasons_against_bert(kind, options)
    if reasons:
        raise UnsupportedError(
            f"this network is no BERT, which is all that can be exported: {'; '.join(reasons)}; "
            "train with BERT's options, or from a BERT"
        )


def _sizes(options: Mapping[str, Any], *, vocabulary: int) -> Sizes:
    return Sizes(
        vocabulary=vocabulary,
        dim=options["dim"],
        depth=options["depth"],
        feed_forward_dim=inner_width(options),
        positions=options["position_reach"],
    )


def _encoder_tensors(sizes: Sizes, embedding: Tensor, encoder: State) -> State:
    """With nothing added to either segment: what a first one has stands in the table of positions."""
    shapes = bert.encoder_shapes(sizes)
    tensors = _renamed("embedding", {"": (bert.WORDS,)}, shapes, {"": embedding})
    tensors |= _renamed("encoder", bert.encoder_names(sizes.depth), shapes, encoder)
    return tensors | {bert.TYPES: embedding.new_zeros(sizes.types, sizes.dim)}


def _head(kind: str, sizes: Sizes, labels: int) -> tuple[Names, Shapes]:
    if kind == "encoder":
        return {}, {}
    if kind == "pretrain":
        return bert.masked_head_names(), bert.masked_head_shapes(sizes)
    return bert.classifier_names(), bert.classifier_shapes(sizes, labels)


def _renamed(part: str, names: Names, shapes: Shapes, state: State | None) -> State:
    return to_theirs(part, names, shapes, state, program="BERT")


def _full_names(kind: str, tensors: State) -> State:
    """With the names that the architecture has."""
    own = ("cls.", "classifier.")
    prefix = "" if kind == "encoder" else "bert."
    return {name if name.startswith(own) else prefix + name: tensor for name, tensor in tensors.items()}


def _config(
    kind: str, options: Mapping[str, Any], sizes: Sizes, padding: int | None, labels: Sequence[str]
) -> dict[str, Any]:
    return encoder_config(options, labels) | {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": bert.MODEL_TYPE,
        "position_embedding_type": bert.POSITION_TYPE,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.types,
        "pad_token_id": padding,
        "tie_word_embeddings": True,
    }
