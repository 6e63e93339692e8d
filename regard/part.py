"""Which rows of a batch a process has, where other processes have the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Part:
    """A process's rows of a whole batch: ``starts[r]:starts[r+1]`` of it, r its number.

    Arguments:
        processes: those that share the batch, a :class:`regard.parallel.group.Group`.
        starts: where the rows of each process begin, and where the last end.
        offsets: ``[B+1]`` of the whole batch, on the CPU.
    """

    processes: Any
    starts: tuple[int, ...]
    offsets: Tensor

    @property
    def rows(self) -> tuple[int, int]:
        """From where to where, in the whole batch."""
        rank: int = self.processes.rank
        return self.starts[rank], self.starts[rank + 1]

    def own(self, x: Tensor) -> Tensor:
        """A view of this process's rows of ``[T, ...]``, something of the whole batch."""
        first, stop = self.rows
        return x[first:stop]

    def offsets_within(self, first: int, stop: int) -> Tensor:
        """``[B+1]``: where each sequence begins among rows ``first:stop`` of the whole batch."""
        return self.offsets.clamp(first, stop) - first

    @property
    def skipped(self) -> Tensor:
        """``[B]``: how many rows of each sequence stand before this process's first row."""
        return (self.rows[0] - self.offsets[:-1]).clamp(min=0)

    @property
    def longest(self) -> int:
        """The rows of the longest sequence, wherever they are."""
        return int(self.offsets.diff().max()) if len(self.offsets) > 1 else 0

    def picked(self, rows: Tensor, offsets: Tensor) -> tuple[Tensor, Part]:
        """Some rows of the whole batch that rise: this process's, counted from its first, and the part that they are.

        Arguments:
            rows: ``[R]``, as they stand in the whole batch.
            offsets: ``[B+1]`` of all of them by sequence, on the CPU.
        """
        limits = torch.tensor(self.starts, device=rows.device)
        part = Part(self.processes, tuple(torch.searchsorted(rows, limits).tolist()), offsets)
        return part.own(rows) - self.rows[0], part
