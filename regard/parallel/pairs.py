"""Some rows of one sequence against some of its keys: their share of the output, and of the gradients.

All tensors are ``[B, H, R, D]`` and ``[B, H, W, D]``, in the type that sums are held in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention.dropout import keep_mask
from regard.attention.spec import Spec


@dataclass(frozen=True, eq=False)
class Area:
    """Rows that follow each other, against keys that do.

    Arguments:
        rows, keys: how many; ``row`` and ``key``: the first of them, as they stand in the whole batch.
        position: of the first row in its sequence; ``place``: of the first key.
        mask: ``[B, W]``, True where a key may be attended; None: everywhere.
    """

    spec: Spec
    rows: int
    keys: int
    row: int
    key: int
    position: int
    place: int
    mask: Tensor | None

    @property
    def reach(self) -> tuple[int, int]:
        """The least and the largest distance of a key from a row."""
        shift = self.place - self.position
        return shift - self.rows + 1, shift + self.keys - 1

    @property
    def is_empty(self) -> bool:
        """Whether the window hides all of it."""
        (least, most), (left, right) = self.reach, (self.spec.left, self.spec.right)
        return (left is not None and most < -left) or (right is not None and least > right)

    def distances(self, device: torch.device) -> Tensor:
        """``[R, W]``."""
        row, key = (torch.arange(count, device=device) for count in (self.rows, self.keys))
        return key + (self.place - self.position) - row[:, None]

    def visible(self, device: torch.device) -> Tensor | None:
        """``[1 or B, 1 or H, R, W]``; None: all of it."""
        spec, (least, most), seen = self.spec, self.reach, []
        if spec.left is not None and least < -spec.left:
            seen.append(self.distances(device) >= -spec.left)
        if spec.right is not None and most > spec.right:
            seen.append(self.distances(device) <= spec.right)
        if self.mask is not None:
            seen.append(self.mask[:, None, None, :].expand(-1, -1, self.rows, -1))
        if spec.table is not None and bool(spec.table.isneginf().any()):
            seen.append(spec.table[:, self.entries(device)] > -math.inf)
        together: Tensor | None = None
        for one in seen:
            one = one[(None,) * (4 - one.dim())]
            together = one if together is None else together & one
        return together

    def entries(self, device: torch.device) -> Tensor:
        """``[R, W]``: the table's entry of each pair."""
        assert self.spec.table is not None
        left = self.spec.table_left
        return self.distances(device).clamp_(-left, self.spec.table.shape[1] - 1 - left).add_(left)

    def drop(self, x: Tensor) -> Tensor:
        """Weights, or gradients by them, ``[B, H, R, W]``: zero where dropout drops, the rest scaled up."""
        spec = self.spec
        if spec.seed is None:
            return x
        planes = torch.arange(x.shape[0] * x.shape[1], device=x.device)
        rows, keys = (
            torch.arange(first, first + count, device=x.device)[None]
            for first, count in ((self.row, self.rows), (self.key, self.keys))
        )
        keep = keep_mask(int(spec.seed), planes, rows, keys, spec.dropout_p).view(x.shape)
        return torch.where(keep, x / (1 - spec.dropout_p), 0)


def scores(query: Tensor, key: Tensor, area: Area, visible: Tensor | None) -> Tensor:
    """``[B, H, R, W]``, −inf where a row does not see."""
    spec = area.spec
    if spec.additive_weight is not None:
        tangents = _tangents(query, key, visible)
        found = (tangents * spec.additive_weight.to(query.dtype)[:, None, None]).sum(-1)
    else:
        found = _dot(query, key, visible) * spec.scale
    if spec.table is not None:
        found = found + spec.table.to(query.dtype)[:, area.entries(query.device)]
    return found if visible is None else found.masked_fill(~visible, -math.inf)


@dataclass(frozen=True, eq=False)
class Sums:
    """What rows ``[B, H, R]`` made of the keys that they met.

    Arguments:
        output: ``[B, H, R, Dv]``.
        most, total: under softmax the largest score, and the sum of ``e^(score − most)``.
        seen: otherwise how many keys each row sees in all, at least 1.
    """

    output: Tensor
    most: Tensor
    total: Tensor
    seen: Tensor | None

    def rows(self, first: int, stop: int) -> Sums:
        """Views of some rows."""
        output, most, total = (x[:, :, first:stop] for x in (self.output, self.most, self.total))
        return Sums(output, most, total, None if self.seen is None else self.seen[:, :, first:stop])

    def add(self, query: Tensor, key: Tensor, value: Tensor, area: Area) -> None:
        """In place, what rows make of some more keys."""
        visible = area.visible(query.device)
        found = scores(query, key, area, visible)
        if self.seen is not None:
            weights = _weights(found, area.spec.normalizer, self.statistic(area.spec.normalizer))
            self.output.add_(_mix(area.drop(weights), value, visible))
            return
        most = torch.maximum(self.most, found.amax(-1))
        base = most.masked_fill(most == -math.inf, 0)
        weights, kept = torch.exp(found - base[..., None]), torch.exp(self.most - base)
        self.total.mul_(kept).add_(weights.sum(-1))
        self.output.mul_(kept[..., None]).add_(_mix(area.drop(weights), value, visible))
        self.most.copy_(most)

    def merge(self, output: Tensor, logarithms: Tensor) -> None:
        """In place, what rows made of some more keys under softmax: ``[B, H, R, Dv]``, and ``log Σ e^score``."""
        most = torch.maximum(self.most, logarithms)
        base = most.masked_fill(most == -math.inf, 0)
        kept, new = torch.exp(self.most - base), torch.exp(logarithms - base)
        self.total.mul_(kept).add_(new)
        self.output.mul_(kept[..., None]).add_(output * new[..., None])
        self.most.copy_(most)

    def statistic(self, normalizer: str) -> Tensor:
        """``[B, H, R]``: what makes weights of scores, as :func:`add_gradients` takes it."""
        if self.seen is not None:
            return self.seen if normalizer == "relu" else self.seen.log()
        found = self.most + self.total.log()
        return found.masked_fill(found == -math.inf, math.inf)  # of rows that see nothing

    def finished(self) -> Tensor:
        """The output of all keys, ``[B, H, R, Dv]``."""
        if self.seen is not None:
            return self.output
        return self.output / self.total.masked_fill(self.total == 0, 1)[..., None]


