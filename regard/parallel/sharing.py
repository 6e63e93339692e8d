"""Batches that need nothing of each other, shared by processes that all hold the data and the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import TypeVar

from regard.errors import ShapeError
from regard.parallel.group import Group, Handle

A = TypeVar("A")
B = TypeVar("B")
_sharing: ContextVar[Group | None] = ContextVar("sharing", default=None)


@contextmanager
def sharing(group: Handle = None) -> Iterator[None]:
    """Within, predictions and evaluations are made by all processes together: each takes its share of the batches.

    All of them must make the same calls on the same data with the same network, and all get the whole result, which is
    that of one process.

    Arguments:
        group: processes of torch.distributed; all of them unless given.

    Raises:
        ConfigError: there are no processes, or this one is none of the group.
    """
    token = _sharing.set(Group.of(group))
    try:
        yield
    finally:
        _sharing.reset(token)


def each_batch(batches: Iterable[B], answer: Callable[[B], A]) -> Iterator[tuple[B, A]]:
    """Every batch and what ``answer`` makes of it, in order; within :func:`sharing`, of other processes' batches too.

    One batch of each process is held at a time. Answers go from one process to another: let them stand on the CPU.

    Raises:
        ShapeError: processes have different batches.
    """
    group = _sharing.get()
    if group is None:
        yield from ((batch, answer(batch)) for batch in batches)
        return
    rest = iter(batches)
    while some := list(islice(rest, group.size)):
        own = answer(some[group.rank]) if group.rank < len(some) else None
        told = group.tell_all((some, own))
        if any(theirs != some for theirs, _ in told):
            raise ShapeError("sharing: all processes must predict with the same options for the same data, got others")
        yield from zip(some, (found for _, found in told), strict=False)
