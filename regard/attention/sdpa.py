"""PyTorch's own kernels, where they apply: the scaled dot product under softmax, over all keys or causal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.attention.spec import Spec, transforms


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> list[str]:
    """Every reason why these kernels cannot do the call; none if they can."""
    causal = spec.left is None and spec.right == 0 and spec.query_start == 0
    reasons = []  # said only where they hold: this runs at every call
    if spec.additive_weight is not None:
        reasons.append("the score is additive")
    if spec.normalizer != "softmax":
        reasons.append(f"the normalizer is {spec.normalizer}, not softmax")
    if not causal and (spec.left is not None or spec.right is not None):
        reasons.append("the window is truncated")
    if causal and spec.scale <= 0:  # PyTorch gives NaN
        reasons.append(f"a scale of {spec.scale} under causal is not above 0")
    if spec.offsets is not None:
        reasons.append("the batch is ragged")
    if spec.key_mask is not None:
        reasons.append("there is a key_mask")
    if spec.bias is not None or spec.table is not None:
        reasons.append("there is a bias")
    if spec.seed is not None:
        reasons.append("there is dropout")
    if query.dtype == torch.float64:
        reasons.append("float64 has no fused kernel, which would hold every score")
    if value.shape[-1] != key.shape[-1]:
        reasons.append("value's last axis differs from key's")
    if "forward-mode differentiation" in transforms():
        reasons.append("forward-mode differentiation is under way, for which it has no rule")
    if query.numel() == 0 or key.numel() == 0:
        reasons.append("there are no queries or no keys")
    return reasons


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Tensor, None]:
    """``[B, H, Q, Dv]``; PyTorch saves what backward needs."""
    grouped = False
    if query.shape[1] != key.shape[1]:  # itself no bool, where a network is traced with sizes left open
        grouped = True
    # Without a contiguous last axis PyTorch would take its plain code, which holds every score.
    query, key, value = (x if x.stride(-1) == 1 else x.contiguous() for x in (query, key, value))
    if spec.right is None:
        return F.scaled_dot_product_attention(query, key, value, scale=spec.scale, enable_gqa=grouped), None
    # The kernels multiply hidden keys by 0, and 0 · NaN is NaN: they get zeros, and rows that do see one become NaN.
    bad = ~(key.isfinite().all(-1) & value.isfinite().all(-1))  # [B, Hk, K]
    key, value = (x.masked_fill(bad[..., None], 0) for x in (key, value))
    output = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=spec.scale, enable_gqa=grouped)
    rows = torch.arange(query.shape[2], device=query.device).clamp(max=key.shape[2] - 1)
    sees_bad = (bad.cumsum(-1) > 0)[..., rows]  # [B, Hk, Q]
    if grouped:  # by an index: PyTorch 2.11 cannot export a repeat_interleave of an open length
        sees_bad = sees_bad[:, torch.arange(query.shape[1], device=query.device) // (query.shape[1] // key.shape[1])]
    return output.masked_fill(sees_bad[..., None], torch.nan), None
