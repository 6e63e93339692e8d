"""From a convolution to an attention, and back."""

from __future__ import annotations

import logging
import math
from copy import deepcopy
from itertools import product

import torch
from torch import Tensor, nn

from regard.errors import UnsupportedError
from regard.nn.convolution.attention import OffsetAttention
from regard.nn.convolution.looking import Axis

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
OTHERS = (nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
logger = logging.getLogger("regard")


def attention_from_convolution(conv: nn.Conv1d | nn.Conv2d, *, sharpness: float | None = None) -> OffsetAttention:
    """The self-attention that gives what a convolution gives, one head for each offset of its kernel.

    It is equal everywhere, borders included, and its gradients are. With ``sharpness`` each head attends around its
    offset, and goes wherever training takes it; :meth:`OffsetAttention.error_bound` tells how far that is from the
    convolution at first, about ``4 axes exp(−α) Σ_h ‖W_h‖``.

    Arguments:
        conv: of any kernel size, dilation and groups, with zero padding of any width, "same" or "valid".
        sharpness: α; None for ∞.

    Raises:
        UnsupportedError: a convolution of another kind, stride or padding.
        ConfigError: a sharpness that is not above 0, or not finite.

    >>> conv = nn.Conv2d(3, 8, 3, padding=1)
    >>> attention, images = attention_from_convolution(conv), torch.randn(2, 3, 5, 5)
    >>> torch.allclose(attention(images), conv(images), atol=1e-5)
    True
    """
    if reason := _refusal(conv):
        raise UnsupportedError(reason)
    axes, steps = [], []
    for dim, (width, dilation) in enumerate(zip(conv.kernel_size, conv.dilation, strict=True)):
        reach = dilation * (width - 1)
        left, right = reach // 2, reach - reach // 2  # of the kernel, from a query
        if isinstance(conv.padding, str):
            before, after = (left, right) if conv.padding == "same" else (0, 0)
        else:
            before = after = conv.padding[dim]
        axes.append(Axis(keys=(before, after), queries=(before - left, after - right)))
        steps.append(range(-left, right + 1, dilation))
    attention = OffsetAttention(
        conv.weight.flatten(2).permute(2, 1, 0),  # [out, in/groups, *kernel] → [H, in/groups, out]
        conv.bias,
        offsets=list(product(*steps)),
        axes=axes,
        groups=conv.groups,
        sharpness=sharpness,
    )
    return attention.train(conv.training)


def with_attention(network: nn.Module, *, sharpness: float | None = None) -> nn.Module:
    """A copy of a network with attention in the place of each convolution; see :func:`attention_from_convolution`.

    Convolutions that cannot be replaced stay, and the logger "regard" warns of them by name.

    Raises:
        UnsupportedError: there is none that can be replaced.

    >>> with_attention(nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU()))
    Sequential(
      (0): OffsetAttention(2, 4, heads=3, exact=True)
      (1): ReLU()
    )
    """
    if isinstance(network, CONVOLUTIONS):
        return attention_from_convolution(network, sharpness=sharpness)
    network = deepcopy(network)
    made: dict[nn.Module, OffsetAttention] = {}  # one that stands in several places stays one
    left = []
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if not isinstance(module, CONVOLUTIONS + OTHERS):
            continue
        if reason := _refusal(module):
            left.append(f"{name}: {reason}" if name else reason)
        elif isinstance(module, CONVOLUTIONS):
            if module not in made:
                made[module] = attention_from_convolution(module, sharpness=sharpness)
            network.set_submodule(name, made[module])
    if not made:
        raise UnsupportedError(
            "the network must have an nn.Conv1d or nn.Conv2d that can be replaced, got "
            + ("; ".join(left) or "one without any convolution")
        )
    if left:
        logger.warning("left as they are: %s", "; ".join(left))
    return network


@torch.no_grad()
def as_convolution(
    attention: OffsetAttention, images: Tensor | None = None, *, least: float = 0.5
) -> tuple[nn.Conv1d | nn.Conv2d, float]:
    """The convolution that an attention has become: each head at the whole offset nearest to its center.

    Heads at one offset add up. The kernel reaches as far as that of the convolution which the attention came from, or
    further, as far on both sides of an axis, where a head has left it; it is dilated where no head looks between.

    Arguments:
        attention: from :func:`attention_from_convolution`, trained or not.
        images: to measure the error on, ``[B, in, ...]`` as the attention takes them; None for its bound.
        least: how much of its weight each head must give to its offset.

    Returns:
        The convolution, and the largest distance ``‖y_q − conv_q‖`` of two outputs: on these images, or what it is at
        most where ``‖x_k‖ ≤ 1``, as in :meth:`OffsetAttention.error_bound`.

    Raises:
        UnsupportedError: a head that looks at no one offset.
    """
    _check_heads(attention, least)
    offsets, axes, dilation = attention.nearest_offsets(), [], []
    for axis, offset in zip(attention.axes, offsets.T.tolist(), strict=True):
        (low, high) = axis.span
        wider = axis.widened(max(0, low - min(offset), max(offset) - high))
        axes.append(wider)
        dilation.append(math.gcd(*(step - wider.span[0] for step in [*offset, wider.span[1]])) or 1)
    conv = _empty_convolution(attention, axes, dilation)
    for offset, value in zip(offsets.tolist(), attention.values, strict=True):
        place = [(step - axis.span[0]) // d for step, axis, d in zip(offset, axes, dilation, strict=True)]
        conv.weight[(..., *place)] += value.T
    conv.weight.requires_grad_(attention.values.requires_grad)
    if conv.bias is not None and attention.bias is not None:
        conv.bias.copy_(attention.bias).requires_grad_(attention.bias.requires_grad)
    if images is None:
        return conv, attention.error_bound()
    return conv, float(torch.linalg.vector_norm(attention(images) - conv(images), dim=-len(axes) - 1).max())


def _check_heads(attention: OffsetAttention, least: float) -> None:
    weights = attention.least_weights()
    head = int(weights.argmin())
    if attention.centers is None or attention.sharpness is None or weights[head] >= least:
        return
    center, offset = attention.centers[head].double().cpu(), attention.nearest_offsets()[head]
    raise UnsupportedError(
        f"each head must give {least} of its weight to one offset, got {weights[head]:.2f} for head {head}: its center "
        f"({', '.join(f'{x:.2f}' for x in center.tolist())}) is {torch.dist(center, offset.double()):.2f} from the "
        f"nearest offset, ({', '.join(map(str, offset.tolist()))}), at sharpness {attention.sharpness[head]:.2f}; keep "
        "the attention, train it until it is sharper, or take a smaller least"
    )


def _empty_convolution(attention: OffsetAttention, axes: list[Axis], dilation: list[int]) -> nn.Conv1d | nn.Conv2d:
    """With a kernel from end to end of each axis, of zeros."""
    even = all(before == after for before, after in (axis.keys for axis in axes))
    conv: nn.Conv1d | nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        CONVOLUTIONS[len(axes) - 1],
        attention.values.shape[1] * attention.groups,
        attention.values.shape[2],
        [(axis.span[1] - axis.span[0]) // d + 1 for axis, d in zip(axes, dilation, strict=True)],
        padding=[axis.keys[0] for axis in axes] if even else "same",  # whose even kernels alone reach further right
        dilation=dilation,
        groups=attention.groups,
        bias=attention.bias is not None,
        device=attention.values.device,
        dtype=attention.values.dtype,
    )
    conv.weight.zero_()
    return conv.train(attention.training)


def _refusal(conv: nn.Module) -> str | None:
    """Why a module cannot be made an attention, and what to do; None where it can."""
    kind = type(conv).__name__
    if not isinstance(conv, CONVOLUTIONS):
        advice = "keep it" if isinstance(conv, OTHERS) else "of a whole network, with_attention makes one"
        return f"a convolution must be nn.Conv1d or nn.Conv2d, got {kind}; {advice}"
    if isinstance(conv.weight, nn.UninitializedParameter):
        return f"a convolution must have its weight, got {kind} without one; call it once on an input"
    if type(conv).forward not in (nn.Conv1d.forward, nn.Conv2d.forward):
        return f"a convolution must have PyTorch's forward, got {kind} with its own; copy its weight to one that has"
    if set(conv.stride) != {1}:
        every = ", ".join(f"::{step}" for step in conv.stride)
        return f"stride must be 1, got {conv.stride}; convert it with stride 1, and take [..., {every}] of the output"
    if conv.padding_mode != "zeros":
        return f"padding_mode must be 'zeros', got {conv.padding_mode!r}; pad the input itself, and convert it unpadded"
    return None
