"""The decoder of the Transformer: a sequence that is being written attends to itself and to another."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

import torch
from torch import Tensor, nn

from regard.attention.check import window_sides
from regard.errors import ConfigError, ShapeError
from regard.nn.attention import MultiHeadAttention
from regard.nn.cache import Cache, Past, Projected
from regard.nn.layers import NORM_EPS, Residual
from regard.nn.positions import NO_ORDER, Order
from regard.ragged import Ragged


class DecoderLayer(nn.Module):
    """Attention to what was written so far, attention to the memory, a fully connected network; each in a `Residual`.

    Arguments:
        attention: of the targets to themselves, causal.
        cross_attention: of the targets to the memory, all of it.
        feed_forward: a function of vectors ``[T, E]``.
        dim: E.
        norm: "pre" or "post", as in :class:`Residual`.
        dropout: share of what each part adds that is dropped in training.
        norm_eps: added to the variance.

    Raises:
        ConfigError: ``attention`` sees what comes later, or ``cross_attention`` not the whole memory.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        cross_attention: MultiHeadAttention,
        feed_forward: nn.Module,
        *,
        dim: int,
        norm: str = "pre",
        dropout: float = 0.0,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.reach, right = window_sides(attention.window, attention.causal)
        if right != 0:
            raise ConfigError("attention: a decoder must not see what comes later; make it with causal=True")
        if window_sides(cross_attention.window, cross_attention.causal) != (None, None):
            raise ConfigError(
                f"cross_attention must see the whole memory, got window {cross_attention.window!r} and causal "
                f"{cross_attention.causal}; make it without either"
            )
        self.attention, self.cross_attention, self.feed_forward = attention, cross_attention, feed_forward
        self.around_attention = Residual(dim, norm=norm, dropout=dropout, norm_eps=norm_eps)
        self.around_cross_attention = Residual(dim, norm=norm, dropout=dropout, norm_eps=norm_eps)
        self.around_feed_forward = Residual(dim, norm=norm, dropout=dropout, norm_eps=norm_eps)

    def forward(
        self, batch: Ragged, memory: Ragged | Projected, order: Order = NO_ORDER, past: Past | None = None
    ) -> Ragged:
        """``[T, E]`` → ``[T, E]``.

        Arguments:
            batch: target sequences; with ``past``, for each memory the next vector of each of its hypotheses.
            memory: what they read, sequence by sequence, ``[S, E]`` or already projected.
            order: what positions tell the attention of the targets to themselves.
            past: what these hypotheses have had before.
        """

        def attended(x: Tensor) -> Tensor:
            if past is not None:
                return self.attention.step(x, past, order)
            mixed: Ragged = self.attention(batch.with_values(x), order=order)
            return mixed.values

        def read(x: Tensor) -> Tensor:
            mixed: Ragged = self.cross_attention(batch.with_values(x), memory)
            return mixed.values

        x = self.around_attention(batch.values, attended)
        x = self.around_cross_attention(x, read)
        return batch.with_values(self.around_feed_forward(x, self.feed_forward))


class Decoder(nn.Module):
    """Target vectors → vectors that know of those before them and of the memory, the encoder's output.

    ``norm(layer_n(… layer_1(embedding_norm(positions(x)), memory) …, memory))``. Row p of the output is for what
    comes after target p. In training all rows are made at once. A sequence that is being written gets them one by one
    from :meth:`step`, which costs no more than a row, for the cache of :meth:`start` holds what came before.

    Arguments:
        layers: from first to last.
        positions: added to the vectors before the first layer: `Sinusoidal`, `Learned`, or None.
        order: told to each layer's attention: `Relative`, `Alibi`, `Rotary`, or None.
        norm: on the vectors out; "pre" layers need one.
        embedding_norm: on the vectors with their positions, before the first layer.

    Vaswani et al. 2017, "Attention Is All You Need".

    >>> from regard.nn import build_decoder
    >>> decoder = build_decoder(dim=8, depth=2, heads=2)
    >>> targets, memory = Ragged.from_list([torch.randn(3, 8)]), Ragged.from_list([torch.randn(5, 8)])
    >>> whole, cache = decoder(targets, memory), decoder.start(memory)
    >>> rows = torch.cat([decoder.step(vector[None], cache) for vector in targets.values])
    >>> torch.allclose(whole.values, rows, atol=1e-5)
    True
    """

    def __init__(
        self,
        layers: Iterable[DecoderLayer],
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

    def forward(self, targets: Ragged, memory: Ragged) -> Ragged:
        """``[T, E]`` → ``[T, E]``; ``memory`` ``[S, E]`` has one sequence for each target, of any length."""
        batch, orders = self._with_positions(targets, 0)
        for layer, order in zip(self.layers, orders, strict=False):
            batch = layer(batch, memory, order)
        return batch if self.norm is None else batch.with_values(self.norm(batch.values))

    @torch.no_grad()
    def start(self, memory: Ragged) -> Cache:
        """What :meth:`step` needs to write a sequence for each in ``memory``, with one hypothesis for each at first."""
        layers: list[DecoderLayer] = list(self.layers)  # type: ignore[arg-type]
        projected = [layer.cross_attention.project(memory) for layer in layers]
        past = [Past(layer.reach) for layer in layers]
        return Cache(projected, past, torch.arange(len(memory), device=memory.values.device), len(memory))

    @torch.no_grad()
    def step(self, vectors: Tensor, cache: Cache) -> Tensor:
        """``[R, E]`` → ``[R, E]``: one more position of each hypothesis, without gradient.

        Arguments:
            vectors: of the newest target of each hypothesis.
            cache: from :meth:`start`; it takes in the vectors.

        Raises:
            ShapeError: there are more or fewer vectors than hypotheses.
        """
        if len(vectors) != len(cache):
            raise ShapeError(
                f"vectors must have one row for each of the {len(cache)} hypotheses of the cache, got {len(vectors)}; "
                "say with cache.keep(rows) which go on"
            )
        alone = Ragged(vectors, torch.arange(len(vectors) + 1, device=vectors.device))
        alone, orders = self._with_positions(alone, cache.position)
        batch = Ragged(alone.values, cache.offsets)
        for layer, order, memory, past in zip(self.layers, orders, cache.memory, cache.past, strict=False):
            batch = layer(batch, memory, order, past)
        cache.position += 1
        return batch.values if self.norm is None else self.norm(batch.values)

    def _with_positions(self, batch: Ragged, start: int) -> tuple[Ragged, Iterable[Order]]:
        """The vectors that go into the first layer, and what each layer is told of their order."""
        if self.positions is not None:
            batch = self.positions(batch, start)
        if self.embedding_norm is not None:
            batch = batch.with_values(self.embedding_norm(batch.values))
        return batch, repeat(NO_ORDER) if self.order is None else self.order(batch, start)
