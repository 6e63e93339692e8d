"""A whole batch into the parts that processes hold, and back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from regard.errors import UnsupportedError
from regard.parallel.group import Group, Handle
from regard.parallel.held import Needs, fetch, send_home
from regard.parallel.layout import Layout, Span
from regard.part import Part
from regard.ragged import Ragged, beside, on_host, takes_ragged

WHERE = "parallel.split"


@takes_ragged
def split(batch: Ragged, group: Handle | Group = None) -> Ragged:
    """This process's rows of a batch that all processes have, ``[T, ...]`` → ``[T/P, ...]``, in equally large parts.

    Whatever is made of it, ``regard.nn`` knows what it is a part of: layers that attend or read neighbours ask the
    other processes for what they need, and positions count from the beginning of each sequence. The gradient by the
    whole batch is that of these rows.

    Arguments:
        batch: the same in all processes.
        group: of processes, as in :func:`attend`.

    Raises:
        UnsupportedError: images.
        ShapeError: processes have different batches.
    """
    if batch.grid is not None:
        raise UnsupportedError(f"{WHERE}: sequences are wanted, got images, whose rows and columns are not cut yet")
    processes = group if isinstance(group, Group) else Group.of(group)
    offsets, rows, size = on_host(batch.offsets)[0], len(batch.values), processes.size
    said = {"offsets": offsets.tolist(), "shape": list(batch.values.shape), "dtype": batch.values.dtype}
    processes.agree(WHERE, said, [], batch.values.device)
    return own_rows(batch.values, Part(processes, tuple(rows * rank // size for rank in range(size + 1)), offsets))


def own_rows(x: Tensor, part: Part) -> Ragged:
    """This process's rows of ``[T, ...]``."""
    return of_part(part.own(x), part)


def of_part(values: Tensor, part: Part) -> Ragged:
    """A batch of the rows ``[t, ...]`` that this process has."""
    return Ragged(values, beside(values, part.offsets_within(*part.rows)), part=part)


@takes_ragged
def gather(batch: Ragged) -> Ragged:
    """The whole batch in every process, ``[T/P, ...]`` → ``[T, ...]``; one that is no part is whole.

    The gradient of a row is the sum of what all processes make of it: let one loss count in one of them.
    """
    part = batch.part
    if part is None:
        return batch
    needs = Needs(part.starts, ((0, part.starts[-1]),) * part.processes.size)
    values: Tensor = _Fetched.apply(batch.values, part.processes, needs)  # type: ignore[no-untyped-call]
    return Ragged(values, beside(values, part.offsets))


def with_neighbours(batch: Ragged, part: Part, left: int, right: int) -> tuple[Ragged, Span]:
    """A part with the rows of other processes just before and after it, ``[t + halo, ...]``; which rows are its own."""
    ends = tuple(part.offsets.tolist())
    sequences = tuple((start, stop, start, stop) for start, stop in pairwise(ends))
    needs = Needs.of(Layout(part.starts, part.starts, sequences, left, right, 0))
    values: Tensor = _Fetched.apply(batch.values, part.processes, needs)  # type: ignore[no-untyped-call]
    first, stop = needs.held(part.processes.rank)
    offsets = beside(values, part.offsets_within(first, stop))
    return Ragged(values, offsets), (part.rows[0] - first, part.rows[1] - first)


def counted_once(processes: Any, loss: Tensor, count: int) -> tuple[Tensor, int]:
    """A loss ``[]`` that all processes of a group came to alike, as it counts in each: in the first alone.

    Arguments:
        processes: an encoder's, None where it takes whole batches.
    """
    return (loss, count) if processes is None or processes.rank == 0 else (loss * 0, 0)


class _Fetched(torch.autograd.Function):
    """Own rows among those of other processes, whose gradients go home."""

    @staticmethod
    def forward(ctx, x, group, needs):  # type: ignore[no-untyped-def]
        (held,), exchange = fetch(group, needs, [(x, 0)])
        exchange.wait()
        ctx.group, ctx.needs, ctx.like = group, needs, held
        return held.take(needs.held(group.rank))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        rank, first = ctx.group.rank, ctx.needs.held(ctx.group.rank)[0]
        sums = ctx.like.cut(grad, first)
        send_home(ctx.group, ctx.needs, [sums])
        return sums.of(rank), None, None
