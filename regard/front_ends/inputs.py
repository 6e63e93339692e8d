"""What front ends share: the words of a batch as integers, and moving them to a device."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class WordInputs:
    """Sentences as word types: each distinct word of the batch is described once and pointed to by its occurrences.

    Arguments:
        features: ``[U, F]`` int64, rows of the feature table for each of the U distinct words.
        characters: ``[C]`` int64, the characters of the distinct words laid end to end.
        character_offsets: ``[U+1]`` int64, where each distinct word's characters begin.
        occurrences: ``[T]`` int64, which distinct word stands at each place of the batch.
        offsets: ``[B+1]`` int64, where each sentence begins.
    """

    features: Tensor
    characters: Tensor
    character_offsets: Tensor
    occurrences: Tensor
    offsets: Tensor

    def to(self, device: torch.device | str) -> Self:
        return replace(self, **{field.name: getattr(self, field.name).to(device) for field in fields(self)})
