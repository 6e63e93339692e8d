"""Pixels a step apart see only each other: each such lattice is an image of its own, whose neighbours are one apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from regard.attention.grid.spec import GridSpec, Image


@dataclass(frozen=True)
class Lattice:
    """Rows ``row, row + row_step, …`` and columns ``column, column + column_step, …`` of an image."""

    image: Image
    row: int
    column: int
    row_step: int
    column_step: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        rows = (self.image.rows - 1 - self.row) // self.row_step + 1
        return rows, (self.image.columns - 1 - self.column) // self.column_step + 1

    def of(self, x: Tensor) -> Tensor:
        """``[B, H, N, D]`` or ``[T, H, D]`` → ``[B or 1, H, rows, columns, D]``, a view."""
        start, rows, columns = self.image
        if x.dim() == 4:
            whole = torch.unflatten(x, 2, (rows, columns))
        else:
            whole = torch.unflatten(x[start : start + rows * columns], 0, (rows, columns)).permute(2, 0, 1, 3)[None]
        return whole[:, :, self.row :: self.row_step, self.column :: self.column_step]

    def of_pairs(self, bias: Tensor) -> Tensor:
        """``[B, H, N, N]`` → ``[B, H, rows, columns, rows, columns]``, a view; an axis of 1 becomes two."""
        _, rows, columns = self.image
        parts = bias[(None,) * (4 - bias.dim())]
        for axis, n in ((3, parts.shape[3]), (2, parts.shape[2])):
            one = n == 1
            parts = torch.unflatten(parts, axis, (1, 1) if one else (rows, columns))
            if not one:
                first = (slice(None),) * axis
                parts = parts[
                    (*first, slice(self.row, None, self.row_step), slice(self.column, None, self.column_step))
                ]
        return parts


@dataclass(frozen=True)
class Stack:
    """Lattices of one size, worked on together."""

    lattices: tuple[Lattice, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of each."""
        return self.lattices[0].size

    def take(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """``[B, H, N, D]`` or ``[T, H, D]`` → ``[A, H, rows, columns, D]``, where A counts them in each entry of B."""
        views = [lattice.of(x).to(dtype) for lattice in self.lattices]
        return views[0] if len(views) == 1 else torch.cat(views)

    def put(self, x: Tensor, values: Tensor) -> None:
        """Writes ``values [A, H, rows, columns, D]`` to their places in x."""
        for lattice, part in zip(self.lattices, values.chunk(len(self.lattices)), strict=True):
            lattice.of(x).copy_(part)


def lattices(images: Sequence[Image], spec: GridSpec) -> list[Lattice]:
    """All pixels of a call: as many of each image as its dilation has steps, none beyond the image."""
    found: list[Lattice] = []
    for image in images:
        row_step, column_step = min(int(spec.row_step), image.rows), min(int(spec.column_step), image.columns)
        for row in range(row_step):
            found += [Lattice(image, row, column, row_step, column_step) for column in range(column_step)]
    return found


def stacks(images: Sequence[Image], spec: GridSpec) -> list[Stack]:
    """All lattices, those of one size together, but where a bias tells pixels apart."""
    if spec.bias is not None:
        return [Stack((lattice,)) for lattice in lattices(images, spec)]
    alike = groupby(sorted(lattices(images, spec), key=lambda lattice: lattice.size), key=lambda lattice: lattice.size)
    return [Stack(tuple(group)) for _, group in alike]
