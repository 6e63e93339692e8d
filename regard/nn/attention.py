"""Multi-head attention: project, attend, project."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention import (
    Additive,
    AttentionWeights,
    GridWeights,
    attend,
    attend2d,
    attention_weights,
    attention_weights2d,
)
from regard.attention.api import Window
from regard.attention.check import NORMALIZERS, window_sides
from regard.attention.grid.check import window_sides as grid_sides
from regard.attention.grid.spec import Window2d
from regard.errors import ConfigError, ShapeError, UnsupportedError
from regard.nn.cache import Projected
from regard.nn.chunk import Chunk, on_device_of, packed
from regard.nn.positions import NO_ORDER, Order, rotate
from regard.nn.streaming import AttentionState, Buffer
from regard.parallel import attend as attend_over_processes
from regard.part import Part
from regard.ragged import Ragged, takes_ragged, takes_tensors


class MultiHeadAttention(nn.Module):
    """``W_o [head_1; …; head_H] + b_o`` with ``head_h = attend(W_q,h x, W_k,h y, W_v,h y)``; y = x unless given.

    Vaswani et al. 2017, "Attention Is All You Need". Starts as ``torch.nn.MultiheadAttention`` does: the input
    projections Xavier-uniform as one matrix, the output matrix uniform within ``1/√(H·D)``, biases zero.

    Arguments:
        dim: E, of the vectors in and out.
        heads: ``H``.
        key_heads: heads of keys and values, which divide ``heads``; the same as ``heads`` unless given.
        head_dim: D, ``dim / heads`` unless given.
        score: "dot" or "additive"; the latter learns a weight vector for each head.
        normalizer, window, causal, implementation: as in :func:`regard.attend`.
        grid: whether it attends within images, by :func:`regard.attend2d`, whose window it then takes.
        dropout: share of the weights dropped in training.
        bias: whether the projections add one.

    Raises:
        ConfigError: sizes that do not divide, or a choice that does not exist.

    >>> attention = MultiHeadAttention(8, heads=2, window=1)
    >>> batch = Ragged.from_list([torch.randn(3, 8), torch.randn(1, 8)])
    >>> attention(batch).values.shape, attention.attention_weights(batch).dense()[0].shape
    (torch.Size([4, 8]), torch.Size([2, 3, 3]))
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        key_heads: int | None = None,
        head_dim: int | None = None,
        score: str = "dot",
        normalizer: str = "softmax",
        window: Window | Window2d = None,
        causal: bool = False,
        grid: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        implementation: str = "auto",
    ) -> None:
        super().__init__()
        key_heads = heads if key_heads is None else key_heads
        if heads < 1 or key_heads < 1 or heads % key_heads:
            raise ConfigError(f"heads must be a multiple of key_heads, both at least 1; got {heads} and {key_heads}")
        if head_dim is None and dim % heads:
            raise ConfigError(f"dim must be a multiple of heads (or pass head_dim), got dim {dim} and {heads} heads")
        if score not in ("dot", "additive"):
            raise ConfigError(f"score must be one of dot, additive; got {score!r}")
        if normalizer not in NORMALIZERS:
            raise ConfigError(f"normalizer must be one of {', '.join(NORMALIZERS)}; got {normalizer!r}")
        if grid and causal:
            raise ConfigError("causal: an image has no past; give a window (up, down, left, right)")
        self.grid = grid
        self.sides = _sides(window, causal=causal, grid=grid)  # positions seen to the left and right; None for no end
        self.heads, self.key_heads = heads, key_heads
        self.head_dim = dim // heads if head_dim is None else head_dim
        self.normalizer, self.window, self.causal = normalizer, window, causal
        self.dropout, self.implementation = dropout, implementation

        self.input = nn.Linear(dim, (heads + 2 * key_heads) * self.head_dim, bias=bias)
        self.output = nn.Linear(heads * self.head_dim, dim, bias=bias)
        self.additive = nn.Parameter(torch.empty(heads, self.head_dim)) if score == "additive" else None
        nn.init.xavier_uniform_(self.input.weight)
        if self.additive is not None:
            nn.init.normal_(self.additive, std=self.head_dim**-0.5)
        if bias:
            nn.init.zeros_(self.input.bias)
            nn.init.zeros_(self.output.bias)

    def set_window(self, window: Window | Window2d) -> None:
        """Attends within another window from now on, as in :func:`regard.attend`; no weight changes."""
        self.window, self.sides = window, _sides(window, causal=self.causal, grid=self.grid)

    @takes_ragged
    def forward(self, query: Ragged, key: Ragged | None = None, order: Order = NO_ORDER) -> Ragged:
        """``[T, E]`` → ``[T, E]``.

        Arguments:
            query: who attends.
            key: who is attended to, sequence by sequence, ``[S, E]``; None for ``query``.
            order: what positions tell this layer.
        """
        q, k, v, key_offsets = self._project(query, key, order)
        if query.part is not None:
            mixed = self._attend_part(q, k, v, query.part, key_offsets, order)
        elif self.grid:
            mixed = attend2d(q, k, v, **self._grid_options(query, key_offsets, order))  # [T, H, D]
        else:
            mixed = attend(q, k, v, offsets=query.offsets, key_offsets=key_offsets, **self._options(order))
        return query.with_values(self.output(mixed.flatten(1)))

    @takes_ragged
    def project(self, key: Ragged) -> Projected:
        """Keys and values of vectors ``[S, E]``, to be given to :meth:`read` again and again."""
        weight, bias, first = self.input.weight, self.input.bias, self.heads * self.head_dim
        kv = F.linear(key.values, weight[first:], None if bias is None else bias[first:])
        k, v = torch.chunk(kv.view(-1, 2 * self.key_heads, self.head_dim), 2, 1)
        return Projected(k, v, key.offsets)

    @takes_ragged
    def read(self, query: Ragged, memory: Projected) -> Ragged:
        """``[T, E]`` → ``[T, E]``: :meth:`forward` with the vectors that ``memory`` was made from as its key."""
        options = self._options(NO_ORDER) | {"offsets": query.offsets, "key_offsets": memory.offsets}
        mixed = attend(self._project_query(query.values), memory.key, memory.value, **options)  # [T, H, D]
        return query.with_values(self.output(mixed.flatten(1)))

    @takes_ragged
    def attention_weights(
        self, query: Ragged, key: Ragged | None = None, order: Order = NO_ORDER
    ) -> AttentionWeights | GridWeights:
        """Who attends to whom, ``[T, H, W]``; the arguments are those of :meth:`forward`."""
        if query.part is not None:
            raise UnsupportedError("attention_weights: a whole batch is wanted, got a part of one; see parallel.gather")
        q, k, _, key_offsets = self._project(query, key, order)
        if self.grid:
            return attention_weights2d(q, k, **self._grid_options(query, key_offsets, order))
        return attention_weights(q, k, offsets=query.offsets, key_offsets=key_offsets, **self._options(order))

    def start(self) -> AttentionState:
        """What :meth:`extend` needs for streams of which nothing has come yet.

        Raises:
            ConfigError: the window has no end to the right, so that nothing could come out before all is there.
        """
        left, right = self.sides
        if self.grid:
            raise ConfigError("a stream is of what comes one after another, which the pixels of an image do not")
        if right is None:
            raise ConfigError(
                f"window: a stream cannot wait for all that follows, got {self.window!r}, which has no end to the "
                "right; take causal=True, or (left, right) with a number for right"
            )
        return AttentionState(Buffer(None if left is None else left + right), Buffer(right))

    @torch.no_grad()
    def extend(self, chunk: Chunk, state: AttentionState, order: Order = NO_ORDER) -> Chunk:
        """``[T, E]`` → ``[T', E]``: takes in the next rows of R streams, and gives those that have all their keys now.

        Over all chunks of a stream these are the rows of :meth:`forward`; without gradient.

        Arguments:
            chunk: the next rows.
            state: from :meth:`start`, with the chunks before; it takes in this one.
            order: what positions tell this layer of the chunk's rows.
        """
        places, picked = chunk.places, chunk.places.picked(state.right)
        rows, turned = self._rows(chunk.values), self.heads + self.key_heads  # [T, H + 2·Hk, D]
        if order.rotation is not None:
            rows[:, :turned] = rotate(rows[:, :turned], order.rotation)
        query, memory = torch.split(rows, [self.heads, 2 * self.key_heads], 1)
        query = state.queries.extend(query, places)  # [R, H, P, D]
        memory = state.keys.extend(memory, places)  # [R, 2·Hk, K, D]
        if picked.start == picked.stop:
            return Chunk(chunk.values[:0], places.after(state.right))
        position = memory.shape[2] - query.shape[2] + picked.start  # of the first query that comes out, in the memory
        query = query.narrow(2, picked.start, picked.stop - picked.start)
        held, K, mask = places.held(state.keys.limit), memory.shape[2], None
        if not held.full:
            mask = on_device_of(memory, np.arange(K) >= K - held.counts[:, None])  # [R, K]
        mixed = self._attend_newest(query, memory, position, mask, order)
        return Chunk(self.output(packed(mixed, picked).flatten(1)), places.after(state.right))

    @torch.no_grad()
    def write(self, x: Tensor, past: Tensor, parents: Tensor, written: Tensor, order: Order = NO_ORDER) -> Tensor:
        """``[R, E]`` → ``[R, E]``: the next row of each hypothesis; without gradient.

        Arguments:
            x: the next rows.
            past, parents: of `Slots`, this layer's past; it takes in the rows.
            written: ``[R, N]`` bool, which columns of the past are in use with these.
            order: what positions tell this layer of them.
        """
        rows, turned, last = self._rows(x), self.heads + self.key_heads, past.shape[2] - 1
        if order.rotation is not None:
            rows[:, :turned] = rotate(rows[:, :turned], order.rotation)
        query, newest = torch.split(rows, [self.heads, 2 * self.key_heads], 1)
        past[:, :, :last] = past[parents, :, 1:]
        past[:, :, last] = newest
        mixed = self._attend_newest(query[:, :, None], past, last, written, order)  # [R, H, 1, D]
        return self.output(mixed.flatten(1))  # type: ignore[no-any-return]

    @torch.no_grad()
    def read_memory(self, x: Tensor, memory: Tensor, readable: Tensor) -> Tensor:
        """``[R, E]`` → ``[R, E]``, as many rows of each of B sources; without gradient.

        Arguments:
            x: those who read.
            memory: keys and values, ``[B, 2·Hk, S, D]``.
            readable: ``[B, S]`` bool, which of them there are.
        """
        B, query = len(memory), self._project_query(x)
        query = query.view(B, -1, *query.shape[1:]).transpose(1, 2)  # [B, H, R/B, D]
        key, value = memory.chunk(2, 1)
        mixed = attend(query, key, value, key_mask=readable, **self._options(NO_ORDER))
        return self.output(mixed.transpose(1, 2).flatten(0, 1).flatten(1))  # type: ignore[no-any-return]

    def _attend_newest(self, query: Tensor, memory: Tensor, position: int, mask: Tensor | None, order: Order) -> Tensor:
        """``[R, H, Q, D]``.

        Arguments:
            query: ``[R, H, Q, D]``.
            memory: keys and values ``[R, 2·Hk, K, D]``.
            position: of the first query, in the memory.
            mask: ``[R, K]`` bool, how much of the memory is of each stream; None for all.
        """
        key, value = memory.chunk(2, 1)
        options, (Q, K), (left, right) = self._options(order), (query.shape[2], key.shape[2]), self.sides
        if (left is None or position + Q - 1 <= left) and (right is None or position + right >= K - 1):
            options |= {"window": None, "causal": False}  # each sees all, for which there is faster code
        return attend(query, key, value, query_start=position, key_mask=mask, **options)

    def _attend_part(
        self, q: Tensor, k: Tensor, v: Tensor, part: Part, key_offsets: Tensor | None, order: Order
    ) -> Tensor:
        """``[t, H, D]``, of the rows that this process has."""
        if key_offsets is not None:
            raise UnsupportedError("a part of a batch attends to itself, got a key of its own; see parallel.gather")
        group = part.processes.handle
        mixed: Tensor = attend_over_processes(q, k, v, group=group, offsets=part.offsets, **self._options(order))
        return mixed

    def _project(self, query: Ragged, key: Ragged | None, order: Order) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Query ``[Tq, H, D]``, key and value ``[Tk, Hk, D]``, and the offsets of keys that are not the query's."""
        if key is None:
            return *self._project_together(query.values, order), None
        if order.rotation is not None:
            raise ConfigError("order: rotary positions are for self-attention, got a key of its own; pass no rotation")
        made = self.project(key)
        return self._project_query(query.values), made.key, made.value, made.offsets

    def _project_query(self, x: Tensor) -> Tensor:
        """``[T, H, D]``."""
        weight, bias, split = self.input.weight, self.input.bias, self.heads * self.head_dim
        return F.linear(x, weight[:split], None if bias is None else bias[:split]).view(-1, self.heads, self.head_dim)

    def _project_together(self, x: Tensor, order: Order) -> tuple[Tensor, Tensor, Tensor]:
        """Query ``[T, H, D]``, key and value ``[T, Hk, D]`` of the same vectors."""
        heads, key_heads = self.heads, self.key_heads
        rows = self._rows(x)
        if order.rotation is None:
            q, k, v = torch.split(rows, [heads, key_heads, key_heads], 1)
            return q, k, v
        turned, v = torch.split(rows, [heads + key_heads, key_heads], 1)
        q, k = torch.split(rotate(turned, order.rotation), [heads, key_heads], 1)
        return q, k, v

    def _rows(self, x: Tensor) -> Tensor:
        """Query, key and value of the same vectors, not turned yet, ``[T, H + 2·Hk, D]``."""
        rows: Tensor = self.input(x).view(-1, self.heads + 2 * self.key_heads, self.head_dim)
        return rows

    def _grid_options(self, images: Ragged, key_offsets: Tensor | None, order: Order) -> dict[str, Any]:
        if images.grid is None or key_offsets is not None:
            found = "sequences that stand in a line" if images.grid is None else "a key of its own"
            raise ShapeError(f"an attention of a grid takes whole images (Ragged.from_grids) and no key, got {found}")
        options = self._options(order) | {"size": images.grid, "offsets": images.offsets}
        del options["causal"]
        return options

    def _options(self, order: Order) -> dict[str, Any]:
        return {
            "score": "dot" if self.additive is None else Additive(self.additive),
            "normalizer": self.normalizer,
            "window": self.window,
            "causal": self.causal,
            "bias": order.bias,
            "dropout_p": self.dropout if self.training else 0.0,
            "implementation": self.implementation,
        }


