"""The public face of attention over images: check, choose, call."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from regard.attention.choose import explained, fastest, is_logged, logger, named, untraced, weights
from regard.attention.grid.check import check
from regard.attention.grid.fold import attend_folded, folds
from regard.attention.grid.implementations import IMPLEMENTATIONS
from regard.attention.grid.spec import LEARNED, SCHEMA, Attend2dOptions, GridBias, GridSpec, Size, Window2d
from regard.attention.grid.weights import GridWeights
from regard.attention.operator import Operator
from regard.attention.signature import complete, defaults_of, spelled_out
from regard.attention.spec import Additive

ATTEND2D = Operator("attend2d", GridSpec, SCHEMA, LEARNED, IMPLEMENTATIONS)


def attend2d(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    size: Size,
    window: Window2d = None,
    dilation: int | tuple[int, int] = 1,
    border: str = "zero",
    score: str | Additive = "dot",
    normalizer: str = "softmax",
    offsets: Tensor | None = None,
    bias: Tensor | GridBias | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    implementation: str = "auto",
) -> Tensor:
    """Self-attention over the pixels of images: :func:`regard.attend` with a window of rows and columns.

    ``output_q = Σ_k weight[q, k] · value_k`` over the pixels that pixel q may see. Pixels are row-major.

    Arguments:
        query: dense ``[B, H, rows·columns, D]``, or ragged ``[T, H, D]`` with ``offsets``.
        key: ``[B, Hk, rows·columns, D]`` or ``[T, Hk, D]``; Hk divides H (grouped queries).
        value: ``[B, Hk, rows·columns, Dv]`` or ``[T, Hk, Dv]``.
        size: ``(rows, columns)`` of every image; ragged: ``[B, 2]`` int64, or a list of pairs, of each.
        window: None, w, (vertical, horizontal), or (up, down, left, right), each side None for no limit: a pixel in
            row r and column c sees those in rows ``r − up … r + down`` and columns ``c − left … c + right``.
        dilation: d, or (vertical, horizontal): the window's neighbours are d pixels from each other.
        border: ``"zero"``: what is outside the image is not there. ``"shift"``: near the border the window is moved
            inside, so that every pixel sees as many (NATTEN's neighbourhoods).
        score: ``"dot"`` or :class:`Additive`.
        normalizer: ``"softmax"``, ``"relu"`` or ``"sigmoid"``.
        offsets: ``[B+1]`` int64, image b is rows ``offsets[b]:offsets[b+1]``.
        bias: broadcastable to ``[B, H, N, N]`` with N = rows·columns, dense only, −inf where a pixel may not see; or
            :class:`GridBias`.
        scale: of the dot product; None for ``1/√D``.
        dropout_p: chance that a weight is dropped; the rest are scaled up. Seeded by ``torch.manual_seed``.
        implementation: ``"auto"``, ``"reference"``, ``"blocked"`` or ``"native"``; it never changes the meaning.

    Returns:
        ``[B, H, rows·columns, Dv]`` or ``[T, H, Dv]``, of query's dtype, or autocast's.

    Raises:
        ShapeError: tensors that do not fit together.
        ConfigError: a choice that does not exist.
        UnsupportedError: the named implementation cannot do this call, with every reason.

    Parmar et al. 2018, "Image Transformer"; Ramachandran et al. 2019, "Stand-Alone Self-Attention in Vision Models";
    Hassani et al. 2023, "Neighborhood Attention Transformer".

    >>> pixels = torch.tensor([[[[1.0], [2.0], [3.0], [4.0]]]])  # two rows of two
    >>> attend2d(pixels, pixels, pixels, size=(2, 2), window=(0, 1), scale=0.0).flatten()
    tensor([1.5000, 1.5000, 3.5000, 3.5000])
    """
    options: Attend2dOptions = {
        "size": size,
        "window": window,
        "dilation": dilation,
        "border": border,
        "score": score,
        "normalizer": normalizer,
        "offsets": offsets,
        "bias": bias,
        "scale": scale,
        "dropout_p": dropout_p,
    }
    if not torch.compiler.is_compiling() and has_torch_function((query, key, value)):  # someone listens: regard.record
        inputs = (query, key, value)
        return handle_torch_function(attend2d, inputs, *inputs, implementation=implementation, **options)
    query, key, value, spec = check(query, key, value, options)
    if implementation == "auto" and is_logged():
        logger.debug("attend2d %s: %s", list(query.shape), _explain(query, key, value, spec))
    if implementation in ("auto", "native") and folds(query, key, value, spec):
        return attend_folded(query, key, value, spec)
    if implementation == "auto":
        chosen = fastest(IMPLEMENTATIONS, query, key, value, spec)
    else:
        chosen = named(IMPLEMENTATIONS, implementation, query, key, value, spec)
    return ATTEND2D.attend(query, key, value, spec, chosen)


DEFAULTS = defaults_of(attend2d, Attend2dOptions)


def attention_weights2d(
    query: Tensor, key: Tensor, *, implementation: str = "auto", **options: Unpack[Attend2dOptions]
) -> GridWeights:
    """The weights that :func:`attend2d` makes its output from, for the same arguments; without gradient.

    A window is held as a band, ``[B, H, N, (up+down+1)·(left+right+1)]`` or ``[T, H, …]``.
    ``implementation`` is ``"auto"``, ``"reference"`` or ``"blocked"``.

    It raises what :func:`attend2d` raises.
    """
    options = complete("attention_weights2d", options, DEFAULTS)
    run = _weights
    if torch.compiler.is_compiling() and implementation != "reference":
        torch._dynamo.graph_break(msg=untraced("attention_weights2d"))
        run = torch.compiler.disable(_weights)  # type: ignore[no-untyped-call]
    return run(query, key, options, implementation)


def _weights(query: Tensor, key: Tensor, options: Attend2dOptions, implementation: str) -> GridWeights:
    query, key, _, spec = check(query, key, key, options)
    return weights("attention_weights2d", IMPLEMENTATIONS, query, key, spec, implementation)


def explain2d(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Attend2dOptions]) -> str:
    """Which implementation ``"auto"`` takes for a call of :func:`attend2d`, and why not another.

    The arguments are those of the call: query ``[B, H, N, D]`` or ``[T, H, D]``, and so on.

    >>> pixels = torch.zeros(1, 1, 12, 4)
    >>> print(explain2d(pixels, pixels, pixels, size=(3, 4), window=1, border="shift"))
    blocked, for native cannot: the border is "shift"
    """
    return _explain(*check(query, key, value, complete("explain2d", options, DEFAULTS)))


attention_weights2d.__signature__ = spelled_out(attend2d, without="value", returns="GridWeights")  # type: ignore[attr-defined]
explain2d.__signature__ = spelled_out(attend2d, without="implementation", returns="str")  # type: ignore[attr-defined]


def _explain(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> str:
    if folds(query, key, value, spec):
        return "native, with the tables of the bias as more elements of query and key"
    chosen = fastest(IMPLEMENTATIONS, query, key, value, spec)
    return explained(IMPLEMENTATIONS, chosen, query, key, value, spec)
