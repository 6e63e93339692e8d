"""What a ViT adds to the patches of an image: a vector before them, and where each stands."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ShapeError
from regard.ragged import Ragged, takes_ragged

DEVIATION = 0.02  # of what is learned, at first


class ClassToken(nn.Module):
    """``[token; x_1; …; x_N] + table``: a learned vector before the patches of each image, and all their positions.

    The table has the rows and columns of one grid; for images with another it is interpolated, bicubically.

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", equation 1 and section 3.2.

    Arguments:
        dim: ``E``.
        grid: rows and columns of the table.

    >>> batch = ClassToken(8, grid=(2, 3))(Ragged.from_grids([torch.zeros(2, 3, 8), torch.zeros(4, 4, 8)]))
    >>> batch.lengths.tolist(), batch.grid
    ([7, 17], None)
    """

    def __init__(self, dim: int, *, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.token = nn.Parameter(torch.empty(dim))
        self.table = nn.Parameter(torch.empty(1 + grid[0] * grid[1], dim))
        nn.init.normal_(self.token, std=DEVIATION)
        nn.init.normal_(self.table, std=DEVIATION)

    @takes_ragged
    def forward(self, batch: Ragged) -> Ragged:
        """``[T, E]`` in grids → ``[T + B, E]``, each image's own vector first, so in no grid any more."""
        if batch.grid is None:
            raise ShapeError("ClassToken takes images, got a batch without rows and columns; see Ragged.from_grids")
        grids = [(rows, columns) for rows, columns in batch.grid.tolist()]
        tables = {grid: self.positions(*grid) for grid in dict.fromkeys(grids)}
        token = self.token[None]
        images = [torch.cat([token, x]) + tables[grid] for x, grid in zip(batch.unbind(), grids, strict=True)]
        return Ragged.from_list(images)

    def positions(self, rows: int, columns: int) -> Tensor:
        """``[1 + rows·columns, E]``, first that of the token."""
        if (rows, columns) == self.grid:
            return self.table
        table = self.table[1:].view(*self.grid, -1).movedim(2, 0)  # [E, rows, columns] of the table
        found = F.interpolate(table[None], size=(rows, columns), mode="bicubic", align_corners=False)[0]
        return torch.cat([self.table[:1], found.flatten(1).T])
