"""The `characters` and `symbols` front ends: a learned vector for every character, or for every part between blanks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from torch import nn

from regard.errors import ConfigError
from regard.front_ends import Options
from regard.front_ends.stored import are_names, check_vocabulary
from regard.front_ends.tokens import END, MASK, SPECIAL, START, UNKNOWN, Joined, TokenInputs, join_texts, join_words
from regard.front_ends.windows import windows
from regard.nn import Dropout
from regard.ragged import Ragged

BETWEEN = {"character": "", "symbol": " "}  # what stands between two units of a text


class Symbols(nn.Module):
    """Text → vectors ``[T, dim]``, one for each unit, one for its start and one for its end.

    Units are characters, blanks too, or the symbols between blanks, such as phonemes. Of a sentence of words the
    characters are those of the words with a blank after each.

    Arguments:
        units: those known, in table order after the special tokens.
        unit: "character" or "symbol".
        dim: width of the vectors out.
        dropout: on the vectors out.
        lowercase: read everything in lower case.

    Raises:
        ConfigError: any other ``unit``.
    """

    blank = MASK

    def __init__(
        self, units: Sequence[str], *, unit: str, dim: int, dropout: float = 0.0, lowercase: bool = False
    ) -> None:
        super().__init__()
        if unit not in BETWEEN:
            raise ConfigError(f"unit must be one of {', '.join(BETWEEN)}; got {unit!r}")
        self.units, self.unit, self.lowercase = list(units), unit, lowercase
        self._names = (*SPECIAL, *self.units)
        self._rows = {name: row for row, name in enumerate(self._names)}
        self.special = {name: self._rows[name] for name in SPECIAL}
        self.embedding = nn.Embedding(len(self._names), dim)
        self.dropout = Dropout(dropout)

    @classmethod
    def learn(
        cls, texts: Iterable[str], *, unit: str, min_count: int = 2, lowercase: bool = False, **options: Any
    ) -> Self:
        """Keeps the units that the training texts have ``min_count`` times."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_cut(text.lower() if lowercase else text, unit))
        known = sorted(name for name, count in counts.items() if count >= min_count)
        return cls(known, unit=unit, lowercase=lowercase, **options)

    def vocabulary(self) -> dict[str, Any]:
        """What :meth:`__init__` needs to build the same table again, ready for JSON."""
        return {"units": self.units, "unit": self.unit, "lowercase": self.lowercase}

    def tokens(self, text: str) -> list[int]:
        """Rows of the table for a text.

        >>> Symbols(["a", "b"], unit="character", dim=4).tokens("abc")
        [5, 6, 1]
        >>> Symbols(["AH", "B"], unit="symbol", dim=4).tokens("B AH B")
        [6, 5, 6]
        """
        unknown = self.special[UNKNOWN]
        if MASK in text:  # a blank to fill
            parts = [self.tokens(part.strip(" ") if self.unit == "symbol" else part) for part in text.split(MASK)]
            return parts[0] + [token for part in parts[1:] for token in (self.special[MASK], *part)]
        return [self._rows.get(name, unknown) for name in _cut(text.lower() if self.lowercase else text, self.unit)]

    def text(self, tokens: Iterable[int]) -> str:
        """The text that tokens stand for; special ones are left out."""
        return BETWEEN[self.unit].join(self._names[token] for token in tokens if token >= len(SPECIAL))

    def word_numbers(self, text: str) -> list[int]:
        """For each unit of a text which word it belongs to."""
        if self.unit == "symbol":
            return list(range(len(_cut(text, self.unit))))
        return [text[:place].count(" ") for place in range(len(text))]

    def count(self, sequence: str | Sequence[str]) -> int:
        """How many vectors a text becomes."""
        if isinstance(sequence, str):
            return 2 + len(self.tokens(sequence))
        return 2 + len(_cut(" ".join(sequence) + " ", self.unit))

    def split(self, text: str, longest: int) -> list[str]:
        """Overlapping parts of at most so many vectors."""
        units = _cut(text, self.unit)
        return [BETWEEN[self.unit].join(units[start:stop]) for start, stop in windows(len(units), longest - 2)]

    def names(self, sequence: str | Sequence[str]) -> list[str]:
        """What each vector of a text stands for."""
        return [self._names[row] for row in self.encode([sequence]).tokens.tolist()]

    def encode(self, sequences: Sequence[str | Sequence[str]]) -> TokenInputs:
        """Texts, or sentences of words, as integers, on the CPU."""
        start, end = self.special[START], self.special[END]
        if any(isinstance(sequence, str) for sequence in sequences):
            return join_texts([self.tokens(str(text)) for text in sequences], start, end)
        sentences = [[self.tokens(word + " ") for word in sentence] for sentence in sequences]
        return join_words(sentences, start, end)

    def forward(self, inputs: TokenInputs) -> Ragged:
        """``[T, dim]``, a vector for each token."""
        return Ragged(self.dropout(self.embedding(inputs.tokens)), inputs.offsets)


def _cut(text: str, unit: str) -> Sequence[str]:
    return text if unit == "character" else text.split()


def learn(texts: Iterable[str | Sequence[str]], options: Options, *, unit: str = "symbol") -> Symbols:
    """With the units of the training texts, or of sentences of words."""
    joined = Joined(texts)
    return Symbols.learn(joined, unit=unit, lowercase=options.lowercase, dim=options.dim, dropout=options.dropout)


def _are_units(value: Any) -> bool:
    return are_names(value) and not set(SPECIAL) & set(value)


def restore(vocabulary: dict[str, Any], options: Options) -> Symbols:
    """With those of an earlier one."""
    check_vocabulary(
        vocabulary,
        units=("a list of different texts, none of them special", _are_units),
        unit=(f"one of {', '.join(BETWEEN)}", lambda unit: unit in tuple(BETWEEN)),
        lowercase=("true or false", lambda lowercase: isinstance(lowercase, bool)),
    )
    return Symbols(**vocabulary, dim=options.dim, dropout=options.dropout)
