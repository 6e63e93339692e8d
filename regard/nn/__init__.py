"""Modules that own parameters; the mathematics is in `regard.attention`."""

from regard.nn.attention import MultiHeadAttention
from regard.nn.build import build_encoder
from regard.nn.compared import NeighbourLayer, neighbours
from regard.nn.dropout import Dropout
from regard.nn.encoder import Encoder
from regard.nn.layers import EncoderLayer, FeedForward, Residual
from regard.nn.positions import Alibi, Learned, Order, Relative, Rotary, Sinusoidal

__all__ = [
    "Alibi",
    "Dropout",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "Learned",
    "MultiHeadAttention",
    "NeighbourLayer",
    "Order",
    "Relative",
    "Residual",
    "Rotary",
    "Sinusoidal",
    "build_encoder",
    "neighbours",
]
