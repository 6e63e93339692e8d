"""The `words` front end: a vector for every word from its form, its parts, its shape and its characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from regard.front_ends import Options
from regard.front_ends.stored import are_counts, are_names, check_vocabulary
from regard.front_ends.windows import windows
from regard.nn import Dropout, attention_pooling, build_encoder
from regard.ragged import Ragged, offsets_of, on_device

UNKNOWN = 0  # in every table: what was not seen often enough in training
CHARACTER_REACH = 12  # positions told apart from either end of a word
LONGEST_WORD = 40  # characters read of a longer word: the first and last 20


def word_parts(word: str) -> tuple[str, ...]:
    """The features of a word, each under a name of its own so that "ed" the word and "-ed" the suffix differ.

    >>> word_parts("Walked")
    ('w:Walked', 'l:walked', 'p1:w', 'p2:wa', 'p3:wal', 's1:d', 's2:ed', 's3:ked', 's4:lked', 'x:Xx')
    """
    lower = word.lower()
    return (
        "w:" + word,
        "l:" + lower,
        *(f"p{n}:{lower[:n]}" for n in (1, 2, 3)),
        *(f"s{n}:{lower[-n:]}" for n in (1, 2, 3, 4)),
        "x:" + word_shape(word),
    )


def word_shape(word: str) -> str:
    """Upper case as X, lower case as x, digits as 9, the rest as it is; runs become one.

    >>> word_shape("McDonald's"), word_shape("1999-2000")
    ("XxXx'x", '9-9')
    """
    shape: list[str] = []
    for character in word:
        mark = "X" if character.isupper() else "x" if character.isalpha() else "9" if character.isdigit() else character
        if not shape or shape[-1] != mark:
            shape.append(mark)
    return "".join(shape[:10])


FEATURES = len(word_parts(""))  # of every word


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

    to = on_device


class Words(nn.Module):
    """Words → vectors ``[T, dim]``: a sum of learned feature vectors beside a self-attention encoder over characters.

    ``x(word) = norm(P [ Σ_f E[f(word)] ; pool(encoder(characters)) ])`` with the features of :func:`word_parts`.
    Features rarer than ``min_count`` share one vector. In training a rare feature is dropped at random, with chance
    ``rarity / (rarity + count)``, so that the vector of the unknown is learned too.

    Arguments:
        features: every known feature and its count in training, in table order from 1.
        characters: every known character, in table order from 1.
        dim: width of the vectors out.
        dropout: in the character encoder and on the vectors out.
    """

    masked_as = "words"
    drop_chance: Tensor

    def __init__(
        self,
        features: dict[str, int],
        characters: Sequence[str],
        *,
        dim: int,
        dropout: float = 0.0,
        feature_dim: int = 128,
        character_dim: int = 64,
        rarity: float = 0.5,
        implementation: str = "auto",
    ) -> None:
        super().__init__()
        self.feature_counts, self.characters = features, list(characters)
        self._feature_rows = {name: row for row, name in enumerate(features, start=1)}
        self._character_rows = {character: row for row, character in enumerate(characters, start=1)}
        self._known: dict[str, tuple[list[int], list[int]]] = {}  # words met so far
        self.implementation = implementation

        self.features = nn.EmbeddingBag(len(features) + 1, feature_dim, mode="sum")
        nn.init.normal_(self.features.weight, std=0.3)
        counts = np.array([0, *features.values()], dtype=np.float32)
        self.register_buffer("drop_chance", torch.from_numpy(rarity / (rarity + counts)), persistent=False)

        self.character = nn.Embedding(len(self.characters) + 1, character_dim)
        self.from_start = nn.Embedding(CHARACTER_REACH + 1, character_dim)
        self.from_end = nn.Embedding(CHARACTER_REACH + 1, character_dim)
        self.character_encoder = build_encoder(
            "attention",
            dim=character_dim,
            depth=1,
            heads=4,
            positions="none",  # the two tables above tell the order, from both ends
            dropout=dropout / 3,
            implementation=implementation,
        )
        self.pool_query = nn.Parameter(torch.randn(4, character_dim // 4))
        self.project = nn.Linear(feature_dim + character_dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    @classmethod
    def from_sentences(cls, sentences: Iterable[Sequence[str]], *, min_count: int = 2, **options: Any) -> Self:
        """Counts features and characters in the training sentences and keeps those seen ``min_count`` times."""
        words = Counter(chain.from_iterable(sentences))
        features: Counter[str] = Counter()
        characters: Counter[str] = Counter()
        for word, count in words.items():
            for part in dict.fromkeys(word_parts(word)):
                features[part] += count
            for character in word:
                characters[character] += count
        return cls(
            {name: count for name, count in sorted(features.items()) if count >= min_count},
            sorted(character for character, count in characters.items() if count >= min_count),
            **options,
        )

    @cached_property
    def known_words(self) -> dict[str, int]:
        """The words that have a feature of their own, numbered."""
        words = [name[2:] for name in self.feature_counts if name.startswith("w:")]
        return {word: number for number, word in enumerate(words)}

    def known_rows(self, words: Iterable[str]) -> list[int]:
        """Their numbers, −1 for an unknown one."""
        return [self.known_words.get(word, -1) for word in words]

    def vocabulary(self) -> dict[str, Any]:
        """What :meth:`__init__` needs to build the same tables again, ready for JSON."""
        return {"features": self.feature_counts, "characters": self.characters}

    def count(self, sentence: Sequence[str]) -> int:
        """How many vectors a sentence becomes."""
        return len(sentence)

    def split(self, sentence: Sequence[str], longest: int) -> list[Sequence[str]]:
        """Overlapping parts of at most so many vectors."""
        return [sentence[start:stop] for start, stop in windows(len(sentence), longest)]

    def names(self, sentence: Sequence[str]) -> list[str]:
        """What each vector of a sentence stands for."""
        return list(sentence)

    def encode(self, sentences: Sequence[Sequence[str]]) -> WordInputs:
        """Sentences of words as integers, on the CPU."""
        places: dict[str, int] = {}
        occurrences = [places.setdefault(word, len(places)) for sentence in sentences for word in sentence]
        rows = [self._known.get(word) or self._remember(word) for word in places]
        by_length = sorted(range(len(rows)), key=lambda place: len(rows[place][1]))  # cheaper to attend over
        rows = [rows[place] for place in by_length]
        row_of = {place: row for row, place in enumerate(by_length)}
        return WordInputs(
            features=torch.tensor([features for features, _ in rows], dtype=torch.int64).view(-1, FEATURES),
            characters=torch.tensor(list(chain.from_iterable(spelling for _, spelling in rows)), dtype=torch.int64),
            character_offsets=offsets_of([len(spelling) for _, spelling in rows]),
            occurrences=torch.tensor([row_of[place] for place in occurrences], dtype=torch.int64),
            offsets=offsets_of([len(sentence) for sentence in sentences]),
        )

    def _remember(self, word: str) -> tuple[list[int], list[int]]:
        if len(self._known) > 200_000:  # a stream of new words must not fill the memory
            self._known.clear()
        half = LONGEST_WORD // 2
        spelling = word if len(word) <= LONGEST_WORD else word[:half] + word[-half:]
        entry = (
            [self._feature_rows.get(part, UNKNOWN) for part in word_parts(word)],
            [self._character_rows.get(character, UNKNOWN) for character in spelling],
        )
        self._known[word] = entry
        return entry

    def forward(self, inputs: WordInputs) -> Ragged:
        """``[T, dim]``, a vector for each word."""
        features = inputs.features  # [U, F]
        if self.training:
            drop = torch.rand(features.shape, device=features.device) < self.drop_chance[features]
            features = features.masked_fill(drop, UNKNOWN)
        types = torch.cat([self.features(features), self._spelled(inputs)], 1)  # [U, feature_dim + character_dim]
        types = self.norm(self.project(types))
        values = nn.functional.embedding(inputs.occurrences, types)  # [T, dim]
        return Ragged(self.dropout(values), inputs.offsets)

    def _spelled(self, inputs: WordInputs) -> Tensor:
        """A vector ``[U, character_dim]`` for every distinct word from its characters."""
        spellings = Ragged(inputs.characters, inputs.character_offsets)
        words, starts = spellings.sequence_ids, spellings.positions
        ends = spellings.lengths[words] - 1 - starts
        values = (
            self.character(inputs.characters)
            + self.from_start(starts.clamp(max=CHARACTER_REACH))
            + self.from_end(ends.clamp(max=CHARACTER_REACH))
        )
        keys = self.character_encoder(spellings.with_values(values)).values.unflatten(1, self.pool_query.shape)
        offsets, implementation = spellings.offsets, self.implementation
        return attention_pooling(self.pool_query, keys, keys, offsets, implementation=implementation)


def learn(sentences: Iterable[Sequence[str]], options: Options) -> Words:
    """With the features and characters of the training sentences."""
    return Words.from_sentences(
        sentences, dim=options.dim, dropout=options.dropout, implementation=options.implementation
    )


def restore(vocabulary: dict[str, Any], options: Options) -> Words:
    """With those of an earlier one."""
    check_vocabulary(
        vocabulary,
        features=("counts of features by name", are_counts),
        characters=("a list of different characters", are_names),
    )
    return Words(**vocabulary, dim=options.dim, dropout=options.dropout, implementation=options.implementation)
