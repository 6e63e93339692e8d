"""Frames by the mean and the deviation of their own recording: of all of it, or of what has come so far."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from regard.ragged import Ragged

REACH = 1000  # frames that a running mean looks back
PRIOR = 100.0  # frames of training data, mean 0 and deviation 1, that stand before the first
LEAST = 1e-2  # deviation of what hardly changes


def utterance(frames: Ragged) -> Ragged:
    """``(x − mean) / std`` with those of each bin over the whole recording, ``[F, bins]``."""
    lengths = frames.lengths
    mean = torch.segment_reduce(frames.values, "mean", lengths=lengths)  # [B, bins]
    centred = frames.values - mean[frames.sequence_ids]
    variance = torch.segment_reduce(centred.square(), "mean", lengths=lengths)
    std = variance.sqrt().clamp(min=LEAST)
    return frames.with_values(centred / std[frames.sequence_ids])


def running(frames: Ragged) -> Ragged:
    """``(x − mean) / std`` with those of the last 1,000 frames up to x; of training data where fewer have come.

    ``[F, bins]`` of frames that are scaled by training data. It looks at nothing that follows, as a stream must.
    """
    first = frames.offsets[frames.sequence_ids]  # [F]
    return frames.with_values(running_from(frames.values, first))


class Running:
    """:func:`running` of one recording whose frames come piece by piece."""

    def __init__(self) -> None:
        self._last: Tensor | None = None

    def __call__(self, frames: Tensor) -> Tensor:
        """``[n, bins]`` → ``[n, bins]``, the next frames."""
        known = frames if self._last is None else torch.cat([self._last, frames])
        self._last = known[-(REACH - 1) :].clone()
        return running_from(known, known.new_zeros(len(known), dtype=torch.int64))[len(known) - len(frames) :]


class Whole:
    """:func:`utterance` of one recording whose frames come piece by piece, after all have come once.

    Arguments:
        pieces: of the whole recording, ``[n, bins]`` each.
    """

    def __init__(self, pieces: Iterable[Tensor]) -> None:
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for piece in pieces:
            exact = piece.double()
            count, total, squares = count + len(piece), total + exact.sum(0), squares + exact.square().sum(0)
        self.mean = total / count  # [bins]
        self.std = (squares / count - self.mean.square()).clamp(min=LEAST**2).sqrt()

    def __call__(self, frames: Tensor) -> Tensor:
        """``[n, bins]`` → ``[n, bins]``, the next frames."""
        return ((frames - self.mean) / self.std).float()


def running_from(frames: Tensor, first: Tensor) -> Tensor:
    """The same where the row with which each row's recording begins is told, ``[F]`` int64."""
    rows = torch.arange(len(frames), device=frames.device)
    since = torch.maximum(rows - REACH + 1, first)
    count = (rows + 1 - since)[:, None] + PRIOR
    mean = _sums(frames.double(), since) / count
    square = (_sums(frames.double().square(), since) + PRIOR) / count
    std = (square - mean.square()).clamp(min=LEAST**2).sqrt()
    return ((frames - mean) / std).float()


def _sums(x: Tensor, since: Tensor) -> Tensor:
    """Of the rows from ``since`` up to each."""
    sums = torch.cat([x.new_zeros(1, x.shape[1]), x.cumsum(0)])
    return sums[1:] - sums[since]
