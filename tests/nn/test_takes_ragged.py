"""Modules say in one line that they take a `Ragged`, to whoever brings what PyTorch's own modules take."""

import pytest
import torch
from torch import nn

from regard import Ragged, ShapeError
from regard.nn import (
    Alibi,
    Dropout,
    EncoderLayer,
    FeedForward,
    Learned,
    MaskedHead,
    MultiHeadAttention,
    NeighbourLayer,
    Pooling,
    Relative,
    Residual,
    Rotary,
    Sinusoidal,
    attention_pooling,
    build_decoder,
    build_encoder,
    neighbours,
)

X = torch.randn(2, 5, 8)
BATCH = Ragged.from_list([torch.randn(3, 8), torch.randn(5, 8)])
ATTENTION = MultiHeadAttention(8, heads=2)
DECODER = build_decoder(dim=8, depth=1, heads=2)
ENCODER = build_encoder("attention", dim=8, depth=1, heads=2, window=1)
TAKERS = {
    "MultiHeadAttention": (ATTENTION, "query"),
    "MultiHeadAttention.project": (ATTENTION.project, "key"),
    "MultiHeadAttention.attention_weights": (ATTENTION.attention_weights, "query"),
    "EncoderLayer": (EncoderLayer(ATTENTION, FeedForward(8, 8), dim=8), "batch"),
    "Encoder": (ENCODER, "batch"),
    "DecoderLayer": (DECODER.layers[0], "targets"),
    "Decoder": (DECODER, "targets"),
    "Decoder.start": (DECODER.start, "memory"),
    "NeighbourLayer": (NeighbourLayer(FeedForward(8, 8, input_dim=24), dim=8, left=1, right=1), "batch"),
    "Pooling": (Pooling("query", dim=8, heads=2), "batch"),
    "Sinusoidal": (Sinusoidal(), "batch"),
    "Learned": (Learned(8, length=9), "batch"),
    "Relative": (Relative(1, 2, left=1, right=1), "batch"),
    "Alibi": (Alibi(2), "batch"),
    "Rotary": (Rotary(4), "batch"),
}


def refused(call):
    with pytest.raises(ShapeError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert "regard.Ragged" in message
    assert "make one with Ragged.from_padded(x, mask)" in message
    assert "Ragged.from_list" in message
    return message


@pytest.mark.parametrize("name", TAKERS)
@pytest.mark.parametrize(
    ("given", "got"),
    [
        (X, "a tensor of shape [2, 5, 8]"),
        (X[0], "a tensor of shape [5, 8]"),
        (list(X), "list"),
        ((BATCH.values, BATCH.offsets), "tuple"),
        (X.numpy(), "ndarray"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_ragged(name, given, got):
    taker, argument = TAKERS[name]
    others = [given] if name in ("DecoderLayer", "Decoder") else []
    message = refused(lambda: taker(given, *others))
    assert message.startswith(f"{name} takes {argument} as a regard.Ragged, ")
    assert f"; got {got}; " in message


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_nested_tensors(layout):
    nested = torch.nested.nested_tensor([torch.randn(3, 8), torch.randn(5, 8)], layout=layout)
    assert "; got a nested tensor of 2; " in refused(lambda: ATTENTION(nested))
    assert torch.equal(Ragged.from_list(nested.unbind()).lengths, torch.tensor([3, 5]))  # what it advises


def test_the_arguments_of_pytorchs_own_attention():
    mask = torch.zeros(2, 5, dtype=torch.bool)
    nn.MultiheadAttention(8, 2, batch_first=True)(X, X, X, key_padding_mask=mask)
    assert refused(lambda: ATTENTION(X, X, X)).startswith("MultiHeadAttention takes query as")
    assert refused(lambda: ATTENTION(query=X, key=X, value=X)).startswith("MultiHeadAttention takes query as")
    assert refused(lambda: ATTENTION(BATCH, X)).startswith("MultiHeadAttention takes key as")
    for call in (lambda: ATTENTION(BATCH, BATCH, BATCH), lambda: ATTENTION(BATCH, BATCH, value=BATCH)):
        assert "and no " in refused(call)
        assert "and no order" not in refused(call)
        assert "values are made of the key" in refused(call)
    for name in ("key_padding_mask", "attn_mask", "need_weights", "is_causal"):
        message = refused(lambda name=name: ATTENTION(BATCH, **{name: mask}))
        assert message.startswith(
            f"MultiHeadAttention takes query, key, order and no {name}, got a tensor of shape [2, 5]"
        )
    assert "no src_key_padding_mask" in refused(lambda: ENCODER(BATCH, src_key_padding_mask=mask))
    assert "takes batch and no more" in refused(lambda: ENCODER(BATCH, mask))
    assert "memory as a regard.Ragged" in refused(lambda: DECODER(BATCH, X))


def test_streams_and_functions():
    streams = ENCODER.start(2)
    assert refused(lambda: ENCODER.extend(X, streams)).startswith("Encoder.extend takes vectors as")
    cache = DECODER.start(BATCH)
    assert refused(lambda: DECODER.extend(X, cache)).startswith("Decoder.extend takes targets as")
    assert refused(lambda: neighbours(X, left=1, right=1)).startswith("neighbours takes batch as")


def test_what_is_a_ragged_goes_through_compiled_too():
    torch.compiler.reset()

    def encode(values, offsets):
        return ENCODER(Ragged(values, offsets)).values

    compiled = torch.compile(encode, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(BATCH.values, BATCH.offsets), ENCODER(BATCH).values)


OF_VECTORS = {
    "Dropout": (Dropout(0.5), ()),
    "FeedForward": (FeedForward(8, 8), ()),
    "Residual": (Residual(8), (lambda x: x,)),
    "MaskedHead": (MaskedHead(8, tokens=5), (torch.randn(5, 8),)),
    "attention_pooling": (attention_pooling, (X[0], X[0], torch.tensor([0, 5]))),
}


@pytest.mark.parametrize("name", OF_VECTORS)
@pytest.mark.parametrize("given", [(X,), [X], X.numpy(), None, BATCH, [[0.0] * 8]])
def test_what_is_no_tensor(name, given):
    taker, others = OF_VECTORS[name]
    with pytest.raises(ShapeError) as error:
        taker(given, *others)
    argument = "query" if name == "attention_pooling" else "x"
    assert str(error.value) == (
        f"{name} takes {argument} as a tensor; got {type(given).__name__}; of a regard.Ragged take batch.values, "
        "of lists and arrays torch.as_tensor(x, dtype=torch.float32)"
    )


@pytest.mark.parametrize("name", OF_VECTORS)
def test_modules_of_vectors_have_no_masks(name):
    taker, others = OF_VECTORS[name]
    for call in (
        lambda: taker(X[0], *others, key_padding_mask=X),
        lambda: taker(X[0], *others, *("more" for _ in range(5))),
    ):
        with pytest.raises(ShapeError, match=rf"^{name} takes .* and no (key_padding_mask|more); .* take batch.values"):
            call()
