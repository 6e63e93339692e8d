"""The stack of layers."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from regard.ragged import Ragged


class Encoder(nn.Module):
    """Vectors → vectors that know of each other: ``norm(layer_n(… layer_1(embedding_norm(positions(x)))))``.

    Arguments:
        layers: from first to last, `EncoderLayer` or `NeighbourLayer`.
        positions: added to the vectors before the first layer: `Sinusoidal`, `Learned`, or None.
        order: told to each layer's attention: `Relative`, `Alibi`, `Rotary`, or None.
        norm: on the vectors out; "pre" layers need one.
        embedding_norm: on the vectors with their positions, before the first layer, as in BERT.

    >>> import torch
    >>> from regard.nn import EncoderLayer, FeedForward, MultiHeadAttention, Rotary
    >>> layer = EncoderLayer(MultiHeadAttention(8, heads=2), FeedForward(8, 32), dim=8)
    >>> encoder = Encoder([layer], order=Rotary(4), norm=nn.LayerNorm(8))
    >>> encoder(Ragged.from_list([torch.randn(3, 8), torch.randn(5, 8)])).lengths
    tensor([3, 5])
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        *,
        positions: nn.Module | None = None,
        order: nn.Module | None = None,
        norm: nn.Module | None = None,
        embedding_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.positions, self.order, self.norm = positions, order, norm
        self.embedding_norm = embedding_norm

    def forward(self, batch: Ragged) -> Ragged:
        if self.positions is not None:
            batch = self.positions(batch)
        if self.embedding_norm is not None:
            batch = batch.with_values(self.embedding_norm(batch.values))
        if self.order is None:
            for layer in self.layers:
                batch = layer(batch)
        else:
            for layer, order in zip(self.layers, self.order(batch), strict=False):
                batch = layer(batch, order)
        return batch if self.norm is None else batch.with_values(self.norm(batch.values))
