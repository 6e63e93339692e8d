"""The `characters` front end: `Symbols` whose units are characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from regard.front_ends import Options, symbols
from regard.front_ends.symbols import Symbols, restore

__all__ = ["learn", "restore"]


def learn(texts: Iterable[str | Sequence[str]], options: Options) -> Symbols:
    """With the characters of the training texts, or of sentences of words."""
    return symbols.learn(texts, options, unit="character")
