"""Front ends: raw items in, vectors out. Each has ``encode`` (items → integers or arrays), ``forward`` and ``vocabulary``."""

from regard.front_ends.vectors import Vectors
from regard.front_ends.words import Words

__all__ = ["Vectors", "Words"]
