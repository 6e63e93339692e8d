"""Multi-head attention: project, attend, project."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention import Additive, AttentionWeights, attend, attention_weights
from regard.attention.api import Window
from regard.attention.check import NORMALIZERS, window_sides
from regard.errors import ConfigError
from regard.nn.cache import Past, Projected
from regard.nn.positions import NO_ORDER, Order, rotate
from regard.ragged import Ragged


class MultiHeadAttention(nn.Module):
    """``W_o [head_1; …; head_H] + b_o`` with ``head_h = attend(W_q,h x, W_k,h y, W_v,h y)``; y = x unless given.

    Vaswani et al. 2017, "Attention Is All You Need". Starts as ``torch.nn.MultiheadAttention`` does: the input
    projections Xavier-uniform as one matrix, the output matrix uniform within ``1/√(H·D)``, biases zero.

    Arguments:
        dim: E, of the vectors in and out.
        heads: H.
        key_heads: heads of keys and values, which divide ``heads``; the same as ``heads`` unless given.
        head_dim: D, ``dim / heads`` unless given.
        score: "dot" or "additive"; the latter learns a weight vector for each head.
        normalizer, window, causal, implementation: as in :func:`regard.attend`.
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
        window: Window = None,
        causal: bool = False,
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
        window_sides(window, causal)
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

    def forward(self, query: Ragged, key: Ragged | Projected | None = None, order: Order = NO_ORDER) -> Ragged:
        """``[T, E]`` → ``[T, E]``.

        Arguments:
            query: who attends.
            key: who is attended to, sequence by sequence, as vectors or from :meth:`project`; None for ``query``.
            order: what positions tell this layer.
        """
        q, k, v = self._project(query, key, order)
        mixed = attend(q, k, v, **self._options(query, key, order))  # [T, H, D]
        return query.with_values(self.output(mixed.flatten(1)))

    def step(self, x: Tensor, past: Past, order: Order = NO_ORDER) -> Tensor:
        """``[R, E]`` → ``[R, E]``: the next vector of R sequences attends to itself and to what ``past`` holds.

        The same as the last row of each sequence in a causal :meth:`forward`.

        Arguments:
            x: one vector for each sequence.
            past: what these sequences have had before, which takes in ``x``; its reach is the window's.
            order: what positions tell this layer of ``x``.
        """
        q, k, v = self._project_together(x, order)
        keys, values = past.append(k, v)  # [R, Hk, N, D]
        mixed = attend(q[:, :, None], keys, values, query_start=keys.shape[2] - 1, **self._choices(order))
        return self.output(mixed.flatten(1))  # type: ignore[no-any-return]  # from [R, H, 1, D]

    def project(self, key: Ragged) -> Projected:
        """Keys and values, to be given to :meth:`forward` again and again in the place of ``key``."""
        weight, bias, first = self.input.weight, self.input.bias, self.heads * self.head_dim
        kv = F.linear(key.values, weight[first:], None if bias is None else bias[first:])
        k, v = torch.chunk(kv.view(-1, 2 * self.key_heads, self.head_dim), 2, 1)
        return Projected(k, v, key.offsets)

    def attention_weights(
        self, query: Ragged, key: Ragged | Projected | None = None, order: Order = NO_ORDER
    ) -> AttentionWeights:
        """Who attends to whom; the arguments are those of :meth:`forward`."""
        q, k, _ = self._project(query, key, order)
        return attention_weights(q, k, **self._options(query, key, order))

    def _project(self, query: Ragged, key: Ragged | Projected | None, order: Order) -> tuple[Tensor, Tensor, Tensor]:
        """Query ``[Tq, H, D]``, key and value ``[Tk, Hk, D]``."""
        if key is None:
            return self._project_together(query.values, order)
        if order.rotation is not None:
            raise ConfigError("order: rotary positions are for self-attention, got a key of its own; pass no rotation")
        weight, bias, split = self.input.weight, self.input.bias, self.heads * self.head_dim
        q = F.linear(query.values, weight[:split], None if bias is None else bias[:split])
        made = key if isinstance(key, Projected) else self.project(key)
        return q.view(-1, self.heads, self.head_dim), made.key, made.value

    def _project_together(self, x: Tensor, order: Order) -> tuple[Tensor, Tensor, Tensor]:
        """Query ``[T, H, D]``, key and value ``[T, Hk, D]`` of the same vectors."""
        heads, key_heads = self.heads, self.key_heads
        rows = self.input(x).view(-1, heads + 2 * key_heads, self.head_dim)  # [T, H + 2·Hk, D]
        if order.rotation is None:
            q, k, v = torch.split(rows, [heads, key_heads, key_heads], 1)
            return q, k, v
        turned, v = torch.split(rows, [heads + key_heads, key_heads], 1)
        q, k = torch.split(rotate(turned, order.rotation), [heads, key_heads], 1)
        return q, k, v

    def _options(self, query: Ragged, key: Ragged | Projected | None, order: Order) -> dict[str, Any]:
        return self._choices(order) | {
            "window": self.window,
            "causal": self.causal,
            "offsets": query.offsets,
            "key_offsets": None if key is None else key.offsets,
        }

    def _choices(self, order: Order) -> dict[str, Any]:
        return {
            "score": "dot" if self.additive is None else Additive(self.additive),
            "normalizer": self.normalizer,
            "bias": order.bias,
            "dropout_p": self.dropout if self.training else 0.0,
            "implementation": self.implementation,
        }
