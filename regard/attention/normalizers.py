"""From scores to weights, and back again for gradients. A hidden key's score is −inf, and its weight 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def seen_keys(bias: Tensor | None, keys: int) -> Tensor | int:
    """How many keys each row may see, at least 1: ``[b, R, 1]``, or a number where all see all."""
    return max(keys, 1) if bias is None else (bias > -math.inf).sum(-1, keepdim=True).clamp_(min=1)


def normalize(normalizer: str, scores: Tensor, bias: Tensor | None, *, some_see_nothing: bool) -> Tensor:
    """``scores [b, R, W]``, which may be overwritten, to weights; −inf in ``bias`` tells what is hidden.

    softmax; relu(s) / n (Wortsman et al. 2023); sigmoid(s − log n) (Ramapuram et al. 2024); n keys are seen.
    """
    if normalizer == "softmax":
        weights = torch.softmax(scores, -1)
        if bias is not None and some_see_nothing:
            weights.masked_fill_((bias == -math.inf).all(-1, keepdim=True), 0)
        return weights
    seen = seen_keys(bias, scores.shape[-1])
    if normalizer == "relu":
        return scores.relu_().div_(seen)
    return scores.sub_(math.log(seen) if isinstance(seen, int) else seen.to(scores.dtype).log()).sigmoid_()


def through_normalizer(normalizer: str, grad: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """The gradient by the scores from that by the weights, which is overwritten."""
    if normalizer == "softmax":
        return torch._softmax_backward_data(grad, weights, -1, grad.dtype)
    if normalizer == "relu":
        return grad.mul_(weights > 0).div_(seen_keys(bias, weights.shape[-1]))
    return grad.mul_(weights).mul_(1 - weights)
