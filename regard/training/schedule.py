"""The learning rate over a training."""

from __future__ import annotations

import math


def one_cycle(progress: float, *, peak: float, warmup: float) -> float:
    """The learning rate when ``progress`` (0 to 1) of the training is done: up in a line, down in half a cosine.

    ``peak · progress / warmup`` during the warm-up, then ``peak · (1 + cos(π t)) / 2`` with t from 0 to 1.

    >>> [one_cycle(done, peak=1.0, warmup=0.2) for done in (0.0, 0.1, 0.2, 1.0)]
    [0.0, 0.5, 1.0, 0.0]
    """
    if progress < warmup:
        return peak * progress / warmup
    t = (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return peak * (1 + math.cos(math.pi * t)) / 2
