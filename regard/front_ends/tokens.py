"""What the `subwords` and `characters` front ends share: special tokens, and sequences of tokens as one batch."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from regard.ragged import Ragged, on_device

PAD, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, UNKNOWN, START, END, MASK)  # the first rows of a table that is learned here
ROBERTAS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")  # what they are called in RoBERTa, and in many others


def special_names(tokens: Container[str]) -> dict[str, str]:
    """What a tokenizer with these tokens calls the special ones: as here, or, where it has no such, as RoBERTa does."""
    robertas = dict(zip(SPECIAL, ROBERTAS, strict=True))
    is_berts = START in tokens and END in tokens
    is_robertas = robertas[START] in tokens and robertas[END] in tokens
    return robertas if is_robertas and not is_berts else {name: name for name in SPECIAL}


@dataclass(frozen=True, eq=False)
class TokenInputs:
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

    to = on_device


def join_texts(texts: Sequence[Sequence[int]], start: int, end: int) -> TokenInputs:
    """Texts as tokens, each between ``start`` and ``end``."""
    tokens = list(chain.from_iterable((start, *text, end) for text in texts))
    batch = Ragged.from_lengths(torch.tensor(tokens, dtype=torch.int64), [len(text) + 2 for text in texts])
    return TokenInputs(batch.values, batch.offsets)


def join_words(sentences: Sequence[Sequence[Sequence[int]]], start: int, end: int) -> TokenInputs:
    """Sentences of words, each as at least one token; where each word begins is kept.

    >>> joined = join_words([[[5], [6, 7]], [[8]]], start=2, end=3)
    >>> joined.tokens.tolist(), joined.firsts.tolist()
    ([2, 5, 6, 7, 3, 2, 8, 3], [1, 2, 6])
    """
    texts = [list(chain.from_iterable(sentence)) for sentence in sentences]
    joined = join_texts(texts, start, end)
    firsts, place = [], 0
    for sentence in sentences:
        place += 1
        for word in sentence:
            firsts.append(place)
            place += len(word)
        place += 1
    words = Ragged.from_lengths(torch.tensor(firsts, dtype=torch.int64), [len(sentence) for sentence in sentences])
    return TokenInputs(joined.tokens, joined.offsets, words.values, words.offsets)


class Joined:
    """Texts, and sentences of words as the texts that they make, as often as they are asked for."""

    def __init__(self, sequences: Iterable[str | Sequence[str]]) -> None:
        self.sequences = sequences

    def __iter__(self) -> Iterator[str]:
        return (text if isinstance(text, str) else " ".join(text) for text in self.sequences)
