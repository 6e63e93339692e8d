"""The public face of the mechanism: check, choose, call."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from regard.attention import blocked, native, operator, reference, sdpa
from regard.attention.check import check
from regard.attention.scores import Additive, RelativeBias
from regard.attention.spec import Spec
from regard.attention.weights import AttentionWeights
from regard.errors import ConfigError, UnsupportedError

IMPLEMENTATIONS = ("reference", "blocked", "sdpa", "native")
Window = int | tuple[int | None, int | None] | None
SHORT = 1 << 20  # pairs of query and key
logger = logging.getLogger("regard")


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    score: str | Additive = "dot",
    normalizer: str = "softmax",
    window: Window = None,
    causal: bool = False,
    offsets: Tensor | None = None,
    key_offsets: Tensor | None = None,
    query_start: int = 0,
    key_mask: Tensor | None = None,
    bias: Tensor | RelativeBias | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    implementation: str = "auto",
) -> Tensor:
    """Attention: ``output_q = Σ_k weight[q, k] · value_k`` over the keys that query q may see.

    ``weight = normalizer(score(query, key) + bias)``. The dot product's score is ``scale · q·k``; the additive one
    ``Σ_d w_d · tanh(q_d + k_d)``. With n the number of keys that the query may see, the normalizers are softmax,
    ``relu(s) / n`` and ``sigmoid(s − log n)``. A query that may see no key gets zeros.

    Arguments:
        query: dense ``[B, H, Q, D]``, or ragged ``[T, H, D]`` with ``offsets``.
        key: ``[B, Hk, K, D]`` or ``[T, Hk, D]``; Hk divides H (grouped queries).
        value: ``[B, Hk, K, Dv]`` or ``[T, Hk, Dv]``.
        score: ``"dot"`` or :class:`Additive`.
        normalizer: ``"softmax"``, ``"relu"`` or ``"sigmoid"``.
        window: None, w, or (left, right), each side None for no limit: a query at position p sees the keys at
            ``p − left … p + right`` and no others (truncated self-attention).
        causal: sees no key to the right; the same as ``right = 0``.
        offsets: ``[B+1]`` int64, sequence b is rows ``offsets[b]:offsets[b+1]``.
        key_offsets: the same for key and value, where they are other sequences (cross-attention).
        query_start: position of the first query in its sequence (caches, streams).
        key_mask: bool ``[B, K]``, True where a key may be attended; dense only.
        bias: broadcastable to ``[B, H, Q, K]``, dense only, −inf where a query may not see; or :class:`RelativeBias`.
        scale: of the dot product; None for ``1/√D``.
        dropout_p: chance that a weight is dropped; the rest are scaled up. Seeded by ``torch.manual_seed``.
        implementation: ``"auto"``, ``"reference"``, ``"blocked"``, ``"sdpa"`` or ``"native"``; it never changes the
            meaning.

    Returns:
        ``[B, H, Q, Dv]`` or ``[T, H, Dv]``, of query's dtype.

    Raises:
        ShapeError: tensors that do not fit together.
        ConfigError: a choice that does not exist.
        UnsupportedError: the named implementation cannot do this call, with every reason.

    Vaswani et al. 2017, "Attention Is All You Need"; Bahdanau et al. 2014 (additive); Wortsman et al. 2023 (relu);
    Ramapuram et al. 2024 (sigmoid).

    >>> query = key = torch.tensor([[[[0.0, 2.0], [2.0, 0.0]]]])
    >>> attend(query, key, torch.tensor([[[[1.0], [0.0]]]]), window=0)
    tensor([[[[1.],
              [0.]]]])
    """
    spec = check(
        query,
        key,
        value,
        score=score,
        normalizer=normalizer,
        window=window,
        causal=causal,
        offsets=offsets,
        key_offsets=key_offsets,
        query_start=query_start,
        key_mask=key_mask,
        bias=bias,
        scale=scale,
        dropout_p=dropout_p,
    )
    chosen = _choose(query, key, value, spec, implementation)
    if chosen == "reference":
        return reference.attend(query, key, value, spec)
    if chosen == "sdpa":
        return sdpa.attend(query, key, value, spec)
    return operator.attend(query, key, value, spec, chosen)


def attention_weights(
    query: Tensor,
    key: Tensor,
    *,
    score: str | Additive = "dot",
    normalizer: str = "softmax",
    window: Window = None,
    causal: bool = False,
    offsets: Tensor | None = None,
    key_offsets: Tensor | None = None,
    query_start: int = 0,
    key_mask: Tensor | None = None,
    bias: Tensor | RelativeBias | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    implementation: str = "auto",
) -> AttentionWeights:
    """The weights that :func:`attend` makes its output from, for the same arguments; without gradient.

    A truncated window is held as a band, ``[B, H, Q, left+right+1]`` or ``[T, H, left+right+1]``.
    ``implementation`` is ``"auto"``, ``"reference"``, ``"blocked"`` or ``"native"``.

    Raises:
        As :func:`attend`.
    """
    spec = check(
        query,
        key,
        key,
        score=score,
        normalizer=normalizer,
        window=window,
        causal=causal,
        offsets=offsets,
        key_offsets=key_offsets,
        query_start=query_start,
        key_mask=key_mask,
        bias=bias,
        scale=scale,
        dropout_p=dropout_p,
    )
    _check_name(implementation)
    if implementation == "sdpa":
        raise UnsupportedError('implementation "sdpa" cannot give weights: its kernels never hold them; use "blocked"')
    refused = {"native": native.refusals(query, spec)}
    if implementation == "native" and refused["native"]:
        raise UnsupportedError(_refusal("native", refused))
    if implementation == "auto":
        implementation = "blocked" if refused["native"] or torch.compiler.is_compiling() else "native"
    with torch.no_grad():
        if implementation == "reference":
            return reference.weights(query, key, spec)
        if implementation == "native":
            return native.weights(query, key, spec)
        return blocked.weights(query, key, spec)


def explain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    score: str | Additive = "dot",
    normalizer: str = "softmax",
    window: Window = None,
    causal: bool = False,
    offsets: Tensor | None = None,
    key_offsets: Tensor | None = None,
    query_start: int = 0,
    key_mask: Tensor | None = None,
    bias: Tensor | RelativeBias | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
) -> str:
    """Which implementation ``"auto"`` takes for a call of :func:`attend`, and why not another.

    >>> x = torch.zeros(1, 1, 8, 4)
    >>> print(explain(x, x, x, window=2))
    native, for sdpa cannot: the window is truncated
    """
    spec = check(
        query,
        key,
        value,
        score=score,
        normalizer=normalizer,
        window=window,
        causal=causal,
        offsets=offsets,
        key_offsets=key_offsets,
        query_start=query_start,
        key_mask=key_mask,
        bias=bias,
        scale=scale,
        dropout_p=dropout_p,
    )
    return _explain(_refused(query, key, value, spec), query, key)


def _check_name(implementation: str) -> None:
    if implementation not in ("auto", *IMPLEMENTATIONS):
        raise ConfigError(f"implementation must be one of auto, {', '.join(IMPLEMENTATIONS)}; got {implementation!r}")


def _choose(query: Tensor, key: Tensor, value: Tensor, spec: Spec, implementation: str) -> str:
    _check_name(implementation)
    if implementation in ("reference", "blocked"):
        return implementation
    refused = _refused(query, key, value, spec)
    if implementation != "auto":
        if refused[implementation]:
            raise UnsupportedError(_refusal(implementation, refused))
        return implementation
    chosen = _fastest(refused, query, key)
    if not torch.compiler.is_compiling() and logger.isEnabledFor(logging.DEBUG):
        logger.debug("attend %s: %s", list(query.shape), _explain(refused, query, key))
    return chosen


def _refusal(implementation: str, refused: dict[str, list[str]]) -> str:
    return f'implementation "{implementation}" cannot do this call: {"; ".join(refused[implementation])}; use "auto"'


def _refused(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> dict[str, list[str]]:
    """Why not, for each implementation that cannot run every call."""
    return {"native": native.refusals(query, spec), "sdpa": sdpa.refusals(query, key, value, spec)}


def _fastest(refused: dict[str, list[str]], query: Tensor, key: Tensor) -> str:
    if not refused["sdpa"] and (torch.compiler.is_compiling() or _is_short(query, key)):
        return "sdpa"  # which costs less to call, and where it is exported runs anywhere
    if not refused["native"]:
        return "native"
    return "blocked" if refused["sdpa"] else "sdpa"


def _is_short(query: Tensor, key: Tensor) -> bool:
    """Whether a dense call is over before the native kernels have been called."""
    return query.shape[:-1].numel() * key.shape[-2] < SHORT


def _explain(refused: dict[str, list[str]], query: Tensor, key: Tensor) -> str:
    chosen = _fastest(refused, query, key)
    passed = [f"{name} cannot: {'; '.join(reasons)}" for name, reasons in refused.items() if reasons and name != chosen]
    return f"{chosen}, for {'; and '.join(passed)}" if passed else chosen
