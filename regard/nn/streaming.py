"""What a network remembers of sequences that come piece by piece.

A layer that sees ``left`` positions back and ``right`` ahead remembers the last ``left + right`` rows that are attended
to, and the last ``right`` rows of its input, which wait for what follows them: a row comes out when ``right`` rows
after it are there, or when its stream ends. Streams share a batch, each at a position of its own: their newest rows are
held in one column, the last, so that one call of :func:`regard.attend` serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from regard.errors import ShapeError
from regard.nn.chunk import Chunk, Counts, Places, on_device_of, packed, padded

FIRST_ROOM = 16  # rows


class Buffer:
    """The last rows of R streams, ``[R, H, N, D]`` with the newest of each stream in the last column.

    Arguments:
        limit: rows of each stream that are remembered from one chunk to the next; None for all.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._memory: Tensor | None = None  # [R, H, room, D], in use from start to stop
        self._spare: Tensor | None = None  # the one before: memory that is new to the process costs more than a copy
        self._start = self._stop = 0

    def extend(self, rows: Tensor, places: Places) -> Tensor:
        """``[T, H, D]`` → ``[R, H, N, D]``: what was remembered and the next rows, ``places.held(limit)``.

        What stands before a stream's oldest row is nobody's. A stream that ends is forgotten.

        Raises:
            ShapeError: the rows are not the next of the streams that are remembered.
        """
        new = padded(rows, places)  # [R, H, n, D]
        if self.limit == 0:
            return new
        held = places.held(self.limit)
        if self._memory is None or self._stop - self._start < held.before or len(self._memory) != len(places):
            self._check_start(places)
        self._append(new)
        if not places.even:
            self._close_gaps(places.most - places.counts, places.most)
        seen = self._last(held.columns)
        self._start = self._stop - held.after
        return seen

    def release(self, chunk: Chunk) -> Tensor:
        """``[T, E]`` → ``[T', E]``: takes in the chunk's rows; gives those that ``limit`` others have followed."""
        if self.limit == 0:
            return chunk.values
        assert self.limit is not None
        picked = chunk.places.picked(self.limit)
        held = self.extend(chunk.values[:, None], chunk.places)  # [R, 1, P, E]
        return packed(held.narrow(2, picked.start, picked.stop - picked.start), picked).squeeze(1)

    def keep(self, streams: Tensor) -> None:
        """The streams are now those that stood in ``streams``, ``[R']`` int64."""
        if self._memory is not None:
            self._move(streams, self._memory.shape[2])

    def numel(self) -> int:
        """How many numbers there is room for."""
        return sum(memory.numel() for memory in (self._memory, self._spare) if memory is not None)

    def _check_start(self, places: Places) -> None:
        if self._memory is None and not places.starts.any():
            return
        R = 0 if self._memory is None else len(self._memory)
        raise ShapeError(
            f"chunk must be the next of the streams that this state is of: it remembers "
            f"{self._stop - self._start} rows of {R} streams, got a chunk of {len(places)} that start at "
            f"{places.starts.tolist()}; give each state its chunks in their order"
        )

    def _last(self, count: int) -> Tensor:
        """``[R, H, N, D]``, a view."""
        assert self._memory is not None
        return self._memory.narrow(2, self._stop - count, count)

    def _append(self, new: Tensor) -> None:
        held, n = self._stop - self._start, new.shape[2]
        if self._memory is None:
            self._memory = new.new_empty(*new.shape[:2], max(FIRST_ROOM, n), new.shape[3])
        elif self._stop + n > self._memory.shape[2]:
            self._move(None, max(self._memory.shape[2], 2 * held, held + n))
        self._stop += n
        self._last(n).copy_(new)

    def _close_gaps(self, gaps: Counts, n: int) -> None:
        """Moves what stands before the last ``n`` columns right over the ``gaps[r]`` that each stream has there."""
        held = self._last(self._stop - self._start)  # [R, H, N, D]
        columns = np.arange(held.shape[2])
        columns = np.where(columns < held.shape[2] - n + gaps[:, None], columns - gaps[:, None], columns)  # [R, N]
        index = on_device_of(held, columns.clip(min=0))[:, None, :, None].expand_as(held)
        held.copy_(held.gather(2, index))

    def _move(self, streams: Tensor | None, room: int) -> None:
        """Into other memory, with all streams or those chosen."""
        assert self._memory is not None
        held, into = self._last(self._stop - self._start), self._spare
        R = len(held) if streams is None else len(streams)
        if into is None or len(into) < R or into.shape[2] != room:
            into = held.new_empty(R, held.shape[1], room, held.shape[3])
        self._spare, self._memory = self._memory, into[:R]
        self._start, self._stop = 0, held.shape[2]
        if streams is None:
            self._last(self._stop).copy_(held)
        else:
            torch.index_select(held, 0, streams, out=self._last(self._stop))


@dataclass(frozen=True, eq=False)
class AttentionState:
    """What an attention layer that sees ``left`` back and ``right`` ahead remembers of R streams.

    Arguments:
        keys: keys and values of the last ``left + right`` rows, ``[R, 2·Hk, N, D]``, one after the other.
        queries: of the ``right`` rows that wait for what follows them, ``[R, H, N, D]``.
    """

    keys: Buffer
    queries: Buffer

    @property
    def right(self) -> int:
        """How many rows must follow one before it comes out."""
        assert self.queries.limit is not None
        return self.queries.limit

    def keep(self, streams: Tensor) -> None:
        """The streams are now those that stood in ``streams``, ``[R']`` int64."""
        self.keys.keep(streams)
        self.queries.keep(streams)

    def numel(self) -> int:
        """How many numbers there is room for."""
        return self.keys.numel() + self.queries.numel()


Part = TypeVar("Part", AttentionState, Buffer)


@dataclass(frozen=True, eq=False)
class LayerState(Generic[Part]):
    """What a layer remembers of R streams: a part that looks around, and the way around it.

    Arguments:
        part: of the attention; or the last ``left + right`` vectors of a layer that reads its neighbours.
        waiting: the ``right`` rows that what the part makes of them is still to be added to, ``[R, 1, N, E]``.
    """

    part: Part
    waiting: Buffer

    def keep(self, streams: Tensor) -> None:
        """The streams are now those that stood in ``streams``, ``[R']`` int64."""
        self.part.keep(streams)
        self.waiting.keep(streams)

    def numel(self) -> int:
        """How many numbers there is room for."""
        return self.part.numel() + self.waiting.numel()


class Streams:
    """What an encoder remembers of R streams, each at a position of its own.

    Arguments:
        layers: what each layer remembers, from the first to the last.
        count: ``R``.
    """

    def __init__(self, layers: Sequence[LayerState[Any]], count: int) -> None:
        self.layers = layers
        self.positions = np.zeros(count, dtype=np.int64)  # [R], how many vectors of each have come

    def keep(self, streams: Tensor) -> None:
        """The streams are now those that stood in ``streams``, ``[R']`` int64; the others are forgotten."""
        for layer in self.layers:
            layer.keep(streams)
        self.positions = self.positions[streams.cpu().numpy()]

    def numel(self) -> int:
        """How many numbers there is room for."""
        return sum(layer.numel() for layer in self.layers)

    def __len__(self) -> int:
        """The number of streams, R."""
        return len(self.positions)
