"""The public face of the mechanism: check, choose, call."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from regard.attention import operator, sdpa
from regard.attention.check import check
from regard.attention.choose import explained, fastest, is_logged, logger, named, untraced, weights
from regard.attention.implementations import IMPLEMENTATIONS, Implementation
from regard.attention.signature import complete, defaults_of, spelled_out
from regard.attention.spec import Additive, AttendOptions, RelativeBias, Spec, Window
from regard.attention.weights import AttentionWeights

__all__ = ["IMPLEMENTATIONS", "Window", "attend", "attention_weights", "explain"]

SHORT, SHORT_ON_A_GPU = 1 << 16, 1 << 20  # products of a query and a key


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

    Under ``torch.autocast`` query, key and value are cast as PyTorch's own attention casts them: to autocast's type,
    float64 excepted. What is added to scores (bias, table) and the additive weight keep their type, for they meet
    numbers that are float32 or better by then.

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
        implementation: ``"auto"``, ``"reference"``, ``"blocked"``, ``"sdpa"``, ``"triton"`` or ``"native"``; it never
            changes the meaning.

    Returns:
        ``[B, H, Q, Dv]`` or ``[T, H, Dv]``, of query's dtype, or autocast's.

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
    options: AttendOptions = {
        "score": score,
        "normalizer": normalizer,
        "window": window,
        "causal": causal,
        "offsets": offsets,
        "key_offsets": key_offsets,
        "query_start": query_start,
        "key_mask": key_mask,
        "bias": bias,
        "scale": scale,
        "dropout_p": dropout_p,
    }
    if not torch.compiler.is_compiling() and has_torch_function((query, key, value)):  # someone listens: regard.record
        inputs = (query, key, value)
        return handle_torch_function(attend, inputs, *inputs, implementation=implementation, **options)
    query, key, value, spec = check(query, key, value, options)
    return operator.attend(query, key, value, spec, _choose(query, key, value, spec, implementation))


DEFAULTS = defaults_of(attend, AttendOptions)


def attention_weights(
    query: Tensor, key: Tensor, *, implementation: str = "auto", **options: Unpack[AttendOptions]
) -> AttentionWeights:
    """The weights that :func:`attend` makes its output from, for the same arguments; without gradient.

    A truncated window is held as a band, ``[B, H, Q, left+right+1]`` or ``[T, H, left+right+1]``.
    ``implementation`` is ``"auto"``, ``"reference"``, ``"blocked"`` or ``"native"``.

    It raises what :func:`attend` raises.
    """
    options = complete("attention_weights", options, DEFAULTS)
    run = _weights
    if torch.compiler.is_compiling() and implementation != "reference":
        torch._dynamo.graph_break(msg=untraced("attention_weights"))
        run = torch.compiler.disable(_weights)  # type: ignore[no-untyped-call]
    return run(query, key, options, implementation)


def _weights(query: Tensor, key: Tensor, options: AttendOptions, implementation: str) -> AttentionWeights:
    query, key, _, spec = check(query, key, key, options)
    table = _near(query) if implementation == "auto" else IMPLEMENTATIONS
    return weights("attention_weights", table, query, key, spec, implementation)


def explain(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[AttendOptions]) -> str:
    """Which implementation ``"auto"`` takes for a call of :func:`attend`, and why not another.

    The arguments are those of the call: query ``[B, H, Q, D]`` or ``[T, H, D]``, and so on.

    >>> x = torch.zeros(1, 1, 8, 4)
    >>> print(explain(x, x, x, window=2))
    native, for sdpa cannot: the window is truncated
    """
    return _explain(*check(query, key, value, complete("explain", options, DEFAULTS)))


attention_weights.__signature__ = spelled_out(attend, without="value", returns="AttentionWeights")  # type: ignore[attr-defined]
explain.__signature__ = spelled_out(attend, without="implementation", returns="str")  # type: ignore[attr-defined]


def _choose(query: Tensor, key: Tensor, value: Tensor, spec: Spec, implementation: str) -> str:
    if implementation != "auto":
        return named(IMPLEMENTATIONS, implementation, query, key, value, spec)
    if is_logged():
        logger.debug("attend %s: %s", list(query.shape), _explain(query, key, value, spec))
    return _fastest(query, key, value, spec)


def _fastest(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> str:
    if _for_sdpa(query, key, spec) and not sdpa.refusals(query, key, value, spec):
        return "sdpa"
    return fastest(_near(query), query, key, value, spec)


def _for_sdpa(query: Tensor, key: Tensor, spec: Spec) -> str:
    """Why "sdpa" is taken where it can, and not a faster one; empty where it is not."""
    if spec.offsets is not None:
        return ""  # it has no ragged batches
    if torch.compiler.is_compiling():
        return "a network is traced, and it runs wherever PyTorch does"
    pairs, all_seen = query.shape[:-1].numel() * key.shape[-2], spec.right is None
    if query.is_cuda:
        if pairs < SHORT_ON_A_GPU:
            return "the call has fewer than 2²⁰ pairs, and it is started soonest"
        return "everyone sees all, where cuDNN is ahead on a GPU" if all_seen else ""
    if all_seen and pairs < SHORT:
        return "everyone sees all, in fewer than 2¹⁶ pairs, and it is started soonest"
    return ""


AHEAD_OF_SDPA = {
    "native": "sdpa is ahead only where everyone sees all, in fewer than 2¹⁶ pairs",
    "triton": "sdpa must first clean keys and values of NaN and Inf in causal calls",
}


def _near(query: Tensor) -> dict[str, Implementation[Spec, AttentionWeights]]:
    """What "auto" may take: kernels of a CPU are not for a GPU, nor is there one to interpret the other's."""
    others = "native" if query.is_cuda else "triton"
    return {name: row for name, row in IMPLEMENTATIONS.items() if name != others}


def _explain(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> str:
    table, chosen, why = _near(query), _fastest(query, key, value, spec), ""
    if chosen == "sdpa":
        why = _for_sdpa(query, key, spec)
    elif not sdpa.refusals(query, key, value, spec):
        why = AHEAD_OF_SDPA.get(chosen, "")
    return explained(table, chosen, query, key, value, spec, why)
