"""A convolution is self-attention: one head for each offset of its kernel, and the way back.

Cordonnier, Loukas and Jaggi 2020, "On the Relationship between Self-Attention and Convolutional Layers".
"""

from regard.nn.convolution.attention import OffsetAttention
from regard.nn.convolution.convert import as_convolution, attention_from_convolution, with_attention

__all__ = ["OffsetAttention", "as_convolution", "attention_from_convolution", "with_attention"]
