"""Rows of a whole batch as a process has them: its own, and those that others sent, each at its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.parallel.group import Exchange, Group
from regard.parallel.layout import NOTHING, Layout, Span, overlap

Piece = tuple[int, int, Tensor]  # the process that owns it, its place in the whole batch, and the rows


@dataclass(frozen=True, eq=False)
class Held:
    """Some rows of one tensor, piece by piece.

    Arguments:
        axis: of the rows.
        pieces: in the order of the processes.
    """

    axis: int
    pieces: Sequence[Piece]

    def take(self, span: Span) -> Tensor:
        """The rows of a span; copied only where they are of several pieces."""
        parts = [part for part in (self._part(piece, span) for piece in self.pieces) if part is not None]
        if not parts:
            return self.pieces[0][2].narrow(self.axis, 0, 0)
        return parts[0] if len(parts) == 1 else torch.cat(parts, self.axis)

    def add(self, span: Span, rows: Tensor) -> None:
        """Adds to the rows of a span."""
        for piece in self.pieces:
            part = self._part(piece, span)
            if part is not None:
                low = max(piece[1], span[0]) - span[0]
                part.add_(rows.narrow(self.axis, low, part.shape[self.axis]))

    def of(self, rank: int) -> Tensor:
        """The rows that a process owns."""
        return next(rows for owner, _, rows in self.pieces if owner == rank)

    def cut(self, rows: Tensor, start: int) -> Held:
        """The same places in rows that are all there, ``start`` the place of their first; copies."""
        pieces = []
        for owner, first, like in self.pieces:
            part = rows.narrow(self.axis, first - start, like.shape[self.axis])
            pieces.append((owner, first, part.clone(memory_format=torch.contiguous_format)))
        return Held(self.axis, pieces)

    def sums(self, rank: int, own: Tensor) -> Held:
        """The same places, with ``own`` as those of this process, and zeros in the others."""
        pieces = ((owner, start, own if owner == rank else torch.zeros_like(x)) for owner, start, x in self.pieces)
        return Held(self.axis, list(pieces))

    def _part(self, piece: Piece, span: Span) -> Tensor | None:
        _, start, rows = piece
        low, high = overlap(span, (start, start + rows.shape[self.axis]))
        return rows.narrow(self.axis, low - start, high - low) if low < high else None


@dataclass(frozen=True)
class Needs:
    """Which rows each process has, and which it needs.

    Arguments:
        starts: where the rows of each begin in the whole batch, and where the last end.
        spans: what each needs, its own or not.
    """

    starts: tuple[int, ...]
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, layout: Layout) -> Needs:
        """Keys, as the window wants them."""
        return cls(layout.keys, tuple(layout.needed(rank) for rank in range(len(layout.keys) - 1)))

    def own(self, rank: int) -> Span:
        """The rows that a process has."""
        return self.starts[rank], self.starts[rank + 1]

    def held(self, rank: int) -> Span:
        """The rows that a process has or needs, which follow each other."""
        (first, stop), (low, high) = self.own(rank), self.spans[rank]
        return (min(first, low), max(stop, high)) if low < high else (first, stop)

    def between(self, asking: int, holding: int) -> Span:
        """The rows of one process that another needs."""
        return overlap(self.spans[asking], self.own(holding))


def fetch(group: Group, needs: Needs, tensors: Sequence[tuple[Tensor, int]]) -> tuple[list[Held], Exchange]:
    """The rows that each process needs of others are on their way to it, of each tensor with the axis of its rows."""
    sent, received, found = [], [], []
    for x, axis in tensors:
        pieces: list[Piece] = []
        for rank in range(group.size):
            if rank == group.rank:
                pieces.append((rank, needs.starts[rank], x))
                continue
            low, high = needs.between(rank, group.rank)
            if low < high:
                sent.append((rank, x.narrow(axis, low - needs.starts[group.rank], high - low).contiguous()))
            low, high = needs.between(group.rank, rank)
            if low < high:
                rows = x.new_empty(*x.shape[:axis], high - low, *x.shape[axis + 1 :])
                pieces.append((rank, low, rows))
                received.append((rank, rows))
        found.append(Held(axis, pieces))
    return found, group.exchange(sent, received)


def send_home(group: Group, needs: Needs, sums: Sequence[Held]) -> None:
    """What each process has for rows of others is added to their own, in the order of the processes."""
    sent, received = [], []
    for held in sums:
        own = held.of(group.rank)
        sent += [(rank, rows) for rank, _, rows in held.pieces if rank != group.rank]
        for rank in range(group.size):
            low, high = needs.between(rank, group.rank) if rank != group.rank else NOTHING
            if low < high:
                part = own.narrow(held.axis, low - needs.starts[group.rank], high - low)
                received.append((rank, part, torch.empty_like(part, memory_format=torch.contiguous_format)))
    group.exchange(sent, [(rank, rows) for rank, _, rows in received]).wait()
    for _, part, rows in received:
        part.add_(rows)
