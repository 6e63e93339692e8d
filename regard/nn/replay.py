"""The steps of a search as a GPU does them best: recorded once as a CUDA graph, then done again by one call.

A step of a decoder is a hundred small kernels, which the host takes longer to start than the GPU to run. A graph starts
all of them at once, but does exactly what was recorded: the same kernels on the same tensors. So hypotheses stand in
slots, `regard.nn.cache.Slots`, as many for each source whether they are used or not, and sizes come in powers of two:
what was recorded for one batch serves the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.nn.cache import Slots
from regard.nn.decoder import Decoder
from regard.ragged import Ragged

logger = logging.getLogger(__name__)
FIRST_COLUMNS = 32  # rows of a hypothesis for which there is room at first
FIRST_KEYS = 16  # vectors of a source for which there is room at least


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
        self._rooms: dict[tuple[int, int, int], Room] = {}

    def begin(self, memory: Ragged) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], None]]:
        """Its two functions for the sources of ``memory``, ``[S, E]``; those of the batch before end here."""
        B, device = len(memory), memory.values.device
        self._like = memory.values[:0]
        self._size = (_up(B, 1), _up(memory.longest, FIRST_KEYS), self._columns(FIRST_COLUMNS))
        self._room, self._done = self._room_of(self._size), 0
        self.decoder.begin(memory, self._room.slots)
        self._numbers = torch.arange(B + 1, device=device)
        self._belong(self._numbers[:-1])
        return self._step, self._keep

    def _step(self, ids: Tensor) -> Tensor:
        """``[R]``, the newest id of each hypothesis, → ``[R, V]``."""
        if self._done == self._size[2]:
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
        B, keys, columns = self._size
        self._size, old = (B, keys, self._columns(2 * columns)), self._room.slots
        self._room = self._room_of(self._size)
        new = self._room.slots
        new.readable.copy_(old.readable)
        new.position.copy_(old.position)
        new.parents.copy_(old.parents)
        for ours, theirs in zip((*new.memory, *new.past), (*old.memory, *old.past), strict=True):
            ours[:, :, -theirs.shape[2] :] = theirs

    def _room_of(self, size: tuple[int, int, int]) -> Room:
        if size not in self._rooms:
            B, keys, columns = size
            slots = self.decoder.slots(B, self.width, keys=keys, columns=columns, like=self._like)
            ids = torch.zeros_like(slots.parents)

            def step() -> Tensor:
                return self.score(self.decoder.write(self.embed(ids), slots))

            self._rooms[size] = Room(slots, ids, recorded(step) if ids.is_cuda else step)
        return self._rooms[size]


def recorded(work: Callable[[], Tensor]) -> Callable[[], Tensor]:  # pragma: no cover - needs a GPU
    """The same work on the same tensors, as a CUDA graph; it gives the same tensor each time.

    It is done once for that, beside the work of now, so that kernels are compiled and libraries loaded before. What
    cannot be recorded is done as it is, and said.
    """
    now, beside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(now)
    with torch.cuda.stream(beside):
        work()
    now.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            found = work()
    except (RuntimeError, RegardError) as error:
        logger.warning("a step of the decoder is no CUDA graph, and takes longer: %s", str(error).split("\n")[0])
        return work

    def again() -> Tensor:
        graph.replay()
        return found

    return again


def _up(number: int, least: int) -> int:
    """The next power of two."""
    return max(least, 1 << (number - 1).bit_length() if number else 0)
