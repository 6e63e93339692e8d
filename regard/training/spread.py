"""Processes that share each sequence: which of them belong together, and a network that spreads its rows over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist

from regard.parallel.group import Group


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


@contextmanager
def spread(network: Any, over: Group | None) -> Iterator[None]:
    """Within, the network's encoder takes whole batches and gives the rows of this process."""
    if over is None:
        yield
        return
    network.encoder.processes = over
    try:
        yield
    finally:
        network.encoder.processes = None
