"""The encoder, a stack of layers: attention interleaved with fully connected networks, each with a way around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ConfigError
from regard.nn.attention import MultiHeadAttention
from regard.nn.chunk import Chunk
from regard.nn.positions import NO_ORDER, Order, Ordering, enter, orders_of_layers
from regard.nn.streaming import AttentionState, Buffer, LayerState, Streams
from regard.parallel import split
from regard.parallel.group import Group
from regard.ragged import Ragged, takes_ragged, takes_tensors

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # as GPT-2 and many since
}
PIECE = 1 << 14  # vectors that a fully connected network takes at once where no gradient is wanted
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

    @takes_tensors
    def forward(self, x: Tensor) -> Tensor:
        """``[...]`` → ``[...]``, any shape; ``x`` itself outside of training."""
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

    @takes_tensors
    def forward(self, x: Tensor) -> Tensor:
        """``[T, E]`` → ``[T, E]``, without gradients a piece at a time: inner vectors are several times as wide."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or len(x) <= PIECE:
            return self._of(x)
        return torch.cat([self._of(piece) for piece in torch.split(x, PIECE)])

    def _of(self, x: Tensor) -> Tensor:
        return self.output(self.dropout(self.activation(self.input(x))))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """The way around a part: ``x + dropout(part(norm(x)))``, or ``norm(x + dropout(part(x)))``.

    Arguments:
        dim: ``E``.
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

    @takes_tensors
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
        dim: ``E``.
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

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """How many positions to the left and right it sees; None for no end."""
        return self.attention.sides

    @takes_ragged
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


class Encoder(nn.Module):
    """Vectors → vectors that know of each other: ``norm(layer_n(… layer_1(embedding_norm(positions(x)))))``.

    A sequence that comes piece by piece goes through :meth:`extend`, which gives the same rows, each as soon as all
    that it sees is there. Every layer waits for what its window sees ahead, so that rows come out ``Σ right`` behind.

    Arguments:
        layers: from first to last, `EncoderLayer` or `NeighbourLayer`.
        positions: added to the vectors before the first layer: `Sinusoidal`, `Learned`, or None.
        order: told to each layer's attention: `Relative`, `Alibi`, `Rotary`, or None.
        norm: on the vectors out; "pre" layers need one.
        embedding_norm: on the vectors with their positions, before the first layer, as in BERT; it may change their
            width.

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
        self.processes: Group | None = None  # over which it spreads the rows of whole batches

    @takes_ragged
    def forward(self, batch: Ragged) -> Ragged:
        """``[T, E]`` → ``[T, E]``; where ``processes`` are set, the part of this one of a batch that all have."""
        if self.processes is not None:
            batch = split(batch, self.processes)
        batch = enter(batch, self.positions, self.embedding_norm)
        for layer, order in zip(self.layers, orders_of_layers(self.order, batch), strict=False):
            batch = layer(batch, order)
        return batch if self.norm is None else batch.with_values(self.norm(batch.values))

    @property
    def reach(self) -> tuple[int | None, int | None]:
        """How many vectors before and after its own a row out is made of, over all layers; None for no end."""
        layers: list[Any] = list(self.layers)
        lefts, rights = ([layer.sides[side] for layer in layers] for side in (0, 1))
        return _sum(lefts), _sum(rights)

    def start(self, streams: int) -> Streams:
        """What :meth:`extend` needs for so many streams of which nothing has come yet.

        Raises:
            ConfigError: a layer's window has no end to the right, so that nothing could come out before all is there.
        """
        layers: list[Any] = list(self.layers)
        return Streams([layer.start() for layer in layers], streams)

    @torch.no_grad()
    @takes_ragged
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


def _sum(sides: Sequence[int | None]) -> int | None:
    ends = [side for side in sides if side is not None]
    return sum(ends) if len(ends) == len(sides) else None
