"""The piece of sequences that goes through a network when they come piece by piece.

How many rows there are and where they stand is known outside of tensors, so that no layer waits for a GPU to say it,
and is worked out once for all layers whose rows stand at the same places.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.errors import ShapeError
from regard.ragged import Ragged, beside, on_host, sent

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Held:
    """How many rows of each of R streams are held, ``[R, H, N, D]`` with the newest of each in the last column.

    Arguments:
        counts: ``[R]``, the chunk's and those remembered before them.
        columns: N, the most of any stream.
        before: the most that any stream has remembered.
        after: the most that any stream is to remember.
        full: whether each stream has rows in all columns.
    """

    counts: Counts
    columns: int
    before: int
    after: int
    full: bool


@dataclass(frozen=True, eq=False)
class Picked:
    """Which of the rows held ``[R, H, N, D]`` come out: ``counts[r]`` of stream r.

    Arguments:
        start, stop: the columns among which all of them are.
        first: ``[R]``, where those of each stream begin, counted from ``start``.
        even: whether all of the columns are of every stream.
    """

    counts: Counts
    start: int
    stop: int
    first: Counts
    even: bool


class Places:
    """Where the next rows of R streams stand.

    Arguments:
        counts: ``[R]`` int64, how many rows there are of each stream; 0 for one of which nothing came.
        starts: ``[R]`` int64, the position of each stream's first row here: how many came before.
        ends: ``[R]`` bool, whether nothing comes after these, so that whatever waits comes out.
    """

    def __init__(self, counts: Counts, starts: Counts, ends: NDArray[np.bool_]) -> None:
        self.counts, self.starts, self.ends = counts, starts, ends
        self.most = int(counts.max(initial=0))
        self.even = int(counts.sum()) == len(counts) * self.most
        self._held: dict[int | None, Held] = {}
        self._picked: dict[int, Picked] = {}
        self._after: dict[int, Places] = {}

    def held(self, limit: int | None) -> Held:
        """These rows behind those before them, of which at most the last ``limit`` are remembered; None for all."""
        if limit not in self._held:
            before, seen = self.starts, self.starts + self.counts
            after = seen
            if limit is not None:
                before, after = np.minimum(before, limit), np.minimum(seen, limit)
            counts, after = before + self.counts, np.where(self.ends, 0, after)
            columns, most_before, most_after = (int(x.max(initial=0)) for x in (counts, before, after))
            full = bool((counts == columns).all())
            self._held[limit] = Held(counts, columns, most_before, most_after, full)
        return self._held[limit]

    def after(self, right: int) -> Places:
        """Where those rows stand that come out of a layer that sees ``right`` ahead: some wait for what follows."""
        if right == 0:
            return self
        if right not in self._after:
            seen, starts = self.starts + self.counts, np.maximum(self.starts - right, 0)
            stops = np.where(self.ends, seen, np.maximum(seen - right, 0))
            self._after[right] = Places(stops - starts, starts, self.ends)
        return self._after[right]

    def picked(self, right: int) -> Picked:
        """Those rows among all that a layer has held, which are the last ``right`` and these."""
        if right == 0:  # none had to wait
            return Picked(self.counts, 0, self.most, self.most - self.counts, self.even)
        if right not in self._picked:
            held, out = self.held(right), self.after(right)
            first, some = held.columns - held.counts, out.counts > 0
            start = int(first[some].min(initial=held.columns))
            stop = int((first + out.counts)[some].max(initial=start))
            even = bool((out.counts == stop - start).all())
            self._picked[right] = Picked(out.counts, start, stop, first - start, even)
        return self._picked[right]

    def __len__(self) -> int:
        """The number of streams, R."""
        return len(self.counts)


@dataclass(frozen=True, eq=False)
class Chunk:
    """The next rows of R streams, laid end to end, ``[T, E]``."""

    values: Tensor
    places: Places

    @classmethod
    def of(cls, vectors: Ragged, starts: Counts, ends: Tensor | None = None) -> Chunk:
        """The sequences of ``vectors`` as the next rows of as many streams.

        Arguments:
            starts: ``[R]``, how many rows each stream has had before.
            ends: ``[R]`` bool, which streams end here; None for none.

        Raises:
            ShapeError: there are more or fewer sequences, or ``ends``, than streams.
        """
        R = len(starts)
        if len(vectors) != R:
            raise ShapeError(
                f"vectors must have one sequence for each of the {R} streams, got {len(vectors)}; "
                "give an empty one for a stream of which nothing came"
            )
        if ends is not None and (ends.dtype != torch.bool or list(ends.shape) != [R]):
            raise ShapeError(
                f"finish must be bool of shape [{R}], True for each stream that ends here; "
                f"got {ends.dtype} of shape {list(ends.shape)}"
            )
        ended = np.zeros(R, dtype=np.bool_) if ends is None else ends.cpu().numpy()
        return cls(vectors.values, Places(on_host(vectors.offsets)[0].diff().numpy(), starts, ended))

    def with_values(self, values: Tensor) -> Chunk:
        """Other rows ``[T, ...]`` at the same places."""
        return Chunk(values, self.places)

    @cached_property
    def offsets(self) -> Tensor:
        """``[R+1]`` int64: stream r is rows ``offsets[r]:offsets[r+1]``."""
        offsets = np.zeros(len(self.places) + 1, dtype=np.int64)
        np.cumsum(self.places.counts, out=offsets[1:])
        return beside(self.values, torch.from_numpy(offsets))

    @property
    def rows(self) -> Ragged:
        """The rows as a batch of R sequences, ``[T, E]``."""
        return Ragged(self.values, self.offsets)

    @property
    def start(self) -> Tensor:
        """``[R]`` int64, the position of each stream's first row."""
        return beside(self.values, torch.from_numpy(self.places.starts))


def padded(rows: Tensor, places: Places) -> Tensor:
    """``[T, H, D]`` → ``[R, H, n, D]``, each stream's rows with zeros before them; a view where there need be none."""
    R, n = len(places), places.most
    if places.even:
        return rows.view(R, n, *rows.shape[1:]).transpose(1, 2)
    filled = rows.new_zeros(R, n, *rows.shape[1:])
    filled[_columns(rows, n - places.counts, places.counts)] = rows
    return filled.transpose(1, 2)


def packed(dense: Tensor, picked: Picked) -> Tensor:
    """``[R, H, stop−start, D]`` → ``[T, H, D]``: the rows that come out, end to end."""
    if picked.even:
        return dense.transpose(1, 2).flatten(0, 1)
    streams, columns = _columns(dense, picked.first, picked.counts)
    return dense[streams, :, columns]


def _columns(like: Tensor, first: Counts, counts: Counts) -> tuple[Tensor, Tensor]:
    """``[T]`` each: stream and column of ``counts[r]`` rows from column ``first[r]`` on."""
    streams: Counts = np.repeat(np.arange(len(counts)), counts)
    columns: Counts = np.arange(len(streams)) + (first - counts.cumsum() + counts)[streams]
    return on_device_of(like, streams), on_device_of(like, columns)


def on_device_of(like: Tensor, numbers: Counts | NDArray[np.bool_]) -> Tensor:
    """The numbers as a tensor beside another."""
    return sent(torch.from_numpy(numbers), like.device)
