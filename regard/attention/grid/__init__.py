"""Attention over images: windows over rows and columns."""

from regard.attention.grid.api import attend2d, attention_weights2d, explain2d
from regard.attention.grid.spec import GridBias
from regard.attention.grid.weights import GridWeights

__all__ = ["GridBias", "GridWeights", "attend2d", "attention_weights2d", "explain2d"]
