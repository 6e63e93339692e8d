"""What is computed of one piece: its scores, its weights, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from regard.attention.blocked.operands import Operands
from regard.attention.blocked.pieces import Piece, Strided
from regard.attention.dropout import keep_mask
from regard.attention.normalizers import normalize, through_normalizer


class Blocks:
    """One piece for planes ``start:stop`` and one query head of each: b = planes · n blocks, worked on as one.

    Arguments:
        visible: ``[n or 1, R, W]``, or None where every row sees every key.
    """

    def __init__(
        self, operands: Operands, piece: Piece, visible: Tensor | None, start: int, stop: int, group: int
    ) -> None:
        self.operands, self.piece, self.visible = operands, piece, visible
        self.planes, self.group = slice(start, stop), group
        self.count = stop - start
        self.query = piece.take_rows(self.rows(operands.query))  # [b, R, D]
        self.key = piece.take_keys(operands.key[self.planes])  # [b, W, D]

    def rows(self, x: Tensor) -> Tensor:
        """``[P, G, Nq, …]`` → ``[planes, Nq, …]``."""
        return x[self.planes, self.group]

    @property
    def value(self) -> Tensor:
        """``[b, W, Dv]``."""
        return self.piece.take_keys(self.operands.value[self.planes])

    @cached_property
    def bias(self) -> Tensor | None:
        """What is added to the scores, −inf where a row may not see: ``[b or 1, R, W]``."""
        spec, visible, dtype = self.operands.spec, self.visible, self.query.dtype
        bias: Tensor | None = None
        if "table" in self.operands.learned:
            bias = self.table_bias(self.operands.learned["table"])  # [planes, 1, R, W]
        if spec.bias is not None:
            parts = torch.stack(self.bias_parts(spec.bias))
            bias = parts.view(self.count, -1, *parts.shape[1:]).to(dtype)  # [planes, n, R or 1, W or 1]
        if spec.key_mask is not None:
            mask = self.piece.take_keys(spec.key_mask[self.batch, :, None])  # [b, W, 1]
            mask = mask.view(self.count, -1, 1, mask.shape[1])  # [planes, n, 1, W]
            visible = mask if visible is None else visible & mask
        if visible is not None:
            bias = torch.where(visible, self.query.new_zeros(()) if bias is None else bias, -math.inf)
        return None if bias is None else self.each(bias).expand(-1, *self.piece.size[1:])

    @cached_property
    def hidden(self) -> Tensor | None:
        """``[b or 1, R, W]``, only where NaN or Inf must be kept out of sums."""
        return None if self.bias is None or self.operands.ill is None else self.bias == -math.inf

    @cached_property
    def ill(self) -> list[Tensor]:
        """``[b, R, 1]`` and ``[b, 1, W]``: NaN or Inf in the query, or in the key, leaves a pair without a score."""
        if self.operands.ill is None:
            return []
        rows = self.piece.take_rows(self.rows(self.operands.ill.query))
        return [rows, self.piece.take_keys(self.operands.ill.key[self.planes]).mT]

    def weights(self) -> Tensor:
        """``[b, R, W]``, before dropout."""
        spec = self.operands.spec
        if spec.additive_weight is not None:
            scores = (self.tangents() @ self.additive_weight[:, None, :, None]).squeeze(-1)
            scores = scores if self.bias is None else scores.add_(self.bias)
        elif self.bias is not None:
            bias = self.bias.expand(self.query.shape[0], -1, -1)
            scores = torch.baddbmm(bias, self.query, self.key.mT, alpha=spec.scale)
        else:
            scores = torch.bmm(self.query, self.key.mT).mul_(spec.scale)
        scores = self.settle(scores, -math.inf)
        some_see_nothing = self.piece.visible.some_see_nothing or self.operands.hides
        return self.settle(normalize(spec.normalizer, scores, self.bias, some_see_nothing=some_see_nothing))

    def drop(self, weights: Tensor) -> Tensor:
        """Zero where dropout drops, the rest scaled up: weights ``[b, R, W]``, or their gradient."""
        spec, device = self.operands.spec, self.query.device
        if spec.seed is None:
            return weights
        planes = (self.batch * self.operands.heads + self.heads).repeat_interleave(self.piece.size[0])
        rows, keys = self.piece.row_numbers(device) + spec.first_row, self.piece.key_numbers(device) + spec.first_key
        rows, keys = (x.repeat(self.count, 1) for x in (rows, keys))
        keep = keep_mask(int(spec.seed), planes, rows, keys, spec.dropout_p)
        return torch.where(keep, weights / (1 - spec.dropout_p), 0)

    def mix(self, weights: Tensor) -> Tensor:
        """``weights [b, R, W] @ value [b, W, Dv]``, elements that a row sees and that were NaN or Inf being NaN."""
        mixed, ill = torch.bmm(weights, self.value), self.operands.ill
        if ill is None:
            return mixed
        seen = torch.ones_like(weights) if self.hidden is None else (~self.hidden).to(weights.dtype).expand_as(weights)
        elements = self.piece.take_keys(ill.value[self.planes]).to(weights.dtype)  # [b, W, Dv]
        return mixed.masked_fill_(torch.bmm(seen, elements) > 0, math.nan)

    def add_gradients(self, sums: dict[str, Tensor]) -> None:
        """Adds the share of these blocks to sums that are shaped like what ``operands`` holds under the same name."""
        spec, piece, grad = self.operands.spec, self.piece, self.operands.grad
        assert grad is not None
        grad = piece.take_rows(self.rows(grad))  # [b, R, Dv]
        weights, ill = self.weights(), self.operands.ill
        of_slope: list[Tensor] = []
        if ill is not None and ill.grad is not None:
            of_slope = [piece.take_rows(self.rows(ill.grad)), piece.take_keys(ill.value[self.planes]).any(-1)[:, None]]
            weights = self.settle(weights, also=of_slope[:1])
        piece.add_keys(sums["value"][self.planes], torch.bmm(self.drop(weights).mT, grad))
        slope = self.settle(torch.bmm(grad, self.value.mT), also=of_slope)  # of the loss by each weight, [b, R, W]
        slope = through_normalizer(spec.normalizer, self.drop(slope), weights, self.bias)  # by each score
        slope = self.settle(slope, also=of_slope)
        if spec.table is not None:
            self._add_table(sums["table"], slope)
        if spec.bias is not None:
            self._add_bias(sums["bias"], slope)
        if spec.additive_weight is not None:
            by_query, by_key = self._through_additive(slope, sums["additive_weight"])
        else:
            slope.mul_(spec.scale)
            by_query, by_key = torch.bmm(slope, self.key), torch.bmm(slope.mT, self.query)
        piece.put_rows(self.rows(sums["query"]), by_query)
        piece.add_keys(sums["key"][self.planes], by_key)

    # Where it stands

    @cached_property
    def heads(self) -> Tensor:
        """``[planes]`` the query head of each plane."""
        planes = torch.arange(self.planes.start, self.planes.stop, device=self.query.device)
        return self.operands.head_of(planes, self.group)

    @cached_property
    def batch(self) -> Tensor:
        """``[planes]`` the sequence of each plane."""
        return torch.arange(self.planes.start, self.planes.stop, device=self.query.device) // self.operands.key_heads

    def each(self, x: Tensor) -> Tensor:
        """Broadcastable to ``[planes, n, …]`` → ``[b or 1, …]``."""
        x = x[(None,) * (4 - x.dim())]
        same = x.shape[0] == x.shape[1] == 1
        return x[0] if same else x.expand(self.count, self.piece.size[0], -1, -1).flatten(0, 1)

    def settle(self, scores: Tensor, fill: float = 0.0, also: Sequence[Tensor] = ()) -> Tensor:
        """``[b, R, W]`` with NaN where something is ill, and then what is hidden overwritten; as it is without care.

        Arguments:
            also: what is ill beside queries and keys, ``[b, R, 1]`` or ``[b, 1, W]``.
        """
        for ill in (*self.ill, *also):
            scores = scores.masked_fill_(ill, math.nan)
        return scores if self.hidden is None else scores.masked_fill_(self.hidden, fill)

    # Relative bias

    @cached_property
    def table_index(self) -> Tensor:
        """``[R + W − 1]`` the table's entry for each distance in a block, from the furthest back."""
        left, width = self.operands.spec.table_left, self.operands.learned["table"].shape[-1]
        _, rows, keys = self.piece.size
        distance = torch.arange(1 - rows, keys, device=self.query.device)
        return distance.add_(self.piece.visible.shift + left).clamp_(0, width - 1)

    def table_bias(self, table: Tensor) -> Tensor:
        """``[planes, 1, R, W]``: each row is the one below it, moved by one."""
        by_distance = table[self.planes, self.group][:, self.table_index]  # [planes, R + W − 1]
        return by_distance.unfold(-1, self.piece.size[2], 1).flip(-2)[:, None]

    def _add_table(self, table: Tensor, slope: Tensor) -> None:
        """Sums along diagonals first: each is one distance."""
        n, rows, keys = self.piece.size
        slope = slope.view(self.count, n, rows, keys).sum(1)
        distances = rows + keys - 1
        by_distance = slope.new_zeros(self.count, rows, distances)
        steps = by_distance.stride()  # from the last row up, each row begins one distance further than the one before
        by_distance.as_strided(slope.shape, (steps[0], distances + 1, 1)).copy_(slope.flip(-2))
        sums = by_distance.sum(-2)  # [planes, R + W − 1]
        table[self.planes, self.group].index_add_(1, self.table_index, sums)

    # Bias tensor

    def bias_parts(self, bias: Tensor) -> list[Tensor]:
        """The part ``[R or 1, W or 1]`` of a bias, broadcastable to ``[B, H, Q, K]``, of each plane and block."""
        assert isinstance(self.piece, Strided)  # as all of the dense layout are
        bias, operands = bias[(None,) * (4 - bias.dim())], self.operands
        (_, height, width), starts = self.piece.size, self.piece.starts()
        parts = []
        for number in range(self.planes.start, self.planes.stop):
            sequence, head = number // operands.key_heads, operands.head_of(number, self.group)
            plane = bias[sequence if bias.shape[0] > 1 else 0, head if bias.shape[1] > 1 else 0]
            for row, key in starts:
                part = plane[row : row + height] if plane.shape[0] > 1 else plane
                parts.append(part[:, key : key + width] if plane.shape[1] > 1 else part)
        return parts

    def _add_bias(self, bias: Tensor, slope: Tensor) -> None:
        for part, of_block in zip(self.bias_parts(bias), slope, strict=True):
            part.add_(of_block.sum_to_size(part.shape))

    # Additive scores

    @cached_property
    def additive_weight(self) -> Tensor:
        """``[b, D]``."""
        return self.operands.learned["additive_weight"][self.planes, self.group].repeat_interleave(
            self.piece.size[0], 0
        )

    def tangents(self) -> Tensor:
        """``tanh(query + key)``, ``[b, R, W, D]``: as much as is held at a time."""
        return torch.tanh_(self.query[:, :, None] + self.key[:, None])

    def _through_additive(self, slope: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        tangents = self.tangents()
        by_weight = slope.flatten(1)[:, None] @ tangents.flatten(1, 2)  # [b, 1, D]
        weight[self.planes, self.group] += by_weight.view(self.count, -1, by_weight.shape[-1]).sum(1)
        steep = tangents.square_().neg_().add_(1).mul_(slope[..., None])  # tanh' = 1 − tanh²
        by_query, by_key = steep.sum(2), steep.sum(1)
        return by_query.mul_(self.additive_weight[:, None]), by_key.mul_(self.additive_weight[:, None])
