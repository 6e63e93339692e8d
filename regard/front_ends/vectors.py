"""The `vectors` front end: arrays as they are, brought to one scale and to the network's width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.errors import ConfigError, DataError, ModelError
from regard.front_ends import Options
from regard.front_ends.stored import are_numbers, check_vocabulary
from regard.front_ends.windows import windows
from regard.nn import Dropout
from regard.ragged import Ragged, on_host

PIECE = 1000  # rows of a long array that are read at once


class Vectors(nn.Module):
    """Arrays ``[N, C]`` → vectors ``[T, dim]``: ``W (x − mean) / std + b``, mean and std over the training data.

    Arguments:
        mean, std: ``[C]`` each; a channel that never changes has std 1.
        dim: width of the vectors out.
        dropout: on the vectors out.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self.project = nn.Linear(len(mean), dim)
        self.dropout = Dropout(dropout)

    @classmethod
    def from_arrays(cls, arrays: Iterable[NDArray[Any]], **options: Any) -> Self:
        """Takes mean and deviation of each channel over all training arrays ``[N, C]``."""
        rows = np.concatenate([np.asarray(array, dtype=np.float64) for array in arrays])
        std = rows.std(0)
        return cls(rows.mean(0).tolist(), np.where(std > 0, std, 1.0).tolist(), **options)

    def vocabulary(self) -> dict[str, Any]:
        """What :meth:`__init__` needs to scale in the same way again, ready for JSON."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def count(self, array: NDArray[Any]) -> int:
        """How many vectors an array becomes."""
        return len(array)

    def split(self, array: NDArray[Any], longest: int) -> list[NDArray[Any]]:
        """Overlapping parts of at most so many vectors."""
        return [array[start:stop] for start, stop in windows(len(array), longest)]

    def names(self, array: NDArray[Any]) -> None:
        """Nothing, for vectors have places alone."""

    def encode(self, arrays: Sequence[NDArray[Any]]) -> Ragged:
        """Arrays as one batch of float32 rows, on the CPU."""
        channels = len(self.mean)
        for array in arrays:
            if np.ndim(array) != 2 or np.shape(array)[1] != channels:
                raise DataError(f"arrays of shape [N, {channels}] as in training", f"shape {list(np.shape(array))}")
        return Ragged.from_list([torch.as_tensor(np.asarray(array, dtype=np.float32)) for array in arrays])

    span = 1  # vectors that a network is to guess together

    @property
    def size(self) -> int:
        """C."""
        return len(self.mean)

    def numbers(self, inputs: Ragged) -> Ragged:
        """``[T, C]``, what each vector is made of, brought to one scale."""
        return inputs.with_values((inputs.values - self.mean) / self.std)

    def lengths(self, inputs: Ragged) -> list[int]:
        """How many vectors each sequence has."""
        found: list[int] = on_host(inputs.offsets)[0].diff().tolist()
        return found

    def stream(self, rate: int | None = None) -> VectorStream:
        """What takes in the rows of an array piece by piece.

        Raises:
            ConfigError: a rate, which vectors do not have.
        """
        if rate is not None:
            raise ConfigError(f"rate: vectors come as they are, got {rate!r}; leave it out")
        return VectorStream(self)

    def pieces(self, array: NDArray[Any]) -> Iterator[Tensor]:
        """What :meth:`vectors` takes, ``[n, C]`` each time, of a long array."""
        return iter(torch.split(self.encode([array]).values.to(self.mean.device), PIECE))

    def forward(self, inputs: Ragged) -> Ragged:
        """``[T, dim]``, a vector for each row."""
        return inputs.with_values(self.vectors(inputs.values))

    def vectors(self, rows: Tensor) -> Tensor:
        """``[T, C]`` → ``[T, dim]``."""
        vectors: Tensor = self.dropout(self.project((rows - self.mean) / self.std))
        return vectors


class VectorStream:
    """An array that comes piece by piece, as the rows that :meth:`Vectors.vectors` takes."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def check(self, array: NDArray[Any] | None) -> Tensor:
        """Rows ``[n, C]``; None for nothing.

        Raises:
            DataError: another shape, or numbers that are not finite.
        """
        if array is None:
            return torch.empty(0, len(self._vectors.mean))
        rows = self._vectors.encode([array]).values
        if not rows.isfinite().all():
            raise DataError("finite numbers", "some that are not")
        return rows

    def push(self, array: NDArray[Any] | None) -> Tensor:
        """Takes in what :meth:`check` takes."""
        return self.check(array).to(self._vectors.mean.device)

    def close(self) -> Tensor:
        """``[0, C]``: none had to wait."""
        return self.push(None)


def learn(arrays: Iterable[NDArray[Any]], options: Options) -> Vectors:
    """With the mean and the deviation of the training arrays."""
    return Vectors.from_arrays(arrays, dim=options.dim, dropout=options.dropout)


def restore(vocabulary: dict[str, Any], options: Options) -> Vectors:
    """With those of an earlier one."""
    check_vocabulary(
        vocabulary,
        mean=("a list of numbers", are_numbers),
        std=("a list of numbers above 0", lambda std: are_numbers(std) and min(std) > 0),
    )
    if len(vocabulary["mean"]) != len(vocabulary["std"]):
        raise ModelError(f"mean has {len(vocabulary['mean'])} channels, std {len(vocabulary['std'])}")
    return Vectors(**vocabulary, dim=options.dim, dropout=options.dropout)
