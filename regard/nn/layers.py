"""The layers of the encoder: attention interleaved with fully connected networks, each with a way around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ConfigError
from regard.nn.attention import MultiHeadAttention
from regard.nn.chunk import Chunk
from regard.nn.positions import NO_ORDER, Order
from regard.nn.streaming import AttentionState, Buffer, LayerState
from regard.ragged import Ragged

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}
NORM_EPS = 1e-5  # added to the variance that a layer norm divides by


class Dropout(nn.Module):
    """Each element zero with probability ``p`` in training, the others divided by the share that is kept.

    The same as ``torch.nn.Dropout``, with other random numbers on the CPU: a byte for each element, from a generator
    seeded by PyTorch's, instead of a Bernoulli sample, which takes a fifth of a whole training step there.

    Arguments:
        p: probability, from 0 to below 1; on the CPU the nearest 256th.
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same; ``x`` itself outside of training."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.p)
        dropped = min(255, round(self.p * 256))
        kept = torch.ge(_random_bytes(x.numel()).view(x.shape), dropped, out=torch.empty(x.shape, dtype=x.dtype))
        return x * kept.mul_(256 / (256 - dropped))

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _random_bytes(count: int) -> Tensor:
    """``[count]`` uint8."""
    generator = np.random.SFC64(int(torch.randint(1 << 62, ())))
    words: np.ndarray = generator.random_raw((count + 7) // 8)
    return torch.from_numpy(words.view(np.uint8))[:count]


def find_activation(activation: str | Activation) -> Activation:
    """The function of that name; one that is given as such stays what it is.

    Raises:
        ConfigError: any other name.
    """
    if not isinstance(activation, str):
        return activation
    if activation not in ACTIVATIONS:
        raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {activation!r}")
    return ACTIVATIONS[activation]


class FeedForward(nn.Module):
    """``W_2 dropout(activation(W_1 x + b_1)) + b_2``, on each vector by itself.

    Arguments:
        dim: E, of the vectors in and out.
        feed_forward_dim: inner width.
        activation: any function of a tensor.
        dropout: share of the inner elements dropped in training.
        input_dim: of the vectors in, where they differ from those out.
    """

    def __init__(
        self,
        dim: int,
        feed_forward_dim: int,
        *,
        activation: Activation = F.relu,
        dropout: float = 0.0,
        input_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.input = nn.Linear(dim if input_dim is None else input_dim, feed_forward_dim)
        self.activation = activation
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(feed_forward_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, E]`` → ``[T, E]``."""
        return self.output(self.dropout(self.activation(self.input(x))))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """The way around a part: ``x + dropout(part(norm(x)))``, or ``norm(x + dropout(part(x)))``.

    Arguments:
        dim: E.
        norm: "pre" or "post", the first or the second formula.
        dropout: share of what the part adds that is dropped in training.
        norm_eps: added to the variance.

    Raises:
        ConfigError: any other ``norm``.

    Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture".
    """

    def __init__(self, dim: int, *, norm: str = "pre", dropout: float = 0.0, norm_eps: float = NORM_EPS) -> None:
        super().__init__()
        if norm not in ("pre", "post"):
            raise ConfigError(f"norm must be one of pre, post; got {norm!r}")
        self.pre = norm == "pre"
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """``[T, E]`` → ``[T, E]``, around a ``part`` that is ``[T, E]`` → ``[T, E]`` too."""
        return self._joined(x, part(self._entered(x)))

    def extend(self, chunk: Chunk, waiting: Buffer, part: Callable[[Chunk], Chunk]) -> Chunk:
        """``[T, E]`` → ``[T', E]``: the next rows of R streams, around a part that lets some wait for what follows.

        Arguments:
            chunk: the next rows.
            waiting: those that went into the part and have not come out.
            part: takes the chunk and gives the rows that are certain.
        """
        mixed = part(chunk.with_values(self._entered(chunk.values)))
        return mixed.with_values(self._joined(waiting.release(chunk), mixed.values))

    def _entered(self, x: Tensor) -> Tensor:
        return self.norm(x) if self.pre else x

    def _joined(self, x: Tensor, mixed: Tensor) -> Tensor:
        added = x + self.dropout(mixed)
        return added if self.pre else self.norm(added)  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Attention, then a fully connected network, each inside a :class:`Residual`.

    Arguments:
        attention: with whatever choices it was made.
        feed_forward: a function of vectors ``[T, E]``.
        dim: E.
        norm: "pre" or "post", as in :class:`Residual`.
        dropout: share of what each part adds that is dropped in training.
        norm_eps: added to the variance.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        feed_forward: nn.Module,
        *,
        dim: int,
        norm: str = "pre",
        dropout: float = 0.0,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward
        self.around_attention = Residual(dim, norm=norm, dropout=dropout, norm_eps=norm_eps)
        self.around_feed_forward = Residual(dim, norm=norm, dropout=dropout, norm_eps=norm_eps)

    def forward(self, batch: Ragged, order: Order = NO_ORDER) -> Ragged:
        """``[T, E]`` → ``[T, E]``; ``order`` is what positions tell the attention."""

        def attended(x: Tensor) -> Tensor:
            mixed: Ragged = self.attention(batch.with_values(x), order=order)
            return mixed.values

        x = self.around_attention(batch.values, attended)
        return batch.with_values(self.around_feed_forward(x, self.feed_forward))

    def start(self) -> LayerState[AttentionState]:
        """What :meth:`extend` needs for streams of which nothing has come yet."""
        part = self.attention.start()
        return LayerState(part, Buffer(part.right))

    @torch.no_grad()
    def extend(self, chunk: Chunk, state: LayerState[AttentionState], order: Order = NO_ORDER) -> Chunk:
        """``[T, E]`` → ``[T', E]``: takes in the next rows of R streams; gives those that have all their keys now.

        The arguments are those of :meth:`MultiHeadAttention.extend`.
        """

        def attended(rows: Chunk) -> Chunk:
            return self.attention.extend(rows, state.part, order)

        chunk = self.around_attention.extend(chunk, state.waiting, attended)
        return chunk.with_values(self.around_feed_forward(chunk.values, self.feed_forward))