def _sides(window: Any, *, causal: bool, grid: bool) -> tuple[int | None, int | None]:
    """What may be seen before and after; in images the further of rows and columns."""
    if not grid:
        return window_sides(window, causal)
    up, down, left, right = grid_sides(window)
    before, after = ((up, left), (down, right))
    return tuple(None if None in pair else max(pair) for pair in (before, after))  # type: ignore


@takes_tensors
def attention_pooling(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, *, implementation: str = "auto"
) -> Tensor:
    """``[B, H·D]``: one vector for each sequence, ``Σ_n softmax_n(q_h · k_n,h / √D) v_n,h`` by head; zeros for none.

    Arguments:
        query: ``[H, D]``, the same for all sequences.
        key, value: ``[T, H, D]``; sequence b is rows ``offsets[b]:offsets[b+1]``.
        implementation: as in :func:`regard.attend`.
    """
    queries, one_each = _one_each(query, offsets)
    pooled = attend(queries, key, value, offsets=one_each, key_offsets=offsets, implementation=implementation)
    return pooled.flatten(1)


@takes_tensors
def pooling_weights(query: Tensor, key: Tensor, offsets: Tensor) -> list[Tensor]:
    """``[H, N_b]`` for each sequence: the weights in :func:`attention_pooling`, which has the same arguments."""
    queries, one_each = _one_each(query, offsets)
    found = attention_weights(queries, key, offsets=one_each, key_offsets=offsets).dense()  # [H, 1, N_b] each
    return [weights[:, 0] for weights in found]


def _one_each(query: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """A query ``[B, H, D]`` for each sequence, and offsets of them, on the CPU, where they are read."""
    B = len(offsets) - 1
    return query.expand(B, -1, -1), torch.arange(B + 1, device="cpu")
