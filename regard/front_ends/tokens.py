"""What the `subwords` and `characters` front ends share: special tokens, and sequences of tokens as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch

from regard.front_ends.inputs import TokenInputs
from regard.ragged import Ragged

PAD, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, UNKNOWN, START, END, MASK)  # the first rows of a table that is learned here


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
