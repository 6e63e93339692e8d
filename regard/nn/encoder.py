"""The stack of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.nn.chunk import Chunk
from regard.nn.positions import NO_ORDER, Ordering, enter, orders_of_layers
from regard.nn.streaming import Streams
from regard.ragged import Ragged


class Encoder(nn.Module):
    """Vectors → vectors that know of each other: ``norm(layer_n(… layer_1(embedding_norm(positions(x)))))``.

    A sequence that comes piece by piece goes through :meth:`extend`, which gives the same rows, each as soon as all
    that it sees is there. Every layer waits for what its window sees ahead, so that rows come out ``Σ right`` behind.

    Arguments:
        layers: from first to last, `EncoderLayer` or `NeighbourLayer`.
        positions: added to the vectors before the first layer: `Sinusoidal`, `Learned`, or None.
        order: told to each layer's attention: `Relative`, `Alibi`, `Rotary`, or None.
        norm: on the vectors out; "pre" layers need one.
        embedding_norm: on the vectors with their positions, before the first layer, as in BERT.

    >>> from regard.nn import EncoderLayer, FeedForward, MultiHeadAttention, Rotary
    >>> layers = [EncoderLayer(MultiHeadAttention(8, heads=2, window=(4, 1)), FeedForward(8, 32), dim=8) for _ in "ab"]
    >>> encoder = Encoder(layers, order=Rotary(4), norm=nn.LayerNorm(8))
    >>> batch = Ragged.from_list([torch.randn(3, 8), torch.randn(5, 8)])
    >>> whole, streams = encoder(batch), encoder.start(2)
    >>> first = encoder.extend(batch, streams)
    >>> first.lengths
    tensor([1, 3])
    >>> rest = encoder.extend(Ragged.from_lengths(torch.empty(0, 8), [0, 0]), streams, torch.tensor([True, True]))
    >>> torch.allclose(whole.values[:3], torch.cat([first.values[:1], rest.values[:2]]), atol=1e-5)
    True
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        *,
        positions: nn.Module | None = None,
        order: Ordering | None = None,
        norm: nn.Module | None = None,
        embedding_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.positions, self.order, self.norm = positions, order, norm
        self.embedding_norm = embedding_norm

    def forward(self, batch: Ragged) -> Ragged:
        """``[T, E]`` → ``[T, E]``."""
        batch = enter(batch, self.positions, self.embedding_norm)
        for layer, order in zip(self.layers, orders_of_layers(self.order, batch), strict=False):
            batch = layer(batch, order)
        return batch if self.norm is None else batch.with_values(self.norm(batch.values))

    def start(self, streams: int) -> Streams:
        """What :meth:`extend` needs for so many streams of which nothing has come yet.

        Raises:
            ConfigError: a layer's window has no end to the right, so that nothing could come out before all is there.
        """
        layers: list[Any] = list(self.layers)
        return Streams([layer.start() for layer in layers], streams)

    @torch.no_grad()
    def extend(self, vectors: Ragged, streams: Streams, finish: Tensor | None = None) -> Ragged:
        """``[T, E]`` → ``[T', E]``: takes in what came of R streams, and gives what does not change any more.

        Over all calls of a stream its rows are those of :meth:`forward`; without gradient. With windows that end to the
        left, the memory and the work of a vector do not grow with the length of the stream.

        Arguments:
            vectors: the next of each stream, as many as there are, or none.
            streams: from :meth:`start`, with all that came before; it takes in the vectors.
            finish: ``[R]`` bool, True for a stream that ends with these vectors, all of whose rows come out. Its place
                is then that of a new stream, of which nothing has come. None: all go on.

        Raises:
            ShapeError: there are more or fewer sequences, or ends, than streams.
        """
        chunk = Chunk.of(vectors, streams.positions, finish)
        chunk = chunk.with_values(enter(chunk.rows, self.positions, self.embedding_norm, chunk.start).values)
        streams.positions = np.where(chunk.places.ends, 0, chunk.places.starts + chunk.places.counts)
        layers: list[Any] = list(self.layers)
        for number, (layer, state) in enumerate(zip(layers, streams.layers, strict=True)):
            order = NO_ORDER if self.order is None else self.order.of_layer(number, chunk.rows, chunk.start)
            chunk = layer.extend(chunk, state, order)  # whose rows stand elsewhere where some had to wait
        return chunk.rows if self.norm is None else chunk.rows.with_values(self.norm(chunk.values))
