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

    def sums(self, rank: int, own: Tensor) -> Held:
        """The same places, with ``own`` as those of this process, and zeros in the others."""
        pieces = ((owner, start, own if owner == rank else torch.zeros_like(x)) for owner, start, x in self.pieces)
        return Held(self.axis, list(pieces))

    def _part(self, piece: Piece, span: Span) -> Tensor | None:
        _, start, rows = piece
        low, high = overlap(span, (start, start + rows.shape[self.axis]))
        return rows.narrow(self.axis, low - start, high - low) if low < high else None


def fetch(group: Group, layout: Layout, tensors: Sequence[tuple[Tensor, int]]) -> tuple[list[Held], Exchange]:
    """The keys that each process needs of others are on their way to it, of each tensor with the axis of its rows."""
    sent, received, found = [], [], []
    for x, axis in tensors:
        pieces: list[Piece] = []
        for rank in range(group.size):
            if rank == group.rank:
                pieces.append((rank, layout.keys[rank], x))
                continue
            low, high = _between(layout, rank, group.rank)
            if low < high:
                sent.append((rank, x.narrow(axis, low - layout.keys[group.rank], high - low).contiguous()))
            low, high = _between(layout, group.rank, rank)
            if low < high:
                rows = x.new_empty(*x.shape[:axis], high - low, *x.shape[axis + 1 :])
                pieces.append((rank, low, rows))
                received.append((rank, rows))
        found.append(Held(axis, pieces))
    return found, group.exchange(sent, received)


def send_home(group: Group, layout: Layout, sums: Sequence[Held]) -> None:
    """What each process has for rows of others is added to their own, in the order of the processes."""
    sent, received = [], []
    for held in sums:
        own = held.of(group.rank)
        sent += [(rank, rows) for rank, _, rows in held.pieces if rank != group.rank]
        for rank in range(group.size):
            low, high = _between(layout, rank, group.rank) if rank != group.rank else NOTHING
            if low < high:
                part = own.narrow(held.axis, low - layout.keys[group.rank], high - low)
                received.append((rank, part, torch.empty_like(part, memory_format=torch.contiguous_format)))
    group.exchange(sent, [(rank, rows) for rank, _, rows in received]).wait()
    for _, part, rows in received:
        part.add_(rows)


def _between(layout: Layout, asking: int, holding: int) -> Span:
    """The keys of one process that another needs."""
    return overlap(layout.needed(asking), layout.keys_of(holding))
