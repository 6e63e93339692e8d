"""Sequences that are answered in batches of about one length, by all processes that share them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from regard.parallel.sharing import each_batch
from regard.planning import fill

A = TypeVar("A")
ON_CPU = 4000  # items in a batch; larger ones leave the cache, and their memory is mapped anew
ON_CARD = 32_000  # smaller ones leave a part of it idle


def in_batches(
    lengths: Sequence[int], device: torch.device, answer: Callable[[list[int]], A]
) -> Iterator[tuple[list[int], A]]:
    """Numbers of sequences, and what ``answer`` makes of them, batch by batch; a long sequence stands alone.

    Arguments:
        lengths: of all of them.
        device: where the network is.
        answer: gives something on the CPU.
    """
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
    batches = fill(order, lengths, ON_CPU if device.type == "cpu" else ON_CARD)
    return each_batch((numbers.tolist() for numbers in batches), answer)
