"""One vector for each sequence, by which sequences are compared and searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from regard.data import Example
from regard.nn import Pooling
from regard.tasks import files, fitting
from regard.tasks.batches import in_batches
from regard.tasks.model import Model

Rows = Callable[[Any, int], Tensor]  # encoded sequences, and how many they are → [B, width]


def mean_vectors(model: Model, examples: Sequence[Example], *, normalize: bool) -> NDArray[np.float32]:
    """``[N, dim]``: of each sequence the mean of the vectors that the encoder makes of it; of length 1 if asked for.

    What is longer than `longest` items is read in windows, whose vectors are averaged.
    """
    network, config = model.network.eval(), model.config
    front_end, mean, longest = network.front_end, Pooling("mean", dim=config.dim), files.longest_window(config)
    for example in examples:
        files.check_windowed(config, example, front_end.count(example.items))
    windows = [windows_of(front_end, example.items, longest) for example in examples]
    rows = pooled(front_end, lambda inputs, _: mean(network.encoder(front_end(inputs))), windows, config.dim)
    return as_array(rows, normalize=normalize)


def as_array(rows: Tensor, *, normalize: bool) -> NDArray[np.float32]:
    """Rows as NumPy has them, each divided by its length if asked for."""
    array: NDArray[np.float32] = (F.normalize(rows, dim=1) if normalize else rows).numpy()
    return array


def windows_of(front_end: Any, items: Any, longest: int) -> list[Any]:
    """The items whole, or the windows in which they are read."""
    return [items] if front_end.count(items) <= longest else list(front_end.split(items, longest))


@torch.no_grad()
def pooled(front_end: Any, read: Rows, windows: Sequence[Sequence[Any]], width: int) -> Tensor:
    """``[N, width]`` on the CPU: what ``read`` makes of the windows of each sequence, their mean.

    One batch of windows after the other is held.
    """
    parts = [(number, window) for number, own in enumerate(windows) for window in own]
    owners = torch.tensor([number for number, _ in parts], dtype=torch.int64)
    sums, device = torch.zeros(len(windows), width), fitting.device_of(front_end)

    def rows_of(numbers: list[int]) -> Tensor:
        inputs = front_end.encode([parts[number][1] for number in numbers]).to(device)
        return read(inputs, len(numbers)).float().cpu()

    for numbers, rows in in_batches([front_end.count(window) for _, window in parts], device, rows_of):
        sums.index_add_(0, owners[numbers], rows)
    return sums / owners.bincount(minlength=len(windows))[:, None]
