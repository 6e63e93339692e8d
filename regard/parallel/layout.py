"""Which rows are where: the parts of a batch that processes hold, and the calls that a process's own rows come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from regard.attention.spec import Sequences

Span = tuple[int, int]  # from, to
NOTHING: Span = (0, 0)


class Run(NamedTuple):
    """The rows of one sequence that a process holds; all as they stand in the whole batch."""

    first: int  # row
    stop: int
    position: int  # of the first of them in its sequence
    keys: Span  # of the sequence


class Step(NamedTuple):
    """One ordinary call over some rows of a process and some keys, as they stand in the whole batch.

    Arguments:
        offsets, key_offsets: of the sequences in it, counted from its first row and key.
        query_start: position of the first query of each of them, counted from its first key.
    """

    rows: Span
    keys: Span
    offsets: tuple[int, ...]
    key_offsets: tuple[int, ...]
    query_start: int


@dataclass(frozen=True)
class Layout:
    """A call over all processes.

    Arguments:
        rows, keys: where the rows and the keys of each process begin in the whole batch, and where the last end.
        sequences: of the whole batch, as :func:`regard.attention.spec.read_sequences` gives them; one if it is dense.
        left, right, query_start: as in :class:`regard.attention.spec.Spec`.
    """

    rows: tuple[int, ...]
    keys: tuple[int, ...]
    sequences: Sequences
    left: int | None
    right: int | None
    query_start: int

    def rows_of(self, rank: int) -> Span:
        return self.rows[rank], self.rows[rank + 1]

    def keys_of(self, rank: int) -> Span:
        return self.keys[rank], self.keys[rank + 1]

    def runs(self, rank: int) -> list[Run]:
        """Sequences of which the process has rows."""
        return _runs(self, rank)

    def seen(self, run: Run) -> Span:
        """The keys that a run sees by the window; of one that begins its sequence, from the first key on."""
        start, end = run.keys
        low, high = start, end
        if self.left is not None and run.position > self.query_start:
            low = start + max(run.position - self.left, 0)
        if self.right is not None:
            high = start + min(run.position + (run.stop - run.first) + self.right, end - start)
        return (low, high) if low < high else NOTHING

    def needed(self, rank: int) -> Span:
        """The keys that the rows of a process see, and what lies between them."""
        return _needed(self, rank)

    def is_local(self, rank: int, run: Run) -> bool:
        """Whether the process holds all keys that the run sees."""
        low, high = self.seen(run)
        return low >= high or (self.keys[rank] <= low and high <= self.keys[rank + 1])


@lru_cache(maxsize=64)
def _runs(layout: Layout, rank: int) -> list[Run]:
    start, stop = layout.rows_of(rank)
    found = []
    for q0, q1, k0, k1 in layout.sequences:
        first, last = max(q0, start), min(q1, stop)
        if first < last:
            found.append(Run(first, last, first - q0 + layout.query_start, (k0, k1)))
    return found


@lru_cache(maxsize=256)
def _needed(layout: Layout, rank: int) -> Span:
    spans = [span for span in (layout.seen(run) for run in layout.runs(rank)) if span != NOTHING]
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else NOTHING


def overlap(a: Span, b: Span) -> Span:
    """What two spans share."""
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low < high else NOTHING


@lru_cache(maxsize=64)
def steps(layout: Layout, rank: int) -> tuple[Step, ...]:
    """The calls that give the rows of a process, where it holds, or is sent, all the keys that they see.

    The first computes all of them as if there were nothing beside the process; those that see further, at its ends,
    are then computed again. Later calls overwrite what earlier ones gave.
    """
    runs, own = layout.runs(rank), layout.keys_of(rank)
    if not runs:
        return ()
    if any(run.position - max(own[0] - run.keys[0], 0) != layout.query_start for run in runs):
        return tuple(_together(layout, some) for some in (runs[:1], runs[1:]) if some)
    inner = _together(layout, runs, own)
    return (inner, *(step for run in runs if not layout.is_local(rank, run) for step in _ends(layout, run, own)))


@lru_cache(maxsize=64)
def local_steps(layout: Layout, rank: int) -> tuple[tuple[Step, ...], tuple[Run, ...]]:
    """The calls of sequences of which the process holds all keys that it needs, and the runs of all others."""
    runs, own = layout.runs(rank), layout.keys_of(rank)
    found: list[Step] = []
    for (local, begins), some in groupby(runs, lambda run: (layout.is_local(rank, run), _begins(layout, run))):
        if local:
            found += [_together(layout, some, own)] if begins else [_together(layout, [run]) for run in some]
    return tuple(found), tuple(run for run in runs if not layout.is_local(rank, run))


def _begins(layout: Layout, run: Run) -> bool:
    return run.position == layout.query_start


def _together(layout: Layout, runs: Iterable[Run], among: Span | None = None) -> Step:
    """One call of runs that follow each other, with the keys that they see, or with those among the given ones.

    Where there are several, each stands in its keys as the first does.
    """
    runs = list(runs)
    spans = [layout.seen(run) if among is None else overlap(run.keys, among) for run in runs]
    first = min((low for low, high in spans if low < high), default=0)
    offsets, key_offsets = [0], [0]
    for run, (low, high) in zip(runs, spans, strict=True):
        if low < high and low - first > key_offsets[-1]:  # keys between, which nobody here sees
            offsets.append(offsets[-1])
            key_offsets.append(low - first)
        offsets.append(run.stop - runs[0].first)
        key_offsets.append(high - first if low < high else key_offsets[-1])
    query_start = layout.query_start
    if among is None and spans[0] != NOTHING:
        query_start = runs[0].position - (spans[0][0] - runs[0].keys[0])
    rows, keys = (runs[0].first, runs[-1].stop), (first, first + key_offsets[-1])
    return Step(rows, keys, tuple(offsets), tuple(key_offsets), query_start)


def _ends(layout: Layout, run: Run, own: Span) -> list[Step]:
    """Of those rows of a run that see keys before, and after, the process's own."""
    start = run.keys[0]
    head, tail = run.first, run.stop
    if start < own[0] and layout.left is not None:
        head = run.first + own[0] - start + layout.left - run.position  # the first row that sees none before
    if run.keys[1] > own[1] and layout.right is not None:
        tail = run.first + own[1] - start - layout.right - run.position  # the first row that sees one after
    head, tail = min(max(head, run.first), run.stop), min(max(tail, run.first), run.stop)
    if head >= tail:
        return [_together(layout, [run])]
    position = run.position - run.first
    ends = [Run(first, stop, position + first, run.keys) for first, stop in ((run.first, head), (tail, run.stop))]
    return [_together(layout, [end]) for end in ends if end.first < end.stop]
