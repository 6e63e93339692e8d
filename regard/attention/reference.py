"""The definition of attention, written to be read: every pair of query and key at once. The oracle of every test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from regard.attention.dropout import keep_mask
from regard.attention.spec import Normalizer, Spec, compute_dtype, has_no_numbers, read_sequences, without_autocast
from regard.attention.weights import AttentionWeights


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> list[str]:
    """Every reason why it cannot do the call: none but where a network is traced."""
    if spec.offsets is not None and torch.compiler.is_compiling():
        return ["a network is traced, and it reads where each sequence begins"]
    return []


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Tensor, None]:
    """``weights @ value`` over all keys; ``[B, H, Q, Dv]`` or ``[T, H, Dv]``. Memory O(Q·K)."""
    with without_autocast(query.device):
        if spec.offsets is None:
            return _one(query, key, value, spec, 0, 0)[0], None
        outputs = [_one(*sequence)[0].squeeze(0).transpose(0, 1) for sequence in _unbind(query, key, value, spec)]
    nothing = query[:0, :, :1].expand(-1, -1, value.shape[2])  # so that no sequences at all have a gradient too
    return torch.cat([*outputs, nothing]), None  # [T, H, Dv]


def weights(query: Tensor, key: Tensor, spec: Spec) -> AttentionWeights:
    """All weights, then held as the contract says."""
    with without_autocast(query.device):
        if spec.offsets is None:
            dense = [_one(query, key, key, spec, 0, 0)[1]]  # [B, H, Q, K]
        else:
            dense = [_one(*sequence)[1] for sequence in _unbind(query, key, key, spec)]  # [1, H, Q_b, K_b] each
    return AttentionWeights.from_dense(
        [x.to(query.dtype) for x in dense],
        heads=query.shape[1],
        left=spec.left,
        right=spec.right,
        query_start=spec.query_start,
        offsets=None if spec.offsets is None else spec.offsets.to(query.device),
    )


def _unbind(
    query: Tensor, key: Tensor, value: Tensor, spec: Spec
) -> Iterator[tuple[Tensor, Tensor, Tensor, Spec, int, int]]:
    assert spec.offsets is not None
    dense = spec._replace(offsets=None, key_offsets=None)
    for q0, q1, k0, k1 in read_sequences(spec.offsets, spec.key_offsets, len(query), len(key)):
        q, k, v = (x.transpose(0, 1)[None] for x in (query[q0:q1], key[k0:k1], value[k0:k1]))  # [1, H, N_b, D]
        yield q, k, v, dense, q0, k0


def _one(
    query: Tensor, key: Tensor, value: Tensor, spec: Spec, first_row: int, first_key: int
) -> tuple[Tensor, Tensor]:
    (B, H, Q, _), K, dtype = query.shape, key.shape[2], query.dtype
    groups = H // key.shape[1]
    query = query.to(compute_dtype(dtype))  # [B, H, Q, D]
    key, value = (x.to(query.dtype).repeat_interleave(groups, 1) for x in (key, value))  # [B, H, K, D]
    position = torch.arange(Q, device=query.device) + spec.query_start
    distance = torch.arange(K, device=query.device) - position[:, None]  # [Q, K]

    bias = query.new_zeros(1) if spec.bias is None else spec.bias.to(query.dtype)
    if spec.table is not None:
        left, right = spec.table_left, spec.table.shape[1] - 1 - spec.table_left
        bias = spec.table.to(query.dtype)[:, distance.clamp(-left, right) + left]  # [H, Q, K]
    visible = (bias != -math.inf).expand(B, H, Q, K)
    if spec.left is not None:
        visible = visible & (distance >= -spec.left)
    if spec.right is not None:
        visible = visible & (distance <= spec.right)
    if spec.key_mask is not None:
        visible = visible & spec.key_mask[:, None, None, :]
    keep: Tensor | None = None
    if spec.seed is not None:
        planes = torch.arange(B * H, device=query.device)
        places = ((first_row + spec.first_row, Q), (first_key + spec.first_key, K))
        rows, keys = (torch.arange(first, first + n, device=query.device)[None] for first, n in places)
        keep = keep_mask(int(spec.seed), planes, rows, keys, spec.dropout_p).view(B, H, Q, K)
    careful = not all(is_seen_finite(x) for x in (query, key, value))
    output, weights = over_pairs(query, key, value, Pairs(visible, bias, keep, careful), spec)
    return output.to(dtype), weights


class Options(Protocol):
    """What a pair's weight depends on beside its query, its key and its bias."""

    @property
    def additive_weight(self) -> Tensor | None: ...
    @property
    def normalizer(self) -> Normalizer: ...
    @property
    def scale(self) -> float: ...
    @property
    def dropout_p(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is known of each pair of query and key; all broadcastable to ``[B, H, Q, K]``."""

    visible: Tensor  # bool
    bias: Tensor
    keep: Tensor | None  # bool: False where dropout drops
    careful: bool  # whether a query, key or value may be NaN or Inf


def over_pairs(query: Tensor, key: Tensor, value: Tensor, pairs: Pairs, options: Options) -> tuple[Tensor, Tensor]:
    """Output ``[B, H, Q, Dv]`` and weights ``[B, H, Q, K]``, of queries ``[B, H, Q, D]`` and keys ``[B, H, K, D]``."""
    visible, careful = pairs.visible, pairs.careful
    # A sum over pairs, with what is hidden made zero before it is multiplied: 0 · NaN would be NaN.
    if options.additive_weight is None and not careful:
        scores = query @ key.mT * options.scale  # [B, H, Q, K]
    else:
        of_keys = torch.where(visible[..., None], key[:, :, None], 0)  # [B, H, Q, K, D]
        if options.additive_weight is None:
            scores = (query[:, :, :, None] * of_keys).sum(-1) * options.scale
        else:
            weight = options.additive_weight.to(query.dtype)[:, None, None, :]  # [H, 1, 1, D]
            scores = (torch.tanh(query[:, :, :, None] + of_keys) * weight).sum(-1)
    scores = torch.where(visible, scores + pairs.bias, -math.inf)

    count = visible.sum(-1, keepdim=True).clamp(min=1).to(scores.dtype)  # [B, H, Q, 1]
    if options.normalizer == "softmax":
        weights = torch.softmax(torch.where(visible.any(-1, keepdim=True), scores, 0), -1)
    elif options.normalizer == "relu":
        weights = torch.relu(scores) / count
    else:
        weights = torch.sigmoid(scores - count.log())
    weights = torch.where(visible, weights, 0)
    if pairs.keep is not None:
        weights = torch.where(pairs.keep, weights / (1 - options.dropout_p), 0)

    if not careful:
        return weights @ value, weights
    of_values = torch.where(visible[..., None], value[:, :, None], 0)  # [B, H, Q, K, Dv]
    return (weights[..., None] * of_values).sum(-2), weights


def is_seen_finite(x: Tensor) -> bool:
    """False also where nobody can look: where a network is traced, under ``torch.func.vmap``, and without numbers."""
    if torch.compiler.is_compiling() or has_no_numbers(x):
        return False
    inner = x
    while torch._C._functorch.is_functorch_wrapped_tensor(inner):
        if torch._C._functorch.is_batchedtensor(inner):
            return False
        inner = torch._C._functorch.get_unwrapped(inner)
    return bool(x.isfinite().all())
