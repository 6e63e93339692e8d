"""Listening to attention layers while a network runs, without changing the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from regard.attention import AttentionWeights
from regard.nn import MultiHeadAttention


@contextmanager
def record(module: nn.Module) -> Iterator[list[AttentionWeights]]:
    """Collects the weights of every attention layer inside ``module``, in the order in which they run.

    The weights are computed beside the output, from the same inputs, by the layer's own ``attention_weights``.
    """
    layers: list[AttentionWeights] = []

    def listen(attention: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        layers.append(attention.attention_weights(*inputs, **keywords))  # type: ignore[operator]

    handles = [
        part.register_forward_pre_hook(listen, with_kwargs=True)
        for part in module.modules()
        if isinstance(part, MultiHeadAttention)
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()
