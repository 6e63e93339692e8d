"""What a decoder remembers between two steps, so that a new position costs one row and not the whole prefix again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import ShapeError

FIRST_ROOM = 16  # positions


@dataclass(frozen=True, eq=False)
class Projected:
    """Keys and values ``[S, Hk, D]`` of one attention layer: sequence b is rows ``offsets[b]:offsets[b+1]``."""

    key: Tensor
    value: Tensor
    offsets: Tensor


class Past:
    """Keys and values of one self-attention layer for R hypotheses, ``[R, Hk, N, D]`` each, with room for more.

    Arguments:
        reach: positions before the newest that may still be seen; what is further back is forgotten. None for no limit.
    """

    def __init__(self, reach: int | None = None) -> None:
        self.reach = reach
        self._held: Tensor | None = None  # [R, 2, Hk, room, D], in use from start to stop
        self._spare: Tensor | None = None  # the one before: memory that is new to the process costs more than a copy
        self._start = self._stop = 0

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Takes in the next position, ``[R, Hk, D]`` each; all that it may see, ``[R, Hk, N, D]``, as views."""
        if self._held is None:
            self._held = key.new_empty(key.shape[0], 2, key.shape[1], FIRST_ROOM, key.shape[2])
        elif self._stop == self._held.shape[3]:
            everyone = torch.arange(len(key), device=key.device)
            self._move(everyone, max(self._stop, 2 * (self._stop - self._start)))
        self._held[:, 0, :, self._stop] = key
        self._held[:, 1, :, self._stop] = value
        self._stop += 1
        if self.reach is not None:
            self._start = max(self._start, self._stop - self.reach - 1)
        seen = self._held[:, :, :, self._start : self._stop]
        return seen[:, 0], seen[:, 1]

    def keep(self, rows: Tensor) -> None:
        """The hypotheses are now those that stood in ``rows``, ``[R']``."""
        if self._held is not None:
            self._move(rows, self._held.shape[3])

    def _move(self, rows: Tensor, room: int) -> None:
        assert self._held is not None
        seen, into = self._held[:, :, :, self._start : self._stop], self._spare  # [R, 2, Hk, N, D]
        if into is None or len(into) < len(rows) or into.shape[3] != room:
            into = seen.new_empty(len(rows), *seen.shape[1:3], room, seen.shape[4])
        self._spare, self._held = self._held, into[: len(rows)]
        self._start, self._stop = 0, seen.shape[3]
        torch.index_select(seen, 0, rows, out=self._held[:, :, :, : self._stop])


class Cache:
    """What a decoder knows of R hypotheses, all as long as each other, for B sources.

    Those of source b are rows ``offsets[b]:offsets[b+1]``: one at first, then as many as :meth:`keep` leaves. All of
    them read the same keys and values of their source.

    Arguments:
        memory: of each layer, keys and values of the B sources.
        past: of each layer, keys and values of the hypotheses.
        sources: ``[R]`` int64, which source each hypothesis is for; never falls.
        count: B.
    """

    def __init__(self, memory: Sequence[Projected], past: Sequence[Past], sources: Tensor, count: int) -> None:
        self.memory, self.past = memory, past
        self.position = 0  # of the next vectors
        self._numbers = torch.arange(count + 1, device=sources.device)
        self._belong(sources)

    def keep(self, rows: Tensor) -> None:
        """The hypotheses are now those that stood in ``rows``: some may be left out, others stand there many times.

        Arguments:
            rows: ``[R']`` int64, with those of one source side by side and the sources in their order.

        Raises:
            ShapeError: they are not.
        """
        sources = self._sources[rows]
        if bool((sources.diff() < 0).any()):
            raise ShapeError(
                f"rows must keep the sources in their order, got hypotheses of sources {sources.tolist()}; "
                "sort them by source"
            )
        if not torch.equal(rows, torch.arange(len(self), device=rows.device)):
            for past in self.past:
                past.keep(rows)
            self._belong(sources)

    def _belong(self, sources: Tensor) -> None:
        self._sources = sources
        self.offsets = torch.searchsorted(sources, self._numbers)  # [B+1]

    def __len__(self) -> int:
        """The number of hypotheses, R."""
        return len(self._sources)
