"""What weights alone do not tell of an answer: rollout, gradient × attention, and the answer without a head.

A weight says where a head looked, not what came of it: the value there may be nothing, or be lost in later layers (Jain
and Wallace 2019, "Attention is not Explanation"; Wiegreffe and Pinter 2019, "Attention is not not Explanation").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.attention import AttentionWeights
from regard.nn import MultiHeadAttention, Pooling

HELD = 2**24  # numbers at once
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Watched:
    """One example that a network has answered, which can be asked again.

    Arguments:
        network: the whole of it, in eval mode.
        run: runs it once and gives ``[A]``, the log probability of each of its answers.
        names: the answers.
        places: ``[A]`` int64, the position that each answer stands at; None: one answer for the whole sequence.
    """

    network: nn.Module
    run: Callable[[], Tensor]
    names: list[str]
    places: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Telltales:
    """Of A answers, over the K positions that were read.

    Arguments:
        log_probs: ``[A]``.
        rollout: ``[A, K]``: of which positions the vector of the answer is made over all layers; rows sum to 1.
        gradient: ``[A, K]``: ``Σ w · ∂ log p / ∂w`` over the weights w on a position, of all layers and heads; below 0
            what speaks against the answer.
        drops: ``[A, heads of all layers]``: by how much log p falls when one head is switched off.
        heads: the layer's name and the number of each of those heads.
    """

    log_probs: Tensor
    rollout: Tensor
    gradient: Tensor
    drops: Tensor
    heads: list[tuple[str, int]]


@dataclass(eq=False)
class _Heard:
    """What one attention did in a run: its weights, values ``[K, H, D]``, and what its heads gave, ``[Q, H·D]``.

    Of pooling without a query there are no heads, and ``mixed`` is None.
    """

    weights: AttentionWeights
    values: Tensor
    mixed: Tensor | None = None


def telltales(watched: Watched) -> Telltales:
    """All of them, without a weight N×N of a window; one pass back for each answer, one forward for each head."""
    parts = _attentions(watched.network)
    attentions = {name: part for name, part in parts.items() if _heads(part)}
    with torch.enable_grad(), _listening(parts) as heard:
        log_probs = watched.run()
    gradient = _gradients(log_probs, heard)
    with torch.no_grad():
        rollout = _rollout(watched, heard, len(log_probs))
        heads = [(name, head) for name, part in attentions.items() for head in range(_heads(part))]
        drops = [log_probs - _without(watched.run, attentions[name], head) for name, head in heads]
    stacked = torch.stack(drops, 1) if drops else torch.zeros(len(log_probs), 0)
    return Telltales(log_probs.detach().cpu(), rollout.cpu(), gradient.cpu(), stacked.detach().cpu(), heads)


def _attentions(network: nn.Module) -> dict[str, Any]:
    """Whatever attends to positions, and not within a word as front ends may do, by its name."""
    return {
        f"{place}.{name}".rstrip("."): part
        for place in ("encoder", "decoder", "pool")
        for name, part in getattr(network, place, nn.Identity()).named_modules()
        if isinstance(part, MultiHeadAttention | Pooling)
    }


def _heads(attention: Any) -> int:
    """Those that can be switched off: pooling has them with a learned query alone."""
    if isinstance(attention, Pooling):
        return len(attention.query) if attention.kind == "query" else 0
    return int(attention.heads)


def _reads_target(name: str) -> bool:
    """Whether what is attended to is the output so far, not what was read."""
    return name.startswith("decoder.") and not name.endswith("cross_attention")


@contextmanager
def _listening(attentions: dict[str, Any]) -> Iterator[dict[str, _Heard]]:
    """What each attention does in one run, by its name."""
    heard: dict[str, _Heard] = {}

    def listen(name: str, part: Any) -> Iterator[Any]:
        def before(_: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            heard[name] = _heard(part, *inputs, **keywords)

        def keep(mixed: Tensor) -> None:
            mixed.retain_grad()
            heard[name].mixed = mixed

        yield part.register_forward_pre_hook(before, with_kwargs=True)
        if not _heads(part):
            return
        if isinstance(part, Pooling):
            yield part.register_forward_hook(lambda _, inputs, pooled: keep(pooled))
        else:
            yield part.output.register_forward_pre_hook(lambda _, inputs: keep(inputs[0]))

    handles = [handle for name, part in attentions.items() for handle in listen(name, part)]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _heard(part: Any, *inputs: Any, **keywords: Any) -> _Heard:
    if isinstance(part, Pooling):
        x = inputs[0].values
        weights = part.attention_weights(inputs[0])[0][:, None]  # [H, 1, K]
        return _Heard(_as_band(weights), x.unflatten(1, (len(weights), -1)))
    query, key = inputs[0], inputs[1] if len(inputs) > 1 else keywords.get("key")
    values = part.project(query if key is None else key).value  # [K, Hk, D]
    found = part.attention_weights(*inputs, **keywords)
    band = found if isinstance(found, AttentionWeights) else _as_band(found.dense()[0])
    return _Heard(band, values.repeat_interleave(part.heads // part.key_heads, 1))


def _as_band(weights: Tensor) -> AttentionWeights:
    """Weights of every pair, ``[H, Q, K]``, as those of one sequence."""
    offsets = torch.tensor([0, weights.shape[1]])
    heads = len(weights)
    return AttentionWeights.from_dense([weights[None]], heads=heads, left=None, right=None, offsets=offsets)


def _gradients(log_probs: Tensor, heard: dict[str, _Heard]) -> Tensor:
    """``[A, K]``: w · ∂/∂w is ``w_qk (g_q · v_k)``, where g is the gradient of what the heads gave."""
    read = [one for name, one in heard.items() if one.mixed is not None and not _reads_target(name)]
    mixed = [one.mixed for one in read if one.mixed is not None]
    rows = []
    for log_prob in log_probs:
        gradients = torch.autograd.grad(log_prob, mixed, retain_graph=True, allow_unused=True)
        parts = [_by_key(one, g) for one, g in zip(read, gradients, strict=True) if g is not None]
        rows.append(torch.stack(parts).sum(0) if parts else torch.zeros(len(read[0].values) if read else 0))
    return torch.stack(rows)


@torch.no_grad()
def _by_key(heard: _Heard, gradient: Tensor) -> Tensor:
    """``[K]``, summed over heads and queries."""
    K = len(heard.values)
    keys, weights = _columns(heard.weights, K)
    gradient = gradient.view(-1, *heard.values.shape[1:])  # [Q, H, D]
    total = heard.values.new_zeros(K + 1)
    for part in _parts(len(keys), keys.shape[1] * heard.values[0].numel()):
        values = heard.values[keys[part].clamp(max=K - 1)]  # [q, W, H, D]
        products = torch.einsum("qhd,qwhd,qhw->qw", gradient[part], values, weights[part])
        total.index_add_(0, keys[part].flatten(), products.flatten())
    return total[:K]


def _parts(rows: int, width: int) -> Iterator[slice]:
    """Rows so few at once that what is as wide can be held."""
    step = max(1, HELD // max(1, width))
    return (slice(start, start + step) for start in range(0, rows, step))


def _columns(weights: AttentionWeights, keys: int) -> tuple[Tensor, Tensor]:
    """The key of each column, ``[Q, W]``, outside the sequence one past the last; and the weights, ``[Q, H, W]``."""
    values = weights.values if weights.offsets is not None else weights.values[0].transpose(0, 1)
    index = weights.first[:, None] + torch.arange(values.shape[-1], device=values.device)
    return torch.where((index >= 0) & (index < keys), index, keys), values


def _rollout(watched: Watched, heard: dict[str, _Heard], answers: int) -> Tensor:
    """``a · A_L … A_1`` with ``A = (W + I)`` divided by its sums, W the mean over heads (Abnar and Zuidema 2020).

    The answer's row a is where it stands; what pooling gives each vector, all alike where there is none; or, of an
    output, the mean over the layers that read the source.
    """
    own = [one.weights for name, one in heard.items() if name.startswith("encoder.")]
    crossed = [one.weights for name, one in heard.items() if name.endswith("cross_attention")]
    pooled = [one.weights for name, one in heard.items() if not name.startswith(("encoder.", "decoder."))]
    K = len(next(iter(heard.values())).values)
    if crossed:
        made = torch.stack([_mean(weights, K) for weights in crossed]).mean(0)
        made = made / made.sum(1, keepdim=True).clamp(min=TINY)
    elif watched.places is not None:
        made = torch.eye(K)[watched.places]
    else:
        made = _mean(pooled[0], K) if pooled else torch.full((answers, K), 1 / K)
    for weights in reversed(own):
        made = _through(made, weights)
    return made


def _mean(weights: AttentionWeights, keys: int) -> Tensor:
    """``[Q, K]``, over heads."""
    index, values = _columns(weights, keys)
    return values.new_zeros(len(index), keys + 1).scatter_add(1, index, values.mean(1))[:, :keys]


def _through(made: Tensor, weights: AttentionWeights) -> Tensor:
    """``made · (W + I)`` with rows that sum to 1, ``[A, K]``, W the mean over heads."""
    K = made.shape[1]
    index, values = _columns(weights, K)
    mean = values.mean(1)  # [Q, W]
    share = made / (mean.sum(1) + 1)
    total = share.new_zeros(len(made), K + 1)
    for part in _parts(K, len(made) * index.shape[1]):
        total.index_add_(1, index[part].flatten(), (share[:, part, None] * mean[part]).flatten(1))
    return total[:, :K] + share


@contextmanager
def _switched_off(part: Any, head: int) -> Iterator[None]:
    """One head of an attention gives zeros."""

    def without(mixed: Tensor) -> Tensor:
        rows = mixed.view(len(mixed), _heads(part), -1).clone()
        rows[:, head] = 0
        return rows.view_as(mixed)

    if isinstance(part, Pooling):
        handle = part.register_forward_hook(lambda _, inputs, pooled: without(pooled))
    else:
        handle = part.output.register_forward_pre_hook(lambda _, inputs: (without(inputs[0]),))
    try:
        yield
    finally:
        handle.remove()


def _without(run: Callable[[], Tensor], part: Any, head: int) -> Tensor:
    with _switched_off(part, head):
        return run()
