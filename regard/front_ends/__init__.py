"""Front ends: raw items in, vectors out. Each has ``encode`` (items → numbers), ``forward`` and ``vocabulary``."""

from regard.front_ends.symbols import Symbols
from regard.front_ends.vectors import Vectors
from regard.front_ends.words import Words

__all__ = ["Symbols", "Vectors", "Words"]
