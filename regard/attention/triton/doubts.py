"""Offsets that only a GPU knows: it checks them without being waited for, and says later what was wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention.spec import checked


@dataclass(frozen=True, eq=False)
class Doubt:
    """Offsets on their way to the CPU, and what they ought to be."""

    offsets: Tensor
    has_come: Callable[[], bool]
    rows: int
    name: str
    rows_name: str


OPEN: set[Doubt] = set()


def settled(offsets: Tensor, rows: int, name: str, rows_name: str, *, asks: bool) -> tuple[Tensor, Tensor]:
    """Offsets that are right, those of one sequence where the given are not; and whether they are not, bool.

    Arguments:
        asks: whether what is wrong with them shall be said, by :func:`heed`.

    Raises:
        ShapeError: rows of no sequences.
    """
    if len(offsets) == 1:
        checked((0,), rows, name, rows_name)  # of no sequences, and so of no rows: that much is known here
    ill = (offsets[0] != 0) | (offsets[-1] != rows) | (offsets.diff() < 0).any()
    if asks and offsets.is_cuda:  # pragma: no cover - needs a GPU
        told = offsets.to("cpu", non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(offsets.device))
        OPEN.add(Doubt(told, event.query, rows, name, rows_name))
    whole = (torch.arange(len(offsets), device=offsets.device) > 0) * rows
    return torch.where(ill, whole.to(offsets.dtype), offsets), ill


def heed() -> None:
    """Raises the `ShapeError` of an earlier call, as soon as a GPU has said what its offsets were."""
    for doubt in list(OPEN):
        if doubt.has_come():
            OPEN.discard(doubt)
            numbers = tuple(doubt.offsets.tolist())
            checked(numbers, doubt.rows, f"an earlier call, whose output is NaN: {doubt.name}", doubt.rows_name)
