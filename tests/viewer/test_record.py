"""Recording modules of PyTorch and our own: the weights that they give themselves, outputs that stay what they are."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import regard
from regard import ConfigError, Ragged
from regard.nn import MultiHeadAttention, Pooling, build_decoder, build_encoder

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")

PADDED = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def same(ours, theirs):
    torch.testing.assert_close(ours, theirs.to(ours.dtype), rtol=0, atol=1e-6)


def recorded(module, *inputs, example=0, **options):
    """What was recorded; the output is the same to the bit, with the same seed for what is dropped."""
    torch.manual_seed(1)
    plain = module(*inputs, **options)
    torch.manual_seed(1)
    with regard.record(module, example=example) as recording:
        output = module(*inputs, **options)
    for ours, theirs in zip(*(x if isinstance(x, tuple) else (x,) for x in (plain, output)), strict=True):
        ours, theirs = (x.values if isinstance(x, Ragged) else x for x in (ours, theirs))
        assert (ours is theirs is None) or torch.equal(ours, theirs)
    return recording


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("window", [None, 1, (2, None), (0, 3)])
def test_our_own_attention(window, training):
    attention = MultiHeadAttention(8, heads=4, key_heads=2, window=window, dropout=0.3).train(training)
    batch = Ragged.from_list([torch.randn(n, 8) for n in (3, 5, 0)])
    for example, length in enumerate((3, 5, 0)):
        layer = recorded(attention, batch, example=example)[0]
        wanted = attention.eval().attention_weights(batch).dense()[example]
        attention.train(training)
        assert (layer.name, layer.role) == ("MultiHeadAttention", "attention")
        same(layer.weights.dense()[0], wanted)
        if window in (1, (0, 3)):
            assert layer.weights.values.shape == (
                1,
                4,
                length,
                min(length, 3 if window == 1 else 4),
            )  # a band if smaller


def test_encoder_decoder_and_pooling():
    network = nn.ModuleDict(
        {
            "encoder": build_encoder("attention", dim=8, depth=2, heads=2, window=1),
            "decoder": build_decoder(dim=8, depth=1, heads=2),
            "pool": Pooling("query", dim=8, heads=4),
            "first": Pooling("first", dim=8),
        }
    )
    source, target = (Ragged.from_list([torch.randn(n, 8) for n in lengths]) for lengths in ((4, 6), (3, 2)))
    with regard.record(network, example=1) as recording:  # in another order than they have in the network
        network["first"](source)
        hidden = network["encoder"](source)
        network["pool"](hidden)
        network["decoder"](target, hidden)
    assert [(layer.name, layer.role, tuple(layer.weights.values.shape)) for layer in recording] == [
        ("encoder.layers.0.attention", "attention", (1, 2, 6, 3)),
        ("encoder.layers.1.attention", "attention", (1, 2, 6, 3)),
        ("decoder.layers.0.attention", "attention", (1, 2, 2, 2)),
        ("decoder.layers.0.cross_attention", "cross_attention", (1, 2, 2, 6)),
        ("pool", "pooling", (1, 4, 1, 6)),
        ("first", "pooling", (1, 1, 1, 6)),
    ]
    same(recording["pool"].weights.values[0, :, 0], network["pool"].attention_weights(hidden)[1])
    assert recording["first"].weights.values.flatten().tolist() == [1, 0, 0, 0, 0, 0]
    assert repr(recording) == "Recording(3 attention, 1 cross_attention, 2 pooling)"
    assert [layer.name for layer in recording.within("decoder")] == [layer.name for layer in recording[2:4]]
    with pytest.raises(KeyError, match=r"no attention is called 'pool.0'; there are encoder"):
        recording["pool.0"]


def test_what_our_decoder_writes_step_by_step_is_one_run():
    decoder, memory = build_decoder(dim=8, depth=2, heads=2).eval(), Ragged.from_list([torch.randn(4, 8)])
    x = torch.randn(5, 8)
    with regard.record(decoder) as whole:
        decoder(Ragged.from_list([x]), memory)
    with regard.record(decoder) as steps:
        cache = decoder.start(memory)
        decoder.extend(Ragged.from_list([x[:2]]), cache)
        for row in x[2:]:
            decoder.step(row[None], cache)
    assert len(steps.runs) == 1
    for ours, theirs in zip(steps, whole, strict=True):
        assert (ours.name, ours.role) == (theirs.name, theirs.role)
        same(ours.weights.dense(), theirs.weights.dense())


def test_images_with_windows_over_rows_and_columns():
    attention = MultiHeadAttention(8, heads=2, window=1, grid=True).eval()
    images = Ragged.from_grids([torch.randn(2, 3, 8), torch.randn(3, 4, 8)])
    layer = recorded(attention, images, example=1)[0]
    assert layer.weights.values.shape == (1, 2, 12, 12)
    same(layer.weights.values[0], attention.attention_weights(images).dense()[1])


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}], ids=str)
def test_multi_head_attention_of_pytorch(grad, batch_first, options):
    """The fast way, taken without gradients, and the other."""
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first, **options).eval()
    x = torch.randn(2, 6, 8) if batch_first else torch.randn(6, 2, 8)
    with torch.set_grad_enabled(grad):
        layer = recorded(attention, x, x, x, key_padding_mask=PADDED, example=1)[0]
        wanted = attention(x, x, x, key_padding_mask=PADDED, average_attn_weights=False)[1]
    assert layer.role == "attention"
    if not options or "bias" in options:
        same(layer.weights.dense(), wanted[1:, :, :4, :4])
    else:  # one key more, which is no vector of the sequence
        same(layer.weights.dense(), wanted[1:])


def test_multi_head_attention_to_others_and_of_one():
    attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=5, dropout=0.2)
    query, key, value = torch.randn(4, 3, 8), torch.randn(5, 3, 6), torch.randn(5, 3, 5)
    mask = torch.rand(6, 4, 5) < 0.3
    layer = recorded(attention, query, key, value, attn_mask=mask, example=2)[0]
    wanted = attention.eval()(query, key, value, attn_mask=mask, average_attn_weights=False)[1]
    assert (layer.role, attention.training) == ("cross_attention", False)
    same(layer.weights.dense(), wanted[2:])
    alone = nn.MultiheadAttention(8, 2)
    same(
        recorded(alone, *[query[:, 0]] * 3)[0].weights.dense()[0],
        alone(*[query[:, 0]] * 3, average_attn_weights=False)[1],
    )


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_transformer_encoders_of_pytorch(norm_first, grad, padded):
    """Without gradients a layer is one kernel, and padding is cut off before it; with others it is not."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
    encoder, x = nn.TransformerEncoder(layer, 2).eval(), torch.randn(2, 6, 8)
    padding = PADDED if padded else None
    with torch.set_grad_enabled(grad):
        found = recorded(encoder, x, src_key_padding_mask=padding, example=1)
    assert [layer.name for layer in found] == ["layers.0.self_attn", "layers.1.self_attn"]
    x = x[1:, :4] if padded else x[1:]
    for ours, layer in zip(found, encoder.layers, strict=True):
        y = layer.norm1(x) if norm_first else x
        same(ours.weights.dense(), layer.self_attn(y, y, y, average_attn_weights=False)[1])
        x = layer(x)


