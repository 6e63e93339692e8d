"""Modules that own parameters; the mathematics is in `regard.attention`."""

from regard.nn.attention import MultiHeadAttention, attention_pooling
from regard.nn.build import build_decoder, build_encoder, set_window
from regard.nn.cache import Cache, Projected
from regard.nn.chunk import Chunk, Places
from regard.nn.class_token import ClassToken
from regard.nn.compared import NeighbourLayer, neighbours, neighbours2d
from regard.nn.convolution import OffsetAttention, as_convolution, attention_from_convolution, with_attention
from regard.nn.decoder import Decoder, DecoderLayer
from regard.nn.layers import Dropout, Encoder, EncoderLayer, FeedForward, Residual
from regard.nn.masked_head import MaskedHead
from regard.nn.pooling import Pooling
from regard.nn.positions import Alibi, Learned, Order, Relative, Rotary, Sinusoidal
from regard.nn.positions2d import Alibi2d, Learned2d, Relative2d, Rotary2d, Sinusoidal2d
from regard.nn.streaming import AttentionState, Buffer, LayerState, Streams

__all__ = [
    "Alibi",
    "Alibi2d",
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
    "Learned2d",
    "MaskedHead",
    "MultiHeadAttention",
    "NeighbourLayer",
    "OffsetAttention",
    "Order",
    "Places",
    "Pooling",
    "Projected",
    "Relative",
    "Relative2d",
    "Residual",
    "Rotary",
    "Rotary2d",
    "Sinusoidal",
    "Sinusoidal2d",
    "Streams",
    "as_convolution",
    "attention_from_convolution",
    "attention_pooling",
    "build_decoder",
    "build_encoder",
    "neighbours",
    "neighbours2d",
    "set_window",
    "with_attention",
]
