"""Processes of one launch: whether they do the same, what they share, and a network spread over some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist

from regard.parallel.group import Group
from regard.parallel.sharing import sharing
from regard.training.checkpoint import Identity


def sharers(together: int, processes: int) -> Group | None:
    """This process among those that share its sequences, ``together`` neighbours of all; None where none are shared.

    Every process must call this, for all groups are made in all of them.
    """
    if together == 1:
        return None
    rank, own = dist.get_rank(), None
    for first in range(0, processes, together):
        handle = dist.new_group(list(range(first, first + together)))
        own = handle if first <= rank < first + together else own
    return Group.of(own)


def shared() -> AbstractContextManager[None]:
    """Within, the processes of a launch, where there are several, share predictions and evaluations."""
    launched = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return sharing() if launched else nullcontext()


def check_same(identity: Identity, device: torch.device) -> None:
    """Refuses processes that do not train the same with the same, in all of them, before one waits for another.

    Raises:
        ShapeError: the first thing that differs.
    """
    said = identity.config | {"the training data": identity.data, "the dev data": identity.dev}
    Group.of(None).agree("training", said, [], device)


@contextmanager
def spread(networks: Iterable[Any], over: Group | None) -> Iterator[None]:
    """Within, the networks' encoders take whole batches and give the rows of this process."""
    if over is None:
        yield
        return
    for network in networks:
        network.encoder.processes = over
    try:
        yield
    finally:
        for network in networks:
            network.encoder.processes = None
