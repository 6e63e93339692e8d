"""The steps of a search as a GPU does them best: recorded once as a CUDA graph, then done again by one call.

A step of a decoder is dozens of small kernels, each of them started by the host. A graph starts them at once, but does
exactly what was recorded: the same kernels on the same tensors. So hypotheses stand in slots, `regard.nn.cache.Slots`,
as many for each source whether they are used or not, and sizes are rounded up: what was recorded for one batch serves
the next of its size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.nn.cache import Slots
from regard.nn.decoder import Decoder
from regard.ragged import Ragged

logger = logging.getLogger(__name__)
FIRST_COLUMNS = 32  # rows of a hypothesis for which there is room at first
FIRST_KEYS = 16  # vectors of a source for which there is room at least
EVEN = 64  # from here on sizes are multiples of it, and below powers of two


@dataclass(frozen=True, eq=False)
class Room:
    """Slots, and what does a step in them: ``step()`` reads ``ids`` ``[R]`` and gives ``[R, V]``."""

    slots: Slots
    ids: Tensor
    step: Callable[[], Tensor]


class Replay:
    """The model of a search or a drawing, see `regard.decoding.search`, for one batch after the other.

    Arguments:
        decoder: writes.
        embed: newest ids ``[R]`` → vectors ``[R, E]``.
        score: vectors of the decoder ``[R, E]`` → log-probabilities of the next ids, ``[R, V]``.
        width: the most hypotheses of a source.
        most: the most ids of a sequence, the first one counted; None for no limit.
    """

    def __init__(
        self,
        decoder: Decoder,
        embed: Callable[[Tensor], Tensor],
        score: Callable[[Tensor], Tensor],
        *,
        width: int,
        most: int | None = None,
    ) -> None:
        self.decoder, self.embed, self.score, self.width, self.most = decoder, embed, score, width, most
        self._size, self._rooms = (0, 0), dict[int, Room]()  # sources and vectors of each; by columns

    def begin(self, memory: Ragged) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], None]]:
        """Its two functions for the sources of ``memory``, ``[S, E]``; those of the batch before end here."""
        B, device = len(memory), memory.values.device
        self._like = memory.values.new_empty(0)
        if (size := (_up(B), max(FIRST_KEYS, _up(memory.longest)))) != self._size:
            self._size, self._rooms = size, {}  # those of the size before would keep its memory
            self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._room, self._done = self._room_of(self._columns(FIRST_COLUMNS)), 0
        self.decoder.begin(memory, self._room.slots)
        self._numbers = torch.arange(B + 1, device=device)
        self._belong(self._numbers[:-1])
        return self._step, self._keep

    def _step(self, ids: Tensor) -> Tensor:
        """``[R]``, the newest id of each hypothesis, → ``[R, V]``."""
        if self._done == self._room.slots.columns:
            self._grow()
        self._done += 1
        self._room.ids[self._places] = ids
        return self._room.step()[self._places]

    def _keep(self, rows: Tensor) -> None:
        """The hypotheses are now those that stood in ``rows``, ``[R']``, with those of a source side by side."""
        before = self._places[rows]
        self._belong(self._sources[rows])
        self._room.slots.parents[self._places] = before

    def _belong(self, sources: Tensor) -> None:
        """Hypothesis r is for ``sources[r]``, and stands in the next free slot of those of its source."""
        first = torch.searchsorted(sources, self._numbers)[sources]
        self._sources = sources
        self._places = sources * self.width + torch.arange(len(sources), device=sources.device) - first

    def _columns(self, columns: int) -> int:
        return columns if self.most is None else min(columns, self.most)

    def _grow(self) -> None:
        """Into slots with room for twice as many rows."""
        old = self._room.slots
        self._room = self._room_of(self._columns(2 * old.columns))
        new = self._room.slots
        new.readable.copy_(old.readable)
        new.position.copy_(old.position)
        new.parents.copy_(old.parents)
        for ours, theirs in zip((*new.memory, *new.past), (*old.memory, *old.past), strict=True):
            ours[:, :, -theirs.shape[2] :] = theirs

    def _room_of(self, columns: int) -> Room:
        if columns not in self._rooms:
            B, keys = self._size
            slots = self.decoder.slots(B, self.width, keys=keys, columns=columns, like=self._like)
            ids = torch.zeros_like(slots.parents)

            def step() -> Tensor:
                return self.score(self.decoder.write(self.embed(ids), slots))

            with torch.cuda.device_of(ids):  # type: ignore[no-untyped-call]
                self._rooms[columns] = Room(slots, ids, recorded(step, self._pool))
        return self._rooms[columns]


def recorded(work: Callable[[], Tensor], pool: Any) -> Callable[[], Tensor]:
    """The same work on the same tensors, as a CUDA graph; it gives the same tensor each time.

    It is done once for that, beside the work of now, so that kernels are compiled and libraries loaded before. What
    cannot be recorded is done as it is, and said.

    Arguments:
        pool: of memory, for graphs of which none runs beside another; None on the CPU, where work stays as it is.
    """
    return work if pool is None else _captured(work, pool)


def _captured(work: Callable[[], Tensor], pool: Any) -> Callable[[], Tensor]:  # pragma: no cover - needs a GPU
    now, beside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(now)
    with torch.cuda.stream(beside):
        work()
    now.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            found = work()
    except (RuntimeError, RegardError) as error:
        logger.warning("a step of the decoder is no CUDA graph, and takes longer: %s", str(error).split("\n")[0])
        return work

    def again() -> Tensor:
        graph.replay()
        return found

    return again


def _up(number: int) -> int:
    """The next size that rooms have.

    >>> [_up(number) for number in (0, 1, 3, 33, 64, 65, 200)]
    [1, 1, 4, 64, 64, 128, 256]
    """
    if number > EVEN:
        return -(-number // EVEN) * EVEN
    return 1 << max(0, number - 1).bit_length()
