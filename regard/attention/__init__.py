"""The mechanism: pure functions, no parameters."""

from regard.attention.api import attend
from regard.attention.scores import Additive, RelativeBias

__all__ = ["Additive", "RelativeBias", "attend"]
