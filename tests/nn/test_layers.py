import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_weights import OF_ENCODER, assert_same_gradients, scramble, torch_layer

from regard import ConfigError, Ragged
from regard.nn import Encoder, EncoderLayer, FeedForward, MultiHeadAttention, Residual
from regard.nn.layers import PIECE

DIM, LENGTHS = 12, (5, 1, 9)
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


def make_layer(norm, activation):
    feed_forward = FeedForward(DIM, 20, activation=ACTIVATIONS[activation])
    return scramble(EncoderLayer(MultiHeadAttention(DIM, heads=3), feed_forward, dim=DIM, norm=norm))


def batch():
    rows = torch.randn(sum(LENGTHS), DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Ragged.from_lengths(rows.requires_grad_(), LENGTHS)


def assert_moves_alike(output, expected, ours, theirs, x):
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    (by_input,) = torch.autograd.grad((expected * weights).sum(), [x], retain_graph=True)
    (expected * weights).sum().backward(inputs=list(theirs.parameters()))
    (output * weights).sum().backward()
    torch.testing.assert_close(x.grad, by_input)
    assert_same_gradients(ours, theirs, OF_ENCODER)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_layer_is_that_of_pytorch(norm, activation):
    ours, x = make_layer(norm, activation), batch()
    theirs = torch_layer(ours, DIM, activation)
    padded, real = x.to_padded()
    expected = theirs(padded, src_key_padding_mask=~real)[real]
    output = ours(x).values
    torch.testing.assert_close(output, expected)
    assert_moves_alike(output, expected, ours, theirs, x.values)


def test_the_stack_is_that_of_pytorch():
    layer, x = make_layer("pre", "gelu"), batch()
    ours = scramble(Encoder([layer, make_layer("pre", "gelu")], norm=nn.LayerNorm(DIM)))
    theirs = nn.TransformerEncoder(
        torch_layer(layer, DIM, "gelu"), 2, norm=nn.LayerNorm(DIM).double(), enable_nested_tensor=False
    )
    theirs.layers[1] = torch_layer(ours.layers[1], DIM, "gelu")
    theirs.norm.load_state_dict(ours.norm.state_dict())
    padded, real = x.to_padded()
    expected = theirs(padded, src_key_padding_mask=~real)[real]
    output = ours(x).values
    torch.testing.assert_close(output, expected)
    assert_moves_alike(output, expected, ours, theirs, x.values)


def test_an_unknown_norm_is_refused():
    with pytest.raises(ConfigError, match="norm must be one of pre, post; got 'rms'"):
        Residual(4, norm="rms")


@pytest.mark.parametrize("count", [PIECE, PIECE + 1, 3 * PIECE - 2])
def test_a_network_without_gradients_takes_pieces_and_gives_the_same(count):
    feed_forward, x = FeedForward(4, 32), torch.randn(count, 4)
    widest = []
    feed_forward.input.register_forward_hook(lambda _, given, made: widest.append(len(made)))
    with torch.no_grad():
        output = feed_forward(x)
    assert max(widest) <= PIECE
    assert sum(widest) == count
    torch.testing.assert_close(output, feed_forward(x))
