"""What is guessed of hidden items: tokens, words or numbers, as the front end takes text, words, or vectors and sound.

Each knows what was hidden, how good a guess is, and, of text, how a blank is filled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from regard.data.items import cut_into_words
from regard.errors import UnsupportedError
from regard.front_ends import FRONT_ENDS
from regard.front_ends.tokens import MASK
from regard.ragged import Ragged
from regard.tasks.pretrain.network import MaskedBatch

Guessed = tuple[Tensor, int, Tensor]  # the summed loss, how many were guessed, how many rightly
NEVER = -1  # the group of an item that is not hidden


class Truth(Protocol):
    """What is guessed; its front end is the network's own."""

    metric: str

    def outputs(self) -> int | None:
        """How many numbers a guess has; None where it is guessed by the front end's own table."""

    def batch(self, parts: Sequence[Any], *, whole_words: bool) -> MaskedBatch:
        """Sequences encoded, with what may be hidden together and what each item is."""

    def of(self, batch: MaskedBatch) -> Tensor:
        """What each item is, ``[T]`` or ``[T, C]``, on the device of the batch."""

    def guessed(self, scores: Tensor, truth: Tensor, *, label_smoothing: float) -> Guessed:
        """How good guesses are, ``[M, V]`` of ``[M]`` or ``[M, C]`` of ``[M, C]``."""

    def metrics(self, loss: float, count: int, right: float) -> dict[str, float]:
        """From the sums of all guesses."""

    def baseline(self, batches: Iterable[MaskedBatch]) -> dict[str, dict[str, float]]:
        """What always guessing the same scores."""

    def blanks(self, text: str) -> tuple[Any, Tensor]:
        """A text encoded, and which of its items are blanks ``[T]`` bool."""

    def barred(self) -> list[int]:
        """What no blank is filled with."""

    def name(self, number: int) -> str:
        """The guess of that number as text."""

    def fill(self, text: str, inputs: Any, numbers: Tensor) -> str:
        """The text with its blanks filled."""


def truth_for(kind: str, front_end: Any) -> Truth:
    """The truth that goes with a kind of front end."""
    truths: dict[str, type[Any]] = {"text": Tokens, "words": KnownWords, "vectors": Numbers, "recordings": Numbers}
    truth: Truth = truths[FRONT_ENDS[kind].items[0]](front_end)
    return truth


class Tokens:
    """The tokens of a text, never a special one."""

    metric = "accuracy"

    def __init__(self, front_end: Any) -> None:
        self.front_end = front_end

    def outputs(self) -> None:
        return None

    def batch(self, parts: Sequence[str], *, whole_words: bool) -> MaskedBatch:
        inputs = self.front_end.encode(parts)
        groups = self._words(parts) if whole_words else torch.arange(len(inputs.tokens))
        special = torch.tensor(self.barred())
        groups = groups.masked_fill(torch.isin(inputs.tokens, special), NEVER)
        return MaskedBatch(inputs, groups.numpy())

    def of(self, batch: MaskedBatch) -> Tensor:
        tokens: Tensor = batch.inputs.tokens
        return tokens

    def _words(self, texts: Sequence[str]) -> Tensor:
        """Which word each token belongs to, ``[T]``."""
        groups: list[int] = []
        for text in texts:
            first = max(groups, default=NEVER) + 1
            groups += [NEVER, *(first + word for word in self.front_end.word_numbers(text)), NEVER]
        return torch.tensor(groups, dtype=torch.int64)

    def guessed(self, scores: Tensor, truth: Tensor, *, label_smoothing: float) -> Guessed:
        return _classified(scores, truth, label_smoothing)

    def metrics(self, loss: float, count: int, right: float) -> dict[str, float]:
        return _shares(loss, count, right)

    def baseline(self, batches: Iterable[MaskedBatch]) -> dict[str, dict[str, float]]:
        return _most_frequent((self.of(batch).tolist() for batch in batches), set(self.barred()))

    def blanks(self, text: str) -> tuple[Any, Tensor]:
        inputs = self.front_end.encode([text.replace(MASK, self.front_end.blank)])
        return inputs, inputs.tokens == self.front_end.special[MASK]

    def barred(self) -> list[int]:
        return list(self.front_end.special.values())

    def name(self, number: int) -> str:
        return str(self.front_end.text([number])).strip()

    def fill(self, text: str, inputs: Any, numbers: Tensor) -> str:
        tokens = inputs.tokens.clone()
        tokens[tokens == self.front_end.special[MASK]] = numbers
        return str(self.front_end.text(tokens.tolist()))


