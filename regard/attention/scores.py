"""What a caller may put in the place of the scores: how they are made, and what is added to them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from regard.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Additive:
    """The score ``Σ_d weight[h, d] · tanh(query_d + key_d)`` of a query and a key already projected; not scaled.

    Arguments:
        weight: ``[H, D]``, may need a gradient.

    Bahdanau, Cho and Bengio 2014, "Neural Machine Translation by Jointly Learning to Align and Translate".
    """

    weight: Tensor


@dataclass(frozen=True, eq=False)
class RelativeBias:
    """A bias that depends on nothing but the head and how far the key stands from the query.

    ``bias[h, q, k] = table[h, clamp(position(k) − position(q), −left, right) + left]``, so that keys further off than
    the table reaches take its first or last entry.

    Arguments:
        table: ``[H, left+right+1]``, may need a gradient; −inf in it means "may not see".
        left: positions that the table reaches before the query; None puts the query in the middle.

    >>> import torch
    >>> RelativeBias(torch.zeros(4, 33)).left
    16
    """

    table: Tensor
    left: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.table, Tensor) or self.table.dim() != 2 or self.table.shape[1] < 1:
            given = list(self.table.shape) if isinstance(self.table, Tensor) else type(self.table).__name__
            raise ShapeError(f"RelativeBias table must be a tensor of shape [H, left+right+1], got {given}")
        width = self.table.shape[1]
        if self.left is None:
            if width % 2 == 0:
                raise ShapeError(
                    f"RelativeBias table of even width {width} has no middle; say with left= which entry is distance 0"
                )
            object.__setattr__(self, "left", width // 2)
        elif not 0 <= self.left < width:
            raise ShapeError(f"RelativeBias left must be from 0 to {width - 1} for a table of {width}, got {self.left}")

    @property
    def reach(self) -> tuple[int, int]:
        """How many positions the table reaches before and after the query."""
        left = 0 if self.left is None else self.left
        return left, self.table.shape[-1] - 1 - left
