"""The mechanism: pure functions, no parameters."""

from regard.attention.api import attend, attention_weights, explain
from regard.attention.grid import GridBias, GridWeights, attend2d, attention_weights2d, explain2d
from regard.attention.spec import Additive, RelativeBias
from regard.attention.weights import AttentionWeights

__all__ = [
    "Additive",
    "AttentionWeights",
    "GridBias",
    "GridWeights",
    "RelativeBias",
    "attend",
    "attend2d",
    "attention_weights",
    "attention_weights2d",
    "explain",
    "explain2d",
]