class KnownWords:
    """The words that the front end knows."""

    metric = "accuracy"

    def __init__(self, front_end: Any) -> None:
        self.front_end = front_end

    def outputs(self) -> int:
        return len(self.front_end.known_words)

    def batch(self, parts: Sequence[Sequence[str]], *, whole_words: bool) -> MaskedBatch:
        known = torch.tensor(self.front_end.known_rows(chain.from_iterable(parts)), dtype=torch.int64)
        groups = torch.arange(len(known)).masked_fill(known < 0, NEVER)
        return MaskedBatch(self.front_end.encode(parts), groups.numpy(), known)

    def of(self, batch: MaskedBatch) -> Tensor:
        assert batch.words is not None
        return batch.words

    def guessed(self, scores: Tensor, truth: Tensor, *, label_smoothing: float) -> Guessed:
        return _classified(scores, truth, label_smoothing)

    def metrics(self, loss: float, count: int, right: float) -> dict[str, float]:
        return _shares(loss, count, right)

    def baseline(self, batches: Iterable[MaskedBatch]) -> dict[str, dict[str, float]]:
        return _most_frequent((self.of(batch).tolist() for batch in batches), {NEVER})

    def blanks(self, text: str) -> tuple[Any, Tensor]:
        words = cut_into_words(text, unbroken=MASK)
        return self.front_end.encode([words]), torch.tensor([word == MASK for word in words], dtype=torch.bool)

    def barred(self) -> list[int]:
        return []

    def name(self, number: int) -> str:
        return str(list(self.front_end.known_words)[number]).strip()

    def fill(self, text: str, inputs: Any, numbers: Tensor) -> str:
        for number in numbers.tolist():
            text = text.replace(MASK, self.name(number), 1)
        return text


class Numbers:
    """The numbers that a vector is made of, brought to one scale; neighbours may be hidden together."""

    metric = "explained"

    def __init__(self, front_end: Any) -> None:
        self.front_end = front_end

    def outputs(self) -> int:
        return int(self.front_end.size)

    def batch(self, parts: Sequence[Any], *, whole_words: bool) -> MaskedBatch:
        inputs = self.front_end.encode(parts)
        positions = np.concatenate([np.arange(length) for length in self.front_end.lengths(inputs)])
        begins = positions % self.front_end.span == 0  # [T], of those that are hidden together
        return MaskedBatch(inputs, begins.cumsum() - 1)

    def of(self, batch: MaskedBatch) -> Tensor:
        truth: Ragged = self.front_end.numbers(batch.inputs)
        return truth.values

    def guessed(self, scores: Tensor, truth: Tensor, *, label_smoothing: float) -> Guessed:
        """Of vectors the third is the sum of their squares."""
        loss = F.mse_loss(scores.float(), truth, reduction="sum") / truth.shape[1]
        return loss, len(truth), truth.square().mean(1).sum()

    def metrics(self, loss: float, count: int, right: float) -> dict[str, float]:
        return {"explained": 1 - loss / right if right > 0 else 0.0}

    def baseline(self, batches: Iterable[MaskedBatch]) -> dict[str, dict[str, float]]:
        return {"mean vector": {"explained": 0.0}}

    def blanks(self, text: str) -> tuple[Any, Tensor]:
        raise UnsupportedError("a model of vectors or sound reads no text with blanks to fill")

    def barred(self) -> list[int]:
        return []

    def name(self, number: int) -> str:
        raise UnsupportedError("a model of vectors or sound has no words to fill blanks with")

    def fill(self, text: str, inputs: Any, numbers: Tensor) -> str:
        raise UnsupportedError("a model of vectors or sound has no words to fill blanks with")


def _classified(scores: Tensor, truth: Tensor, label_smoothing: float) -> Guessed:
    loss = F.cross_entropy(scores.float(), truth, reduction="sum", label_smoothing=label_smoothing)
    return loss, len(truth), (scores.argmax(1) == truth).sum()


def _shares(loss: float, count: int, right: float) -> dict[str, float]:
    mean = torch.tensor(-loss / max(1, count))
    return {"accuracy": right / max(1, count), "likelihood": float(mean.exp())}


def _most_frequent(items: Iterable[list[int]], passed_over: set[int]) -> dict[str, dict[str, float]]:
    total = sum((Counter(rows) for rows in items), Counter[int]())
    counts = [count for row, count in total.items() if row not in passed_over]
    return {"most frequent": {"accuracy": max(counts, default=0) / max(1, sum(counts))}}
