"""The network of a task: front end × encoder × head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn

from regard.data import Example
from regard.front_ends import Vectors, Words
from regard.nn import build_encoder
from regard.ragged import Ragged
from regard.training.config import Config


class FrontEnd(Protocol):
    """Raw items in, vectors out; any front end goes with any task."""

    def encode(self, sequences: Sequence[Any]) -> Any:
        """Raw sequences as one batch with ``.to(device)``, on the CPU."""

    def __call__(self, inputs: Any) -> Ragged:
        """The batch as vectors ``[T, dim]``."""

    def vocabulary(self) -> dict[str, Any]:
        """What is needed beside weights to build it again, ready for JSON."""


class LabelNetwork(nn.Module):
    """One row of label scores for every item: ``head(encoder(front_end(inputs)))``, ``[T, labels]``."""

    def __init__(self, front_end: nn.Module, encoder: nn.Module, *, dim: int, labels: int) -> None:
        super().__init__()
        self.front_end, self.encoder = front_end, encoder
        self.head = nn.Linear(dim, labels)

    def forward(self, inputs: Any) -> Ragged:
        vectors: Ragged = self.encoder(self.front_end(inputs))
        return vectors.with_values(self.head(vectors.values))


def learn_front_end(config: Config, examples: Sequence[Example]) -> nn.Module:
    """A front end with the vocabulary, or the scale, of the training examples."""
    items = [example.items for example in examples]
    if config.front_end == "vectors":
        return Vectors.from_arrays(items, dim=config.dim, dropout=config.dropout)  # type: ignore[arg-type]
    return Words.from_sentences(
        items,  # type: ignore[arg-type]
        dim=config.dim,
        dropout=config.dropout,
        implementation=config.implementation,
    )


def restore_front_end(config: Config, vocabulary: dict[str, Any]) -> nn.Module:
    """The front end of a saved model."""
    if config.front_end == "vectors":
        return Vectors(**vocabulary, dim=config.dim, dropout=config.dropout)
    return Words(**vocabulary, dim=config.dim, dropout=config.dropout, implementation=config.implementation)


def build_network(config: Config, front_end: nn.Module, labels: int) -> LabelNetwork:
    encoder = build_encoder(
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
        dropout=config.dropout,
        implementation=config.implementation,
    )
    return LabelNetwork(front_end, encoder, dim=config.dim, labels=labels)


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
