"""From plain options to an encoder or a decoder."""

from __future__ import annotations

from typing import Any

from torch import nn

from regard.attention.api import Window
from regard.attention.check import window_sides
from regard.errors import ConfigError
from regard.nn.attention import MultiHeadAttention
from regard.nn.compared import NeighbourLayer
from regard.nn.decoder import Decoder, DecoderLayer
from regard.nn.encoder import Encoder
from regard.nn.layers import NORM_EPS, Activation, EncoderLayer, FeedForward, find_activation
from regard.nn.positions import Alibi, Learned, Relative, Rotary, Sinusoidal

ENCODERS = ("attention", "pointwise", "sliding", "convolution")
POSITIONS = ("relative", "sinusoidal", "learned", "rotary", "alibi", "none")
SLIDING_WINDOW, CONVOLUTION_WINDOW = 2, 1  # neighbours to each side where no window is given


def build_encoder(
    kind: str,
    *,
    dim: int,
    depth: int,
    heads: int = 4,
    feed_forward_dim: int | None = None,
    positions: str = "relative",
    position_reach: int = 16,
    window: Window = None,
    causal: bool = False,
    score: str = "dot",
    normalizer: str = "softmax",
    norm: str = "pre",
    norm_eps: float = NORM_EPS,
    embedding_norm: bool = False,
    dropout: float = 0.0,
    activation: str | Activation = "relu",
    implementation: str = "auto",
) -> nn.Module:
    """An encoder, ``Ragged`` → ``Ragged``, both ``[T, dim]``.

    - "attention": ``depth`` layers of self-attention interleaved with fully connected networks.
    - "pointwise": ``depth`` fully connected networks on each vector by itself.
    - "sliding": the first of them reads a window of neighbours, 2 to each side unless ``window`` is given.
    - "convolution": each of them does, 1 to each side unless ``window`` is given.

    The last three take no notice of ``heads``, ``score``, ``normalizer`` and ``implementation``, nor of positions other
    than "sinusoidal" and "learned", which are added to the vectors; "pointwise" has no window.

    Arguments:
        kind: one of the above.
        dim: E.
        depth: number of layers, from 0.
        heads: H, which divides ``dim``.
        feed_forward_dim: inner width of the fully connected networks, ``4 · dim`` unless given.
        positions: "relative", "sinusoidal", "learned", "rotary", "alibi" or "none".
        position_reach: distances told apart to each side (relative), or the longest sequence (learned).
        window, causal: as in :func:`regard.attend`, in every layer.
        score, normalizer: as in :class:`MultiHeadAttention`.
        norm: "pre" or "post"; see :class:`Residual`.
        norm_eps: added to the variance in every layer norm.
        embedding_norm: whether vectors with their positions go through a layer norm before the first layer.
        dropout: share dropped in training of what each part adds, and inside the fully connected networks.
        activation: of the fully connected networks: "relu", "gelu" (the exact one, ``x Φ(x)``), or any function.
        implementation: as in :func:`regard.attend`.

    Raises:
        ConfigError: a choice that does not exist, or sizes that do not fit together.
    """
    if kind not in ENCODERS:
        raise ConfigError(f"encoder must be one of {', '.join(ENCODERS)}; got {kind!r}")
    _check_positions(positions)
    inner = 4 * dim if feed_forward_dim is None else feed_forward_dim
    function = find_activation(activation)
    around: dict[str, Any] = {"dim": dim, "norm": norm, "dropout": dropout, "norm_eps": norm_eps}

    def feed_forward(input_dim: int = dim) -> FeedForward:
        return FeedForward(dim, inner, activation=function, dropout=dropout, input_dim=input_dim)

    layers: list[nn.Module] = []
    if kind == "attention":
        for _ in range(depth):
            attention = MultiHeadAttention(
                dim,
                heads=heads,
                score=score,
                normalizer=normalizer,
                window=window,
                causal=causal,
                implementation=implementation,
            )
            layers.append(EncoderLayer(attention, feed_forward(), **around))
        order = _order(positions, depth, dim // heads, heads, position_reach, window_sides(window, causal))
    else:
        for left, right in _neighbours(kind, depth, window, causal):
            network = feed_forward((left + right + 1) * dim)
            layers.append(NeighbourLayer(network, left=left, right=right, **around))
        order = None
    return Encoder(
        layers,
        positions=_added(positions, dim, position_reach),
        order=order,
        norm=nn.LayerNorm(dim, eps=norm_eps) if norm == "pre" else None,
        embedding_norm=nn.LayerNorm(dim, eps=norm_eps) if embedding_norm else None,
    )


def build_decoder(
    *,
    dim: int,
    depth: int,
    heads: int = 4,
    feed_forward_dim: int | None = None,
    positions: str = "relative",
    position_reach: int = 16,
    window: Window = None,
    score: str = "dot",
    normalizer: str = "softmax",
    norm: str = "pre",
    norm_eps: float = NORM_EPS,
    embedding_norm: bool = False,
    dropout: float = 0.0,
    activation: str | Activation = "relu",
    implementation: str = "auto",
) -> Decoder:
    """A decoder: ``Ragged`` targets ``[T, dim]`` and memory ``[S, dim]`` → ``[T, dim]``.

    Arguments:
        depth: number of layers, from 0.
        window: of the targets' attention to themselves, which is causal, so that its left side alone counts; the memory
            is always seen whole.
        score, normalizer: of both attentions, as in :class:`MultiHeadAttention`.
        dim, heads, feed_forward_dim, positions, position_reach, norm, norm_eps, embedding_norm, dropout, activation,
        implementation: as in :func:`build_encoder`.

    Raises:
        ConfigError: a choice that does not exist, or sizes that do not fit together.
    """
    _check_positions(positions)
    inner = 4 * dim if feed_forward_dim is None else feed_forward_dim
    function = find_activation(activation)
    choices: dict[str, Any] = {
        "heads": heads,
        "score": score,
        "normalizer": normalizer,
        "implementation": implementation,
    }
    layers = [
        DecoderLayer(
            MultiHeadAttention(dim, window=window, causal=True, **choices),
            MultiHeadAttention(dim, **choices),
            FeedForward(dim, inner, activation=function, dropout=dropout),
            dim=dim,
            norm=norm,
            dropout=dropout,
            norm_eps=norm_eps,
        )
        for _ in range(depth)
    ]
    return Decoder(
        layers,
        positions=_added(positions, dim, position_reach),
        order=_order(positions, depth, dim // heads, heads, position_reach, window_sides(window, causal=True)),
        norm=nn.LayerNorm(dim, eps=norm_eps) if norm == "pre" else None,
        embedding_norm=nn.LayerNorm(dim, eps=norm_eps) if embedding_norm else None,
    )


def _check_positions(positions: str) -> None:
    if positions not in POSITIONS:
        raise ConfigError(f"positions must be one of {', '.join(POSITIONS)}; got {positions!r}")


def _added(positions: str, dim: int, length: int) -> nn.Module | None:
    if positions == "sinusoidal":
        return Sinusoidal()
    return Learned(dim, length=length) if positions == "learned" else None


def _order(
    positions: str, depth: int, head_dim: int, heads: int, reach: int, sides: tuple[int | None, int | None]
) -> nn.Module | None:
    if positions == "relative":
        left, right = (reach if side is None else min(reach, side) for side in sides)
        return Relative(depth, heads, left=left, right=right) if depth else None
    if positions == "alibi":
        return Alibi(heads, left=sides[0], right=sides[1])
    return Rotary(head_dim) if positions == "rotary" else None


def _neighbours(kind: str, depth: int, window: Window, causal: bool) -> list[tuple[int, int]]:
    """How many neighbours each layer sees to the left and right."""
    if kind == "pointwise":
        return [(0, 0)] * depth
    default = SLIDING_WINDOW if kind == "sliding" else CONVOLUTION_WINDOW
    left, right = window_sides(default if window is None else window, causal)
    if left is None or right is None:
        raise ConfigError(
            f"window: a {kind} encoder has weights for each neighbour, so both sides must end; got {window!r}"
        )
    if kind == "sliding":
        return [(left, right), *[(0, 0)] * (depth - 1)][:depth]
    return [(left, right)] * depth