@dataclass(frozen=True, eq=False)
class Slopes:
    """Where gradients of one area are added: by query ``[B, H, R, D]``, key, value, and what is learned."""

    query: Tensor
    key: Tensor
    value: Tensor
    learned: dict[str, Tensor]

    def add(
        self, query: Tensor, key: Tensor, value: Tensor, grad: Tensor, known: tuple[Tensor, Tensor], area: Area
    ) -> None:
        """In place.

        Arguments:
            grad: by the output, ``[B, H, R, Dv]``.
            known: the statistic of each row over all keys, and ``output · grad``, both ``[B, H, R]``.
        """
        spec, visible, (statistic, inner) = area.spec, area.visible(query.device), known
        weights = _weights(scores(query, key, area, visible), spec.normalizer, statistic)
        self.value.add_(_grouped(_mix(area.drop(weights).mT, grad, _turned(visible)), self.value))
        slope = area.drop(_dot(grad, value, visible))
        if spec.normalizer == "softmax":
            slope = weights * (slope - inner[..., None])
        elif spec.normalizer == "relu":
            slope = slope * (weights > 0) / statistic[..., None]
        else:
            slope = slope * weights * (1 - weights)
        if visible is not None:
            slope = slope.masked_fill(~visible, 0)
        if spec.table is not None:
            _add_by_distance(self.learned["table"], slope, area)
        if spec.additive_weight is None:
            slope = slope * spec.scale
            self.query.add_(_mix(slope, key, visible))
            self.key.add_(_grouped(_mix(slope.mT, query, _turned(visible)), self.key))
            return
        tangents = _tangents(query, key, visible)  # [B, H, R, W, D]
        self.learned["additive_weight"].add_((tangents * slope[..., None]).sum((0, 2, 3)))
        steep = (1 - tangents.square()) * slope[..., None] * spec.additive_weight.to(slope.dtype)[:, None, None]
        self.query.add_(steep.sum(3))
        self.key.add_(_grouped(steep.sum(2), self.key))


def _weights(found: Tensor, normalizer: str, statistic: Tensor) -> Tensor:
    statistic = statistic[..., None]
    if normalizer == "softmax":
        return torch.exp(found - statistic)
    return torch.relu(found) / statistic if normalizer == "relu" else torch.sigmoid(found - statistic)


def _dot(rows: Tensor, keys: Tensor, visible: Tensor | None) -> Tensor:
    """``[B, H, R, W]``: products of all pairs, in which nothing that is hidden counts, were it NaN."""
    if visible is None or (_is_finite(rows) and _is_finite(keys)):
        return rows @ keys.mT
    found = rows.new_zeros(*rows.shape[:3], keys.shape[2])
    for row, key in zip(rows.unbind(-1), keys.unbind(-1), strict=True):
        found = found + row[..., None] * key[:, :, None]
    return found.masked_fill(~visible, 0)


def _mix(weights: Tensor, x: Tensor, visible: Tensor | None) -> Tensor:
    """``weights [B, H, R, W] @ x [B, H, W, D]``, in which nothing that is hidden counts, were it NaN."""
    if visible is None or _is_finite(x):
        return weights @ x
    return torch.stack([(weights * one[:, :, None]).masked_fill(~visible, 0).sum(-1) for one in x.unbind(-1)], -1)


def _is_finite(x: Tensor) -> bool:
    return bool(x.sum().isfinite())


def _tangents(query: Tensor, key: Tensor, visible: Tensor | None) -> Tensor:
    """``[B, H, R, W, D]``, zeros where nothing is seen."""
    found = torch.tanh(query[:, :, :, None] + key[:, :, None])
    return found if visible is None else found.masked_fill(~visible[..., None], 0)


def _turned(visible: Tensor | None) -> Tensor | None:
    return None if visible is None else visible.mT


def _grouped(x: Tensor, like: Tensor) -> Tensor:
    """Gradients by the keys of each query head, ``[B, H, W, D]``, as those of the heads of keys."""
    B, Hk, W, D = like.shape
    return x.view(B, Hk, -1, W, D).sum(2)


def _add_by_distance(table: Tensor, slope: Tensor, area: Area) -> None:
    """Sums along diagonals first: each is one distance."""
    slope = slope.sum(0)  # [H, R, W]
    heads, rows, keys = slope.shape
    sums = slope.new_zeros(heads, rows, rows + keys - 1)
    steps = sums.stride()  # from the last row up, each row begins one distance further than the one before
    sums.as_strided(slope.shape, (steps[0], rows + keys, 1)).copy_(slope.flip(-2))
    distance = torch.arange(area.reach[0], area.reach[1] + 1, device=slope.device)
    left = area.spec.table_left
    table.index_add_(1, distance.clamp_(-left, table.shape[1] - 1 - left).add_(left), sums.sum(1))
