"""Listening to attention layers while a network runs, without changing the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from regard.attention import AttentionWeights
from regard.nn import MultiHeadAttention


@dataclass(frozen=True, eq=False)
class Recorded:
    """What one attention layer did.

    Arguments:
        name: of the layer within the module that was recorded, as in "layers.0.cross_attention".
        weights: who attended to whom.
    """

    name: str
    weights: AttentionWeights

    @property
    def role(self) -> str:
        """ "attention" or "cross_attention"."""
        return self.name.rpartition(".")[2]


@contextmanager
def record(module: nn.Module) -> Iterator[list[Recorded]]:
    """Collects the weights of every attention layer inside ``module``, in the order in which they run.

    The weights are computed beside the output, from the same inputs, by the layer's own ``attention_weights``.
    """
    layers: list[Recorded] = []

    def listener(name: str) -> Any:
        def listen(attention: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            layers.append(Recorded(name, attention.attention_weights(*inputs, **keywords)))

        return listen

    handles = [
        part.register_forward_pre_hook(listener(name), with_kwargs=True)
        for name, part in module.named_modules()
        if isinstance(part, MultiHeadAttention)
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()
