"""The network of a task: front end × encoder × head. The head is in the file of its task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from regard.data.example import Items
from regard.errors import ConfigError
from regard.front_ends import Symbols, Vectors, Words
from regard.nn import build_encoder
from regard.ragged import Ragged
from regard.tasks.pretrained import open_pretrained
from regard.training.config import Config

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNITS = {"characters": "character", "symbols": "symbol"}


class FrontEnd(Protocol):
    """Raw items in, vectors out; any front end goes with any task."""

    def encode(self, sequences: Sequence[Any]) -> Any:
        """Raw sequences as one batch with ``.to(device)``, on the CPU."""

    def __call__(self, inputs: Any) -> Ragged:
        """The batch as vectors ``[T, dim]``."""

    def names(self, items: Any) -> list[str] | None:
        """What each vector of one sequence stands for."""

    def vocabulary(self) -> dict[str, Any]:
        """What is needed beside weights to build it again, ready for JSON."""


def learn_front_end(config: Config, kind: str, sequences: Iterable[Items]) -> nn.Module:
    """A front end with the vocabulary, or the scale, of the training data, or of the pretrained network.

    Raises:
        ConfigError: a tokenizer is given, and nothing is cut into subwords, or how to learn one is said too.
    """
    if config.tokenizer is not None and "subwords" not in (config.front_end, getattr(config, "target_units", None)):
        raise ConfigError(
            f"tokenizer: it cuts text into subwords, got front_end '{config.front_end}'; set that to subwords"
        )
    if config.pretrained is not None and kind == config.front_end:
        return restore_front_end(config, kind, open_pretrained(config.pretrained).vocabulary)
    sizes: dict[str, Any] = {"dim": config.dim, "dropout": config.dropout}
    if kind == "vectors":
        return Vectors.from_arrays(sequences, **sizes)  # type: ignore[arg-type]
    if kind == "words":
        return Words.from_sentences(sequences, **sizes, implementation=config.implementation)  # type: ignore[arg-type]
    texts = _Texts(sequences)
    if kind in UNITS:
        return Symbols.learn(texts, unit=UNITS[kind], lowercase=config.lowercase, **sizes)
    from regard.front_ends.subwords import Subwords

    if config.tokenizer is not None:
        return Subwords.of(_given_tokenizer(config), **sizes, case=config.case)
    choices: dict[str, Any] = {"kind": config.subword_model, "size": config.subwords, "lowercase": config.lowercase}
    return Subwords.learn(texts, **choices, **sizes, case=config.case)


def _given_tokenizer(config: Config) -> Tokenizer:
    from regard.tasks.bert_tokenizer import read_tokenizer

    for name in ("subword_model", "subwords", "lowercase"):
        given = getattr(config, name)
        if given != Config.model_fields[name].default:
            raise ConfigError(f"{name}: the tokenizer {config.tokenizer} has its own, got {given!r}; leave it out")
    return read_tokenizer(Path(str(config.tokenizer)))


def restore_front_end(config: Config, kind: str, vocabulary: dict[str, Any]) -> nn.Module:
    """The front end of a saved model."""
    sizes: dict[str, Any] = {"dim": config.dim, "dropout": config.dropout}
    if kind == "vectors":
        return Vectors(**vocabulary, **sizes)
    if kind == "words":
        return Words(**vocabulary, **sizes, implementation=config.implementation)
    if kind in UNITS:
        return Symbols(**vocabulary, **sizes)
    from regard.front_ends.subwords import Subwords

    return Subwords(**vocabulary, **sizes, case=config.case)


def make_encoder(config: Config) -> nn.Module:
    """The encoder that the options ask for."""
    return build_encoder(
        config.encoder,
        dim=config.dim,
        depth=config.depth,
        heads=config.heads,
        feed_forward_dim=config.feed_forward_dim,
        positions=config.positions,
        position_reach=config.position_reach,
        window=config.window,
        causal=config.causal,
        score=config.score,
        normalizer=config.normalizer,
        norm=config.norm,
        norm_eps=config.norm_eps,
        embedding_norm=config.embedding_norm,
        activation=config.activation,
        dropout=config.dropout,
        implementation=config.implementation,
    )


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _Texts:
    """Items as texts, as often as they are asked for."""

    def __init__(self, sequences: Iterable[Items]) -> None:
        self.sequences = sequences

    def __iter__(self) -> Iterator[str]:
        return (items if isinstance(items, str) else " ".join(items) for items in self.sequences)