def test_the_fast_way_is_taken_while_it_is_recorded(monkeypatch):
    called = []
    kernel = torch._transformer_encoder_layer_fwd
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *args: called.append(1) or kernel(*args))
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad(), regard.record(layer) as recording:
        layer(torch.randn(1, 3, 8))
    assert (len(called), recording[0].name) == (1, "self_attn")


def test_decoder_layers_of_pytorch():
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    found = recorded(decoder, torch.randn(4, 1, 8), torch.randn(5, 1, 8), tgt_mask=mask, tgt_is_causal=True)
    assert [(layer.name, layer.role) for layer in found[:2]] == [
        ("layers.0.self_attn", "attention"),
        ("layers.0.multihead_attn", "cross_attention"),
    ]
    assert found[0].weights.dense()[0, 0].triu(1).abs().max() == 0
    assert found[1].weights.dense().shape == (1, 2, 4, 5)


class Calls(nn.Module):
    """Anybody's network: it calls a function."""

    def __init__(self, function, **options):
        super().__init__()
        self.function, self.options = function, options

    def forward(self, *inputs):
        return self.function(*inputs, **self.options)


def by_definition(query, key, mask=None, scale=None):
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    return (scores if mask is None else scores + mask).softmax(-1)


@pytest.mark.parametrize("form", ["bool", "float", "two axes", "causal", "none"])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_scaled_dot_product_attention_that_anybody_calls(form, key_heads):
    query, key = torch.randn(2, 4, 5, 8), torch.randn(2, key_heads, 5, 8)
    added = torch.zeros(2, 1, 5, 5).masked_fill(torch.rand(2, 1, 5, 5) < 0.4, -torch.inf)
    added.diagonal(dim1=2, dim2=3).zero_()
    causal = torch.full((5, 5), -torch.inf).triu(1)
    mask, wanted = {
        "bool": ({"attn_mask": added == 0}, added[1:]),
        "float": ({"attn_mask": added}, added[1:]),
        "two axes": ({"attn_mask": added[0, 0]}, added[0, 0]),
        "causal": ({"is_causal": True}, causal),
        "none": ({}, None),
    }[form]
    network = Calls(F.scaled_dot_product_attention, scale=0.3, enable_gqa=key_heads < 4, **mask)
    layer = recorded(network, query, key, key, example=1)[0]
    repeated = key.repeat_interleave(4 // key_heads, 1)
    same(layer.weights.dense(), by_definition(query[1:], repeated[1:], wanted, 0.3))


@pytest.mark.parametrize(
    ("leading", "mask"),
    [
        ((2, 3), (3, 5, 5)),  # of each head, for the whole batch
        ((1, 3), (3, 5, 5)),
        ((2, 3), (3, 1, 5)),
        ((2, 3), (1, 5, 5)),
        ((2, 3), (1, 5)),
        ((2,), (2, 5, 5)),  # without heads it is of each example
        ((2,), (1, 5, 5)),
        ((), (5, 5)),
        ((2, 2, 3), (3, 5, 5)),
        ((2, 2, 3), (2, 1, 5, 5)),
        ((2, 2, 3), (2, 2, 3, 5, 5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_bool", [False, True])
def test_masks_of_any_shape_are_those_that_pytorch_broadcasts(leading, mask, is_bool):
    """Values that are an identity give the weights as the output."""
    query, key = torch.randn(2, *leading, 5, 8)
    identity = torch.eye(5).expand(*leading, 5, 5)
    added = torch.randn(mask)
    given = (added > -0.5) | torch.eye(5, dtype=torch.bool)[: mask[-2]] if is_bool else added
    wanted = F.scaled_dot_product_attention(query, key, identity, attn_mask=given)
    wanted = wanted.flatten(0, -4) if len(leading) > 1 else wanted.view(-1, 1, 5, 5)
    example = len(wanted) - 1
    network = Calls(F.scaled_dot_product_attention, attn_mask=given)
    same(recorded(network, query, key, identity, example=example)[0].weights.dense(), wanted[example:])


def test_a_key_that_a_batch_shares():
    query, key = torch.randn(3, 2, 5, 8), torch.randn(1, 2, 5, 8)
    layer = recorded(Calls(F.scaled_dot_product_attention), query, key, key, example=2)[0]
    same(layer.weights.dense(), by_definition(query[2:], key))


def test_attend_and_the_older_functions():
    query, key = torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    mask = torch.tensor([[True] * 5, [False, True, True, True, False]])
    layer = recorded(Calls(regard.attend, key_mask=mask, normalizer="sigmoid", window=1), query, key, key, example=1)[0]
    assert layer.weights.values.shape == (1, 2, 3, 3)  # a band still
    wanted = regard.attention_weights(query, key, key_mask=mask, normalizer="sigmoid", window=1).dense()
    same(layer.weights.dense(), wanted[1:, :, 1:4, 1:4])
    x, weights = torch.randn(5, 2, 8), torch.randn(24, 8)
    rest = (8, 2, weights, None, None, None, False, 0.5, torch.randn(8, 8), None)
    found = recorded(Calls(F.multi_head_attention_forward), x, x, x, *rest, example=1)[0]
    wanted = F.multi_head_attention_forward(x, x, x, *rest, training=False, average_attn_weights=False)[1]
    same(found.weights.dense(), wanted[1:])


class WrittenByHand(nn.Module):
    def __init__(self, padding):
        super().__init__()
        self.padding, self.qkv = padding, nn.Linear(8, 24)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (y.unflatten(-1, (2, 4)).transpose(1, 2) for y in (q, k, v))
        scores = (q @ k.transpose(2, 3) / 2).masked_fill(self.padding[:, None, None], torch.finfo(q.dtype).min)
        return F.dropout(scores.softmax(-1), 0.5, self.training) @ v


class HandMadeAttention(WrittenByHand):
    pass


def test_attention_that_is_written_by_hand_is_known_by_its_name():
    for network in (nn.Sequential(HandMadeAttention(PADDED)), nn.ModuleDict({"attn": WrittenByHand(PADDED)})):
        part = next(network.children())
        with regard.record(network, example=1) as recording:
            part(x := torch.randn(2, 6, 8))
        q, k, _ = part.qkv(x[1, :4]).unflatten(-1, (3, 2, 4)).unbind(1)
        same(recording[0].weights.dense()[0], by_definition(q.transpose(0, 1), k.transpose(0, 1)).detach())
    assert not recorded(nn.Sequential(WrittenByHand(PADDED)), torch.randn(2, 6, 8))


class SelfAttention(nn.Module):
    """Its softmax is a module, as it is often written."""

    def __init__(self, softmax):
        super().__init__()
        self.num_heads, self.linear, self.softmax = 3, nn.Linear(4, 4), softmax

    def forward(self, x):
        return self.softmax(self.linear(x) @ x.transpose(-1, -2))


@pytest.mark.parametrize(
    "softmax",
    [
        lambda: nn.Softmax(dim=-1),
        lambda: nn.Sequential(nn.Identity(), nn.Softmax(dim=-1), nn.Dropout(0.0)),
        lambda: Calls(lambda scores: scores.softmax(-1)),
    ],
    ids=["softmax", "with others", "of their own"],
)
@pytest.mark.parametrize("name", ["sa", "attn"])
def test_a_softmax_that_is_a_module_is_that_of_the_attention_around_it(softmax, name):
    network = nn.ModuleDict({name: SelfAttention(softmax())})
    for scores in (torch.randn(2, 3, 5, 4), torch.randn(6, 5, 4)):  # [B, H, Q, D], and heads beside the batch
        with regard.record(network, example=1) as recording:
            wanted = network[name](scores)
        assert [(layer.name, layer.role) for layer in recording] == [(name, "attention")]
        same(recording[0].weights.dense()[0], wanted.view(2, 3, 5, 5)[1].detach())


def test_a_softmax_that_is_a_module_of_no_attention_is_none():
    network = nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=-1))
    assert not recorded(network, torch.randn(2, 3, 5, 4))


class WithOtherAxes(nn.Module):
    """As Longformer's: ``[B, N, H, W]``."""

    num_heads = 2

    def forward(self, scores):
        return scores.softmax(-1)


def test_axes_that_are_not_those_of_heads_are_not_guessed():
    network = nn.ModuleDict({"attention": WithOtherAxes()})
    with regard.record(network) as recording:
        network["attention"](torch.randn(1, 7, 2, 3))
    assert not recording
    scores = torch.randn(4, 5, 6)  # [B·H, Q, K]
    with regard.record(network, example=1) as recording:
        network["attention"](scores)
    same(recording[0].weights.dense()[0], scores[2:].softmax(-1))


def test_a_model_of_the_toolkit():
    tagger = regard.Labeler(front_end="words", dim=8, depth=1, heads=2, epochs=1, average=0.0, baselines="none")
    tagger.fit([(["a", "b"], ["X", "Y"])] * 4, dev=[(["a"], ["X"])])
    with regard.record(tagger) as recording:
        tagger.predict([["a", "b", "a"]])
    wanted = tagger.attention(["a", "b", "a"])
    same(recording["encoder.layers.0.attention"].weights.dense()[0], wanted[0])


def test_a_layer_that_runs_again_and_several_passes():
    shared = MultiHeadAttention(8, heads=2)
    network = nn.Sequential(shared, shared)
    lengths = (3, 4)
    with regard.record(network) as recording:
        for length in lengths:
            network(Ragged.from_list([torch.randn(length, 8)]))
    assert [layer.name for layer in recording] == ["0", "0#2"]
    assert [[layer.weights.values.shape[2] for layer in run] for run in recording.runs] == [[3, 3], [4, 4]]
    assert [layer.weights.values.shape[2] for layer in recording] == [4, 4]


def test_nothing_stays_behind_not_even_after_an_error():
    network = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1).eval()
    x = torch.randn(1, 3, 8)
    with regard.record(network) as recording:
        with pytest.raises(AssertionError, match="expecting embedding dimension of 8"):
            network(torch.randn(1, 3, 7))
        network(x)
    assert len(recording) == 1
    with pytest.raises(KeyError), regard.record(network):
        raise KeyError
    assert not nn.modules.module._has_any_global_hook()
    assert torch._C._len_torch_function_stack() == 0


def test_a_checkpoint_that_runs_again_for_its_gradient_is_recorded_once():
    attention = MultiHeadAttention(8, heads=2)
    network = Calls(lambda x: checkpoint(lambda x: attention(Ragged.from_list([x])).values, x, use_reentrant=False))
    network.attention = attention
    with regard.record(network) as recording:
        network(torch.randn(3, 8, requires_grad=True)).sum().backward()
    assert len(recording.runs) == 1


def test_what_was_compiled_is_recorded_as_it_was_written():
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    compiled = torch.compile(layer, backend="eager")
    x = torch.randn(1, 3, 8)
    compiled(x, x, x)
    with regard.record(compiled) as recording:
        compiled(x, x, x)
    assert recording[0].name == "MultiheadAttention"
    same(recording[0].weights.dense(), layer(x, x, x, average_attn_weights=False)[1].detach())


def test_half_precision_is_kept_as_float32_and_autocast_is_followed():
    query = torch.randn(1, 2, 4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        layer = recorded(Calls(F.scaled_dot_product_attention), query, query, query)[0]
    assert layer.weights.values.dtype == torch.float32
    rounded = query.bfloat16().float()
    torch.testing.assert_close(layer.weights.dense(), by_definition(rounded, rounded), rtol=1e-2, atol=1e-2)


def test_weights_that_would_fill_the_memory_are_left_out_with_a_reason(monkeypatch):
    monkeypatch.setattr("regard.viewer.listening.memory", lambda: 2 * 4 * 2 * 100 * 100)
    network, x = Calls(F.scaled_dot_product_attention), torch.randn(1, 2, 100, 4)
    with regard.record(network) as recording:
        network(x, x, x)
        network(x[..., :50, :], x, x)
    assert recording.runs[0][0].weights is not None
    assert recording[0].weights is None
    assert "2 heads of 50 × 100 weights take 0.0 GiB, more than there is; record a shorter" in recording[0].why


def test_an_example_that_is_not_there_ends_the_pass_and_no_more():
    attention, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(3, 4, 8)
    with regard.record(nn.Sequential(attention), example=2) as recording:
        with pytest.raises(ConfigError, match="example: there are 2 in the batch of '0', from 0; got 2"):
            attention(x[:2], x[:2], x[:2])
        attention(x, x, x)
    same(recording[0].weights.dense(), attention(x, x, x, average_attn_weights=False)[1][2:].detach())


def test_bad_choices_are_refused():
    network, x = Calls(F.scaled_dot_product_attention), torch.randn(2, 1, 3, 4)
    with pytest.raises(ConfigError, match="example: there are 2 in the batch of 'Calls', from 0; got 2"):  # noqa: SIM117
        with regard.record(network, example=2):
            network(x, x, x)
    with pytest.raises(ConfigError, match="example: it is counted from 0, got -1"), regard.record(network, example=-1):
        pass
    with pytest.raises(ConfigError, match=r"a torch.nn.Module is recorded, got str"), regard.record("bert"):
        pass


def test_of_an_empty_batch_there_is_no_example():
    attention, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.zeros(0, 4, 8)
    ours = MultiHeadAttention(8, heads=2)
    with regard.record(nn.ModuleList([attention, ours])) as recording:
        attention(x, x, x)
        ours(Ragged(x[:, 0], torch.zeros(1, dtype=torch.int64)))
    assert [(layer.weights, layer.why) for run in recording.runs for layer in run] == [
        (None, "its weights could not be computed: its batch is empty")
    ] * 2


def test_weights_go_with_their_recording():
    network = nn.MultiheadAttention(8, 2, batch_first=True)
    gc.disable()
    try:
        with regard.record(network) as recording:
            network(*[torch.randn(1, 3, 8)] * 3)
        weights = weakref.ref(recording[0].weights)
        assert weights() is not None
        del recording
        assert weights() is None
    finally:
        gc.enable()
