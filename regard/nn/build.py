"""From plain options to an encoder or a decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from regard.attention.api import Window
from regard.attention.check import window_sides
from regard.attention.grid.check import window_sides as grid_sides
from regard.attention.grid.spec import Window2d
from regard.errors import ConfigError
from regard.nn.attention import MultiHeadAttention
from regard.nn.compared import NeighbourLayer
from regard.nn.decoder import Decoder, DecoderLayer
from regard.nn.layers import NORM_EPS, Activation, Encoder, EncoderLayer, FeedForward, find_activation
from regard.nn.positions import Alibi, Learned, Ordering, Relative, Rotary, Sinusoidal
from regard.nn.positions2d import Alibi2d, Learned2d, Relative2d, Rotary2d, Sinusoidal2d

AnyWindow = Window | Window2d
Sides = tuple[int | None, ...]  # to the left and right; in images up, down, left and right
ENCODERS = ("attention", "pointwise", "sliding", "convolution")
POSITIONS = ("relative", "sinusoidal", "learned", "rotary", "alibi", "none")
MEMORY_POSITIONS = ("sinusoidal", "none")
SLIDING_WINDOW, CONVOLUTION_WINDOW = 2, 1  # neighbours to each side where no window is given


def build_encoder(
    kind: str,
    *,
    dim: int,
    depth: int,
    embedding_dim: int | None = None,
    heads: int = 4,
    feed_forward_dim: int | None = None,
    positions: str = "relative",
    position_reach: int = 16,
    window: AnyWindow = None,
    windows: Sequence[AnyWindow] | None = None,
    causal: bool = False,
    grid: bool = False,
    score: str = "dot",
    normalizer: str = "softmax",
    norm: str = "pre",
    norm_eps: float = NORM_EPS,
    embedding_norm: bool = False,
    dropout: float = 0.0,
    activation: str | Activation = "relu",
    implementation: str = "auto",
) -> nn.Module:
    """An encoder, ``Ragged`` → ``Ragged``, both ``[T, dim]``, unless ``embedding_dim`` is that of the vectors in.

    - "attention": ``depth`` layers of self-attention interleaved with fully connected networks.
    - "pointwise": ``depth`` fully connected networks on each vector by itself.
    - "sliding": the first of them reads a window of neighbours, 2 to each side unless ``window`` is given.
    - "convolution": each of them does, 1 to each side unless ``window`` or ``windows`` is given.

    The last three take no notice of ``heads``, ``score``, ``normalizer`` and ``implementation``, nor of positions other
    than "sinusoidal" and "learned", which are added to the vectors; "pointwise" has no window.

    Arguments:
        kind: one of the above.
        dim: ``E``.
        depth: number of layers, from 0.
        embedding_dim: of the vectors in, with their positions and ``embedding_norm``, before a matrix brings them to
            ``dim``, as in ELECTRA; None for ``dim`` itself, without a matrix.
        heads: H, which divides ``dim``.
        feed_forward_dim: inner width of the fully connected networks, ``4 · dim`` unless given.
        positions: "relative", "sinusoidal", "learned", "rotary", "alibi" or "none".
        position_reach: distances told apart to each side (relative), or the longest sequence (learned).
        window, causal: as in :func:`regard.attend`, in every layer.
        windows: one such window for each layer, in the place of ``window``.
        grid: whether batches are of images (:meth:`Ragged.from_grids`): windows are those of :func:`regard.attend2d`,
            positions those in two dimensions, and neighbours above and below are read too.
        score, normalizer: as in :class:`MultiHeadAttention`.
        norm: "pre" or "post"; see :class:`Residual`.
        norm_eps: added to the variance in every layer norm.
        embedding_norm: whether vectors with their positions go through a layer norm before the first layer.
        dropout: share dropped in training of what each part adds, and inside the fully connected networks.
        activation: of the fully connected networks: "relu", "gelu" (the exact one, ``x Φ(x)``), "gelu_tanh"
            (near to it), or any function.
        implementation: as in :func:`regard.attend`.

    Raises:
        ConfigError: a choice that does not exist, or sizes that do not fit together.
    """
    if kind not in ENCODERS:
        raise ConfigError(f"encoder must be one of {', '.join(ENCODERS)}; got {kind!r}")
    _check_positions(positions)
    feed_forward = _feed_forwards(dim, feed_forward_dim, activation, dropout)
    around: dict[str, Any] = {"dim": dim, "norm": norm, "dropout": dropout, "norm_eps": norm_eps}
    each = _windows(window, windows, depth)
    sides_of: Callable[[Any], Sides] = grid_sides if grid else partial(window_sides, causal=causal)
    layers: list[nn.Module] = []
    order: Ordering | None = None
    if kind == "attention":
        choices: dict[str, Any] = {"heads": heads, "score": score, "normalizer": normalizer, "causal": causal}
        for one in each:
            attention = MultiHeadAttention(dim, window=one, grid=grid, implementation=implementation, **choices)
            layers.append(EncoderLayer(attention, feed_forward(), **around))
        make_order = _order2d if grid else _order
        order = make_order(positions, dim // heads, heads, position_reach, [sides_of(one) for one in each])
    else:
        for *rows, left, right in _neighbours(kind, each, sides_of, shared=windows is None):
            reads = feed_forward(input_dim=(left + right + 1) * (sum(rows) + 1) * dim)
            above_below = (rows[0], rows[1]) if grid else None
            layers.append(NeighbourLayer(reads, left=left, right=right, rows=above_below, **around))
    width = dim if embedding_dim is None else embedding_dim
    ends = _ends(positions, dim, position_reach, norm, norm_eps, embedding_norm, grid=grid, width=width)
    return Encoder(layers, order=order, **ends)


def build_decoder(
    *,
    dim: int,
    depth: int,
    heads: int = 4,
    feed_forward_dim: int | None = None,
    positions: str = "relative",
    position_reach: int = 16,
    window: AnyWindow = None,
    windows: Sequence[AnyWindow] | None = None,
    score: str = "dot",
    normalizer: str = "softmax",
    norm: str = "pre",
    norm_eps: float = NORM_EPS,
    embedding_norm: bool = False,
    dropout: float = 0.0,
    activation: str | Activation = "relu",
    implementation: str = "auto",
    memory_positions: str = "sinusoidal",
    memory_grid: bool = False,
) -> Decoder:
    """A decoder: ``Ragged`` targets ``[T, dim]`` and memory ``[S, dim]`` → ``[T, dim]``.

    Arguments:
        depth: number of layers, from 0.
        window: of the targets' attention to themselves, which is causal, so that its left side alone counts; the memory
            is always seen whole.
        windows: one such window for each layer, in the place of ``window``.
        score, normalizer: of both attentions, as in :class:`MultiHeadAttention`.
        memory_positions: "sinusoidal" or "none"; see :class:`Decoder`.
        memory_grid: whether the memory is of images.
        dim, heads, feed_forward_dim, positions, position_reach: as in :func:`build_encoder`.
        norm, norm_eps, embedding_norm, dropout, activation, implementation: the same.

    Raises:
        ConfigError: a choice that does not exist, or sizes that do not fit together.
    """
    _check_positions(positions)
    if memory_positions not in MEMORY_POSITIONS:
        raise ConfigError(f"memory_positions must be one of {', '.join(MEMORY_POSITIONS)}; got {memory_positions!r}")
    feed_forward = _feed_forwards(dim, feed_forward_dim, activation, dropout)
    around: dict[str, Any] = {"dim": dim, "norm": norm, "dropout": dropout, "norm_eps": norm_eps}
    choices: dict[str, Any] = {"heads": heads, "score": score, "normalizer": normalizer}
    choices["implementation"] = implementation
    each = _windows(window, windows, depth)
    layers = []
    for one in each:
        attention = MultiHeadAttention(dim, window=one, causal=True, **choices)
        layers.append(DecoderLayer(attention, MultiHeadAttention(dim, **choices), feed_forward(), **around))
    order = _order(positions, dim // heads, heads, position_reach, [window_sides(one, causal=True) for one in each])
    ends = _ends(positions, dim, position_reach, norm, norm_eps, embedding_norm, width=dim)
    waves = _added(memory_positions, dim, position_reach, grid=memory_grid)
    return Decoder(layers, order=order, memory_positions=waves, **ends)


def set_window(encoder: Encoder, window: AnyWindow = None, *, windows: Sequence[AnyWindow] | None = None) -> None:
    """Lets an encoder attend within other windows than it was made with; no weight changes.

    Where learned biases end before the new window does, all that is further off has the last of them.

    Arguments:
        window: as in :func:`regard.attend`, in every layer.
        windows: one such window for each layer, in the place of ``window``.

    Raises:
        ConfigError: no layer attends, or there are more or fewer windows than layers.

    >>> encoder = build_encoder("attention", dim=8, depth=2, window=(4, 1))
    >>> set_window(encoder, windows=[(4, 1), (4, 0)])
    >>> encoder.reach
    (8, 1)
    """
    layers = [layer for layer in encoder.layers if isinstance(layer, EncoderLayer)]
    if len(layers) < len(encoder.layers):
        raise ConfigError("window: only an encoder that attends can be given another, got one that reads neighbours")
    for layer, one in zip(layers, _windows(window, windows, len(layers)), strict=True):
        layer.attention.set_window(one)
    if isinstance(encoder.order, Alibi):
        lefts, rights = zip(*(layer.sides for layer in layers), strict=True)
        encoder.order.left, encoder.order.right = _widest(lefts), _widest(rights)


def _check_positions(positions: str) -> None:
    if positions not in POSITIONS:
        raise ConfigError(f"positions must be one of {', '.join(POSITIONS)}; got {positions!r}")


def _windows(window: AnyWindow, windows: Sequence[AnyWindow] | None, depth: int) -> list[AnyWindow]:
    """One for each layer."""
    if windows is None:
        return [window] * depth
    if window is not None:
        raise ConfigError(
            f"windows has one for each layer, and window must then be None; got {window!r}; leave one out"
        )
    if len(windows) != depth:
        raise ConfigError(f"windows must have one for each of the {depth} layers, got {len(windows)}: {windows!r}")
    return list(windows)


def _feed_forwards(
    dim: int, inner: int | None, activation: str | Activation, dropout: float
) -> Callable[..., FeedForward]:
    """Makes the fully connected network of one layer; it takes ``input_dim``."""
    inner = 4 * dim if inner is None else inner
    return partial(FeedForward, dim, inner, activation=find_activation(activation), dropout=dropout)


def _ends(
    positions: str,
    dim: int,
    length: int,
    norm: str,
    norm_eps: float,
    embedding_norm: bool,
    *,
    width: int,
    grid: bool = False,
) -> dict[str, nn.Module | None]:
    """What stands before the first layer, where vectors are of ``width``, and after the last."""
    enters: nn.Module | None = nn.LayerNorm(width, eps=norm_eps) if embedding_norm else None
    if width != dim:
        enters = nn.Sequential(*([] if enters is None else [enters]), nn.Linear(width, dim))
    return {
        "positions": _added(positions, width, length, grid=grid),
        "norm": nn.LayerNorm(dim, eps=norm_eps) if norm == "pre" else None,
        "embedding_norm": enters,
    }


def _added(positions: str, dim: int, length: int, *, grid: bool) -> nn.Module | None:
    """What is added to vectors to tell where they stand."""
    if positions == "sinusoidal":
        return Sinusoidal2d() if grid else Sinusoidal()
    if positions == "learned":
        return Learned2d(dim, length=length) if grid else Learned(dim, length=length)
    return None


def _order(positions: str, head_dim: int, heads: int, reach: int, sides: Sequence[Sides]) -> Ordering | None:
    """What tells the layers of order; ``sides`` are what each of them sees to the left and right."""
    if positions == "rotary":
        return Rotary(head_dim)
    if not sides or positions not in ("relative", "alibi"):
        return None
    lefts, rights = zip(*sides, strict=True)
    if positions == "alibi":
        return Alibi(heads, left=_widest(lefts), right=_widest(rights))
    left, right = (min(reach, reach if widest is None else widest) for widest in (_widest(lefts), _widest(rights)))
    return Relative(len(sides), heads, left=left, right=right)


def _order2d(positions: str, head_dim: int, heads: int, reach: int, sides: Sequence[Sides]) -> Ordering | None:
    """The same in images; ``sides`` are what each layer sees up, down, left and right."""
    if positions == "rotary":
        return Rotary2d(head_dim)
    if positions == "alibi":
        return Alibi2d(heads)
    if not sides or positions != "relative":
        return None
    widest = [_widest(side) for side in zip(*sides, strict=True)]
    up, down, left, right = (reach if side is None else min(reach, side) for side in widest)
    return Relative2d(len(sides), heads, reach=(up, down, left, right))


def _widest(sides: Sequence[int | None]) -> int | None:
    return None if None in sides else max(side for side in sides if side is not None)


def _neighbours(
    kind: str, windows: Sequence[AnyWindow], sides_of: Callable[[Any], Sides], *, shared: bool
) -> list[tuple[int, ...]]:
    """How many neighbours each layer sees to each side; ``shared``: one window was given for all layers."""
    none = (0,) * len(sides_of(0))
    if kind == "pointwise":
        return [none] * len(windows)
    if kind == "sliding" and not shared:
        raise ConfigError("windows: only the first layer of a sliding encoder has a window; give it as window")
    default = SLIDING_WINDOW if kind == "sliding" else CONVOLUTION_WINDOW
    sides = []
    for window in windows:
        ends = tuple(side for side in sides_of(default if window is None else window) if side is not None)
        if len(ends) < len(none):
            raise ConfigError(
                f"window: a {kind} encoder has weights for each neighbour, so all sides must end; got {window!r}"
            )
        sides.append(ends)
    return sides if kind == "convolution" else sides[:1] + [none] * (len(sides) - 1)
