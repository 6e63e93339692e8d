"""The mechanism: pure functions, no parameters."""

from regard.attention.api import attend, attention_weights, explain
from regard.attention.spec import Additive, RelativeBias
from regard.attention.weights import AttentionWeights

__all__ = ["Additive", "AttentionWeights", "RelativeBias", "attend", "attention_weights", "explain"]
