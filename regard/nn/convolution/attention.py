"""Self-attention whose heads each look at one offset, as a convolution does, or around it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.errors import ConfigError, ShapeError
from regard.nn.convolution.looking import Axis, axis_weights, projected, seen_around, seen_at


class OffsetAttention(nn.Module):
    """Self-attention of the positions of an image, or a sequence, in which each head looks at one offset.

    ``y_q = b + Σ_h W_hᵀ Σ_k w_h[q, k] x_k`` with ``w_h[q, k] = softmax_k(−α_h ‖k − q − Δ_h‖²)``

    for the query at position q, the keys at all positions k of the image and of its zero padding, and learned centers
    Δ_h and sharpness α_h. Without sharpness, at α = ∞, ``w_h`` is 1 at ``k = q + Δ_h`` and 0 elsewhere, and y is a
    convolution. The weights are a factor of rows times one of columns, so that N positions cost O(N·(rows + columns)),
    and O(N) at α = ∞. Made by :func:`attention_from_convolution`.

    Arguments:
        values: W ``[heads, in/groups, out]``, to begin with.
        bias: ``[out]``, to begin with, or None.
        offsets: of each head one number for each axis: where it looks, or its center to begin with.
        axes: where keys and queries stand; one for sequences, rows and columns for images.
        groups: of channels that are kept apart, as in `nn.Conv2d`.
        sharpness: α of all heads to begin with; None for ∞.

    Raises:
        ConfigError: a sharpness that is not above 0, or not finite.
    """

    centers: nn.Parameter | None
    log_sharpness: nn.Parameter | None

    def __init__(
        self,
        values: Tensor,
        bias: Tensor | None,
        *,
        offsets: Sequence[tuple[int, ...]],
        axes: Sequence[Axis],
        groups: int = 1,
        sharpness: float | None = None,
    ) -> None:
        super().__init__()
        if sharpness is not None and not 0 < sharpness < math.inf:
            raise ConfigError(f"sharpness must be a number above 0, or None for one offset exactly; got {sharpness!r}")
        self.offsets, self.axes, self.groups = list(offsets), list(axes), groups
        self.values = nn.Parameter(values.detach().clone(), requires_grad=values.requires_grad)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)
        self.centers = self.log_sharpness = None
        if sharpness is not None:  # kept as its logarithm: it stays positive, and learns at one pace whatever its size
            self.centers = nn.Parameter(values.new_tensor(self.offsets))
            self.log_sharpness = nn.Parameter(values.new_full((len(self.offsets),), math.log(sharpness)))

    @property
    def sharpness(self) -> Tensor | None:
        """α of each head, ``[H]``; None for ∞."""
        return None if self.log_sharpness is None else self.log_sharpness.exp()

    def forward(self, image: Tensor) -> Tensor:
        """``[B, in, rows, columns]`` → ``[B, out, rows', columns']`` or ``[B, in, N]`` → ``[B, out, N']``, B or no B.

        Raises:
            ShapeError: other channels or axes, or an image that has no output.
        """
        size = self._size_of(image)
        if self.centers is None:
            seen = seen_at(image, self.offsets, self.axes)  # [B, H, in, *Q]
        else:
            seen = seen_around(image, [weights.to(image.dtype) for weights in self._weights(size)])
        output = projected(seen, self.values, groups=self.groups, axes=len(self.axes))
        return output if self.bias is None else output + self.bias.view(-1, *[1] * len(self.axes))

    @torch.no_grad()
    def attention_weights(self, *size: int, query: Sequence[int] | None = None) -> Tensor:
        """Who attends to whom in an image of that size, ``[H, Q, K]``, row after row; a rest to 1 goes to the padding.

        Arguments:
            size: rows and columns, or the length of a sequence.
            query: row and column of one output, for its weights alone, ``[H, rows, columns]``.

        Raises:
            ShapeError: an image that has no output, or a query that is none of them.
        """
        size = self._checked(size)
        if self.centers is None:
            every = torch.eye(math.prod(size), dtype=self.values.dtype, device=self.values.device)
            seen = seen_at(every.view(-1, *size), self.offsets, self.axes)  # [H, K, *Q]
            weights = seen.flatten(2).mT
        else:
            weights, *columns = self._weights(size)
            for factor in columns:
                weights = torch.einsum("hqk,hrl->hqrkl", weights, factor).flatten(3).flatten(1, 2)
        if query is None:
            return weights
        outputs = [axis.outputs(n) for axis, n in zip(self.axes, size, strict=True)]
        if len(query) != len(outputs) or any(not -n <= place < n for place, n in zip(query, outputs, strict=True)):
            raise ShapeError(
                f"query must be one of the {' × '.join(map(str, outputs))} outputs, a number for each axis, "
                f"negative from its end; got {tuple(query)}"
            )
        row = 0
        for place, n in zip(query, outputs, strict=True):
            row = row * n + place % n
        return weights[:, row].view(-1, *size)

    @torch.no_grad()
    def error_bound(self) -> float:
        """How far an output can be from that of :func:`as_convolution`, for inputs ``‖x_k‖ ≤ 1``.

        ``‖y_q − conv_q‖ ≤ 2 Σ_h (1 − w_h) ‖W_h‖ max_k ‖x_k‖``, where w_h is the weight of the offset nearest to Δ_h,
        ε from it along each axis. On a grid without end it is ``Π_axes 1 / S(α_h, ε)``, with

        ``S(α, ε) = Σ_n exp(−α (n² − 2nε)) ≤ 1 + Σ_± exp(−α (1 ± 2ε)) / (1 − exp(−α (3 ± 2ε)))``

        over all whole n, and no less on an image. Where there is no padding, a head that has come to look beyond the
        border counts ``‖W_h‖`` at least: it sees the border there, and the convolution zero.
        """
        if self.centers is None:
            return 0.0
        wrong = 2 * (1 - self.least_weights())  # [H]
        for axis, offset in zip(self.axes, self.nearest_offsets().T, strict=True):
            (low, high), (before, after) = axis.span, axis.keys
            beyond = ((offset < low) & (before == 0)) | ((offset > high) & (after == 0))
            wrong = torch.where(beyond, wrong.clamp_min(1), wrong)
        blocks = torch.unflatten(self.values.double().cpu(), 2, (self.groups, -1)).transpose(
            1, 2
        )  # [H, G, in/G, out/G]
        return float((wrong * torch.linalg.matrix_norm(blocks, ord=2).amax(1)).sum())

    @torch.no_grad()
    def nearest_offsets(self) -> Tensor:
        """The whole offset nearest to the center of each head, ``[H, axes]`` int64, on the CPU."""
        return torch.tensor(self.offsets) if self.centers is None else self.centers.cpu().round().long()

    @torch.no_grad()
    def least_weights(self) -> Tensor:
        """What each head gives to its nearest offset at least, ``[H]`` float64, on the CPU: ``Π_axes 1 / S``."""
        if self.centers is None or self.sharpness is None:
            return torch.ones(len(self.offsets), dtype=torch.float64)
        off = self.centers.double().cpu() - self.nearest_offsets()  # ε, [H, axes]
        sharpness, total = self.sharpness.double().cpu()[:, None], torch.ones_like(off)
        for side in (off, -off):
            total = total + torch.exp(-sharpness * (1 + 2 * side)) / -torch.expm1(-sharpness * (3 + 2 * side))
        return (1 / total).prod(1)

    def extra_repr(self) -> str:
        into, out = self.values.shape[1] * self.groups, self.values.shape[2]
        return f"{into}, {out}, heads={len(self.offsets)}, exact={self.centers is None}"

    def _weights(self, size: Sequence[int]) -> list[Tensor]:
        """Of each axis ``[H, Q, K]``, float32 or better."""
        assert self.centers is not None
        assert self.sharpness is not None
        along = zip(self.centers.unbind(1), size, self.axes, strict=True)
        return [axis_weights(center, self.sharpness, n, axis) for center, n, axis in along]

    def _size_of(self, image: Tensor) -> tuple[int, ...]:
        axes, channels = len(self.axes), self.values.shape[1] * self.groups
        if image.ndim not in (axes + 1, axes + 2) or image.shape[-axes - 1] != channels:
            layout = f"B, {channels}, {'N' if axes == 1 else 'rows, columns'}"
            raise ShapeError(f"the input must be [{layout}], or without B; got shape {tuple(image.shape)}")
        return self._checked(image.shape[-axes:])

    def _checked(self, size: Sequence[int]) -> tuple[int, ...]:
        least = [max(1, 1 - sum(axis.queries)) for axis in self.axes]
        if len(size) != len(least) or any(n < fewest for n, fewest in zip(size, least, strict=True)):
            raise ShapeError(
                f"the size must be at least {' × '.join(map(str, least))} positions, so that there is an output; "
                f"got {' × '.join(map(str, size))}"
            )
        return tuple(size)
