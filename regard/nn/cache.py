"""What a decoder remembers between two steps, so that a new position costs one row and not the whole prefix again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.errors import ShapeError
from regard.nn.streaming import AttentionState
from regard.ragged import moved_offsets, told


@dataclass(frozen=True, eq=False)
class Projected:
    """Keys and values ``[S, Hk, D]`` of one attention layer: sequence b is rows ``offsets[b]:offsets[b+1]``."""

    key: Tensor
    value: Tensor
    offsets: Tensor


@dataclass(frozen=True, eq=False)
class Slots:
    """What a decoder knows of B sources with as many hypotheses each, R in all, in tensors that stay where they are.

    A step does the same work on them each time, however much was written and whichever hypotheses are alive, so that a
    GPU can record it and do it again. Those of source b stand in the slots from ``b · R/B`` on.

    Arguments:
        memory: of each layer, keys and values of the sources, ``[B, 2·Hk, S, D]``.
        readable: ``[B, S]`` bool, which of them there are.
        past: of each layer, keys and values of the hypotheses, ``[R, 2·Hk, N, D]``, the newest in the last column.
        parents: ``[R]`` int64, the slot of the hypothesis that each goes on from.
        position: ``[]`` int64, how many rows each has, of at most N.
        offsets: ``[R+1]`` int64, one row of each.
        columns: ``N``.
    """

    memory: Sequence[Tensor]
    readable: Tensor
    past: Sequence[Tensor]
    parents: Tensor
    position: Tensor
    offsets: Tensor
    columns: int

    @property
    def start(self) -> Tensor:
        """``[R]`` int64, the position of the next row of each; the CPU takes it for the last that there is room for."""
        R = len(self.parents)
        return told(self.position.expand(R), torch.full((R,), self.columns - 1))

    @property
    def written(self) -> Tensor:
        """``[R, N]`` bool: which columns are in use once the next row has come."""
        columns = torch.arange(self.columns, device=self.position.device)
        return (columns >= self.columns - 1 - self.position).expand(len(self.parents), -1)


class Cache:
    """What a decoder knows of R hypotheses for B sources.

    Those of source b are rows ``offsets[b]:offsets[b+1]``: one at first, then as many as :meth:`keep` leaves. All of
    them read the same keys and values of their source.

    Arguments:
        memory: of each layer, keys and values of the B sources.
        past: of each layer, keys and values of the hypotheses, R streams.
        sources: ``[R]`` int64, which source each hypothesis is for; never falls.
        count: ``B``.
    """

    def __init__(
        self, memory: Sequence[Projected], past: Sequence[AttentionState], sources: Tensor, count: int
    ) -> None:
        self.memory, self.past = memory, past
        self.positions = np.zeros(len(sources), dtype=np.int64)  # [R], of the next vector of each hypothesis
        self._numbers, self._device = np.arange(count + 1), sources.device
        self._belong(sources.cpu().numpy())

    def keep(self, rows: Tensor) -> None:
        """The hypotheses are now those that stood in ``rows``: some may be left out, others stand there many times.

        Arguments:
            rows: ``[R']`` int64, with those of one source side by side and the sources in their order.

        Raises:
            ShapeError: they are not.
        """
        chosen = rows.cpu().numpy()
        sources = self._sources[chosen]
        if (np.diff(sources) < 0).any():
            raise ShapeError(
                f"rows must keep the sources in their order, got hypotheses of sources {sources.tolist()}; "
                "sort them by source"
            )
        if not np.array_equal(chosen, np.arange(len(self))):
            for past in self.past:
                past.keep(rows)
            self.positions = self.positions[chosen]
            self._belong(sources)

    def _belong(self, sources: NDArray[np.int64]) -> None:
        self._sources = sources
        self.offsets = moved_offsets(torch.from_numpy(np.searchsorted(sources, self._numbers)), self._device)  # [B+1]

    def __len__(self) -> int:
        """The number of hypotheses, R."""
        return len(self._sources)
