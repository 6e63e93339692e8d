"""Modules that own parameters; the mathematics is in `regard.attention`."""

from regard.nn.attention import MultiHeadAttention, attention_pooling
from regard.nn.build import build_decoder, build_encoder, set_window
from regard.nn.cache import Cache, Projected
from regard.nn.chunk import Chunk, Places
from regard.nn.class_token import ClassToken
from regard.nn.compared import NeighbourLayer, neighbours
from regard.nn.decoder import Decoder, DecoderLayer
from regard.nn.layers import Dropout, Encoder, EncoderLayer, FeedForward, Residual
from regard.nn.masked_head import MaskedHead
from regard.nn.pooling import Pooling
from regard.nn.positions import Alibi, Learned, Order, Relative, Rotary, Sinusoidal
from regard.nn.streaming import AttentionState, Buffer, LayerState, Streams

__all__ = [
    "Alibi",
    "AttentionState",
    "Buffer",
    "Cache",
    "Chunk",
    "ClassToken",
    "Decoder",
    "DecoderLayer",
    "Dropout",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "LayerState",
    "Learned",
    "MaskedHead",
    "MultiHeadAttention",
    "NeighbourLayer",
    "Order",
    "Places",
    "Pooling",
    "Projected",
    "Relative",
    "Residual",
    "Rotary",
    "Sinusoidal",
    "Streams",
    "attention_pooling",
    "build_decoder",
    "build_encoder",
    "neighbours",
    "set_window",
]
