"""The decoder of the Transformer: a sequence that is being written attends to itself and to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from regard.attention.check import window_sides
from regard.errors import ConfigError, ShapeError
from regard.nn.attention import MultiHeadAttention
from regard.nn.cache import Cache, Projected, Slots
from regard.nn.chunk import Chunk, Places
from regard.nn.layers import NORM_EPS, Residual
from regard.nn.positions import NO_ORDER, Order, Ordering, enter, orders_of_layers
from regard.nn.streaming import AttentionState
from regard.ragged import Ragged, beside, on_host, takes_ragged


class DecoderLayer(nn.Module):
    """Attention to what was written so far, attention to the memory, a fully connected network; each in a `Residual`.

    Arguments:
        attention: of the targets to themselves, causal.
        cross_attention: of the targets to the memory, all of it.
        feed_forward: a function of vectors ``[T, E]``.
        dim: ``E``.
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
        if window_sides(attention.window, attention.causal)[1] != 0:
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

    @takes_ragged
    def forward(self, targets: Ragged, memory: Ragged, order: Order = NO_ORDER) -> Ragged:
        """``[T, E]`` → ``[T, E]``.

        Arguments:
            targets: what was written.
            memory: what each of them reads, sequence by sequence, ``[S, E]``.
            order: what positions tell the attention of the targets to themselves.
        """

        def attended(x: Tensor) -> Tensor:
            mixed: Ragged = self.attention(targets.with_values(x), order=order)
            return mixed.values

        def read(x: Tensor) -> Tensor:
            mixed: Ragged = self.cross_attention(targets.with_values(x), memory)
            return mixed.values

        return targets.with_values(self._through(targets.values, attended, read))

    @torch.no_grad()
    def extend(
        self, chunk: Chunk, past: AttentionState, memory: Projected, readers: Tensor, order: Order = NO_ORDER
    ) -> Chunk:
        """``[T, E]`` → ``[T, E]``: the next rows of R hypotheses, for B memories; without gradient.

        Arguments:
            chunk: the next rows.
            past: of the hypotheses, from ``attention.start()``; it takes in the chunk.
            memory: what is read, from ``cross_attention.project``.
            readers: ``[B+1]`` int64, memory b is read by the rows ``readers[b]:readers[b+1]``.
            order: what positions tell the attention of the targets to themselves.
        """

        def attended(x: Tensor) -> Tensor:
            return self.attention.extend(chunk.with_values(x), past, order).values

        def read(x: Tensor) -> Tensor:
            return self.cross_attention.read(Ragged(x, readers), memory).values

        return chunk.with_values(self._through(chunk.values, attended, read))

    @torch.no_grad()
    def write(self, x: Tensor, slots: Slots, layer: int, written: Tensor, order: Order = NO_ORDER) -> Tensor:
        """``[R, E]`` → ``[R, E]``: the next row of each hypothesis in its slot; without gradient.

        Arguments:
            x: the next rows.
            slots: of the hypotheses; they take in the rows.
            layer: which of the slots' layers this is.
            written: ``[R, N]`` bool, which columns of the past are in use with these rows.
            order: what positions tell the attention of the targets to themselves.
        """

        def attended(x: Tensor) -> Tensor:
            return self.attention.write(x, slots.past[layer], slots.parents, written, order)

        def read(x: Tensor) -> Tensor:
            return self.cross_attention.read_memory(x, slots.memory[layer], slots.readable)

        return self._through(x, attended, read)

    def _through(self, x: Tensor, attended: Callable[[Tensor], Tensor], read: Callable[[Tensor], Tensor]) -> Tensor:
        x = self.around_attention(x, attended)
        x = self.around_cross_attention(x, read)
        return self.around_feed_forward(x, self.feed_forward)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Target vectors → vectors that know of those before them and of the memory, the encoder's output.

    ``norm(layer_n(… layer_1(embedding_norm(positions(x)), memory) …, memory))``. Row p of the output is for what
    comes after target p. In training all rows are made at once. A sequence that is being written gets them one by one
    from :meth:`step`, or several at a time from :meth:`extend`, and each costs no more than a row: the cache of
    :meth:`start` holds what came before.

    Arguments:
        layers: from first to last.
        positions: added to the vectors before the first layer: `Sinusoidal`, `Learned`, or None.
        order: told to each layer's attention: `Relative`, `Alibi`, `Rotary`, or None.
        norm: on the vectors out; "pre" layers need one.
        embedding_norm: on the vectors with their positions, before the first layer.
        memory_positions: added to the memory: `Sinusoidal`, `Learned`, or None. What the encoder says of order to its
            own layers alone does not tell where a vector of the memory stands.

    Vaswani et al. 2017, "Attention Is All You Need".

    >>> from regard.nn import build_decoder
    >>> decoder = build_decoder(dim=8, depth=2, heads=2)
    >>> targets, memory = Ragged.from_list([torch.randn(3, 8)]), Ragged.from_list([torch.randn(5, 8)])
    >>> whole, cache = decoder(targets, memory), decoder.start(memory)
    >>> first = decoder.extend(Ragged.from_list([targets.values[:2]]), cache)
    >>> last = decoder.step(targets.values[2:], cache)
    >>> torch.allclose(whole.values, torch.cat([first.values, last]), atol=1e-5)
    True
    """

    def __init__(
        self,
        layers: Iterable[DecoderLayer],
        *,
        positions: nn.Module | None = None,
        order: Ordering | None = None,
        norm: nn.Module | None = None,
        embedding_norm: nn.Module | None = None,
        memory_positions: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.positions, self.order, self.norm = positions, order, norm
        self.embedding_norm, self.memory_positions = embedding_norm, memory_positions

    @takes_ragged
    def forward(self, targets: Ragged, memory: Ragged) -> Ragged:
        """``[T, E]`` → ``[T, E]``; ``memory`` ``[S, E]`` has one sequence for each target, of any length."""
        batch, memory = enter(targets, self.positions, self.embedding_norm), enter(memory, self.memory_positions)
        for layer, order in zip(self.layers, orders_of_layers(self.order, batch), strict=False):
            batch = layer(batch, memory, order)
        return batch if self.norm is None else batch.with_values(self.norm(batch.values))

    @torch.no_grad()
    @takes_ragged
    def start(self, memory: Ragged) -> Cache:
        """What :meth:`step` needs to write a sequence for each in memory ``[S, E]``, with one hypothesis at first."""
        memory = enter(memory, self.memory_positions)
        layers: list[DecoderLayer] = list(self.layers)  # type: ignore[arg-type]
        projected = [layer.cross_attention.project(memory) for layer in layers]
        past = [layer.attention.start() for layer in layers]
        return Cache(projected, past, torch.arange(len(memory), device=memory.values.device), len(memory))

    @torch.no_grad()
    @takes_ragged
    def extend(self, targets: Ragged, cache: Cache) -> Ragged:
        """``[T, E]`` → ``[T, E]``: the next targets of each hypothesis, without gradient.

        Arguments:
            targets: one sequence for each hypothesis, of any length, such as the beginning of what is to be written.
            cache: from :meth:`start`; it takes in the targets.

        Raises:
            ShapeError: there are more or fewer sequences than hypotheses.
        """
        chunk = Chunk.of(targets, cache.positions)
        return targets.with_values(self._extend(chunk, cache))

    @torch.no_grad()
    def step(self, vectors: Tensor, cache: Cache) -> Tensor:
        """``[R, E]`` → ``[R, E]``: as :meth:`extend`, with one target of each hypothesis.

        Arguments:
            vectors: of the newest target of each hypothesis.
            cache: from :meth:`start`; it takes in the vectors.

        Raises:
            ShapeError: there are more or fewer vectors than hypotheses.
        """
        R = len(cache)
        if len(vectors) != R:
            raise ShapeError(
                f"vectors must have one row for each of the {R} hypotheses of the cache, got {len(vectors)}; "
                "say with cache.keep(rows) which go on"
            )
        one_each, none = np.ones(R, dtype=np.int64), np.zeros(R, dtype=np.bool_)
        return self._extend(Chunk(vectors, Places(one_each, cache.positions, none)), cache)

    @torch.no_grad()
    def slots(self, sources: int, width: int, *, keys: int, columns: int, like: Tensor) -> Slots:
        """Room for ``width`` hypotheses of each of B sources, of which nothing is known yet.

        Arguments:
            sources: ``B``.
            keys: S, the most vectors of a source's memory.
            columns: N, the most rows of a hypothesis.
            like: of the type and on the device of the memory, ``[...]``.
        """
        layers: list[DecoderLayer] = list(self.layers)  # type: ignore[arg-type]
        R = sources * width

        def room(attention: MultiHeadAttention, rows: int, columns: int) -> Tensor:
            return like.new_zeros(rows, 2 * attention.key_heads, columns, attention.head_dim)

        return Slots(
            memory=[room(layer.cross_attention, sources, keys) for layer in layers],
            readable=like.new_zeros(sources, keys, dtype=torch.bool),
            past=[room(layer.attention, R, columns) for layer in layers],
            parents=torch.arange(R, device=like.device),
            position=like.new_zeros((), dtype=torch.int64),
            offsets=beside(like, torch.arange(R + 1)),
            columns=columns,
        )

    @torch.no_grad()
    @takes_ragged
    def begin(self, memory: Ragged, slots: Slots) -> None:
        """As :meth:`start`, in ``slots``, of which those of the sources beyond ``memory`` ``[S, E]`` stay unused.

        Raises:
            ShapeError: there are more sources than there is room for, or longer ones.
        """
        sources, keys = slots.readable.shape
        if len(memory) > sources or memory.longest > keys:
            raise ShapeError(
                f"memory must fit the slots, {sources} sources of at most {keys} vectors; got {len(memory)}, the "
                f"longest of {memory.longest}; make larger ones with decoder.slots"
            )
        memory = enter(memory, self.memory_positions)
        layers: list[DecoderLayer] = list(self.layers)  # type: ignore[arg-type]
        slots.readable.zero_()
        slots.position.zero_()
        for layer, room in zip(layers, slots.memory, strict=True):
            made = layer.cross_attention.project(memory)
            padded, real = memory.with_values(torch.cat([made.key, made.value], 1)).to_padded()  # [B, N, 2·Hk, D]
            B, longest = real.shape
            room[:B, :, :longest] = padded.transpose(1, 2)
            slots.readable[:B, :longest] = real

    @torch.no_grad()
    def write(self, vectors: Tensor, slots: Slots) -> Tensor:
        """``[R, E]`` → ``[R, E]``: as :meth:`step`, with a vector for each slot, unused ones too.

        Arguments:
            vectors: of the newest target of each hypothesis.
            slots: from :meth:`slots`; they take in the vectors, at most as many times as they have columns.

        Raises:
            ShapeError: there are more or fewer vectors than slots.
        """
        R = len(slots.parents)
        if len(vectors) != R:
            raise ShapeError(f"vectors must have one row for each of the {R} slots, got {len(vectors)}")
        start, written, batch = slots.start, slots.written, Ragged(vectors, slots.offsets)
        batch = enter(batch, self.positions, self.embedding_norm, start)
        orders, x = orders_of_layers(self.order, batch, start), batch.values
        layers: list[DecoderLayer] = list(self.layers)  # type: ignore[arg-type]
        for number, (layer, order) in enumerate(zip(layers, orders, strict=False)):
            x = layer.write(x, slots, number, written, order)
        slots.position.add_(1)
        return x if self.norm is None else self.norm(x)

    def _extend(self, chunk: Chunk, cache: Cache) -> Tensor:
        """``[T, E]``, the rows of the chunk."""
        start = chunk.start
        batch = enter(chunk.rows, self.positions, self.embedding_norm, start)
        orders, chunk = orders_of_layers(self.order, batch, start), chunk.with_values(batch.values)
        ends, hypotheses = on_host(batch.offsets, cache.offsets)
        readers = beside(batch.values, ends[hypotheses])
        layers: list[DecoderLayer] = list(self.layers)  # type: ignore[arg-type]
        for layer, past, memory, order in zip(layers, cache.past, cache.memory, orders, strict=False):
            chunk = layer.extend(chunk, past, memory, readers, order)
        cache.positions = cache.positions + chunk.places.counts
        return chunk.values if self.norm is None else self.norm(chunk.values)
