"""What front ends make of raw items: a batch as integers, and moving it to a device."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class _Inputs:
    def to(self, device: torch.device | str) -> Self:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: part if part is None else part.to(device) for name, part in parts.items()})


@dataclass(frozen=True, eq=False)
class WordInputs(_Inputs):
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


@dataclass(frozen=True, eq=False)
class TokenInputs(_Inputs):
    """Texts, or sentences of words, as tokens: subwords or characters, between a token of start and one of end.

    Arguments:
        tokens: ``[T]`` int64, rows of the table of tokens.
        offsets: ``[B+1]`` int64, where each text begins.
        firsts: ``[W]`` int64, the place among all tokens of each word's first; None for texts, whose words are unknown.
        word_offsets: ``[B+1]`` int64, where each sentence begins, counted in words; None for texts.
        cases: ``[T]`` int64, how each token was written; None where the front end does not ask.
    """

    tokens: Tensor
    offsets: Tensor
    firsts: Tensor | None = None
    word_offsets: Tensor | None = None
    cases: Tensor | None = None


def windows(length: int, longest: int) -> list[tuple[int, int]]:
    """Parts of a sequence, of one size that is at most ``longest``; each overlaps the next by about a quarter.

    >>> windows(10, 4), windows(3, 4)
    ([(0, 4), (3, 7), (6, 10)], [(0, 3)])
    """
    if length <= longest:
        return [(0, length)]
    longest = max(1, longest)
    step = max(1, longest - longest // 4)
    count = 1 + -(-(length - longest) // step)
    starts = [round(number * (length - longest) / (count - 1)) for number in range(count)]
    return [(start, start + longest) for start in starts]
