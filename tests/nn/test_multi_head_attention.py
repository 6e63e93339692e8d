import pytest
import torch
from torch_weights import scramble, torch_attention

from regard import ConfigError, Ragged
from regard.nn import MultiHeadAttention, Order, Rotary

DIM, LENGTHS, KEY_LENGTHS = 12, (5, 1, 9), (3, 7, 1)


def batch(lengths, seed=0, dim=DIM):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(sum(lengths), dim, generator=generator, dtype=torch.float64)
    return Ragged.from_lengths(rows.requires_grad_(), lengths)


def gradients(output, of):
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return torch.autograd.grad((output * weights).sum(), of)


@pytest.fixture
def attention():
    return scramble(MultiHeadAttention(DIM, heads=3))


@pytest.mark.parametrize("implementation", ["auto", "reference"])
@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_is_that_of_pytorch(implementation, causal):
    ours = scramble(MultiHeadAttention(DIM, heads=3, causal=causal, implementation=implementation))
    theirs, query = torch_attention(ours, DIM), batch(LENGTHS)
    padded, real = query.to_padded()
    future = torch.ones(9, 9, dtype=torch.bool).triu(1) if causal else None
    expected = theirs(padded, padded, padded, key_padding_mask=~real, attn_mask=future, need_weights=False)[0][real]
    output = ours(query).values
    torch.testing.assert_close(output, expected)

    mine = gradients(output, [query.values, ours.input.weight, ours.input.bias, ours.output.weight, ours.output.bias])
    wanted = [query.values, theirs.in_proj_weight, theirs.in_proj_bias, theirs.out_proj.weight, theirs.out_proj.bias]
    for got, want in zip(mine, gradients(expected, wanted), strict=True):
        torch.testing.assert_close(got, want)


def test_cross_attention_is_that_of_pytorch(attention):
    theirs, query, key = torch_attention(attention, DIM), batch(LENGTHS), batch(KEY_LENGTHS, seed=1)
    padded, real = query.to_padded()
    padded_key, real_key = key.to_padded()
    expected = theirs(padded, padded_key, padded_key, key_padding_mask=~real_key, need_weights=False)[0][real]
    output = attention(query, key)
    assert output.lengths.tolist() == list(LENGTHS)
    torch.testing.assert_close(output.values, expected)

    mine = gradients(output.values, [query.values, key.values, attention.input.weight, attention.input.bias])
    wanted = gradients(expected, [query.values, key.values, theirs.in_proj_weight, theirs.in_proj_bias])
    for got, want in zip(mine, wanted, strict=True):
        torch.testing.assert_close(got, want)


def test_weights_are_those_of_pytorch(attention):
    query, key = batch(LENGTHS), batch(KEY_LENGTHS, seed=1)
    padded, _ = query.to_padded()
    padded_key, real_key = key.to_padded()
    theirs = torch_attention(attention, DIM)
    expected = theirs(padded, padded_key, padded_key, key_padding_mask=~real_key, average_attn_weights=False)[1]
    for number, weights in enumerate(attention.attention_weights(query, key).dense()):
        rows, columns = LENGTHS[number], KEY_LENGTHS[number]
        torch.testing.assert_close(weights, expected[number, :, :rows, :columns])


def test_grouped_queries_are_heads_that_share_keys():
    grouped = scramble(MultiHeadAttention(DIM, heads=6, key_heads=2))
    whole = MultiHeadAttention(DIM, heads=6).double()
    with torch.no_grad():
        for whole_part, part in ((whole.input.weight, grouped.input.weight), (whole.input.bias, grouped.input.bias)):
            q, k, v = part.unflatten(0, (-1, 2)).split([6, 2, 2])
            whole_part.copy_(torch.cat([q, k.repeat_interleave(3, 0), v.repeat_interleave(3, 0)]).flatten(0, 1))
        whole.output.load_state_dict(grouped.output.state_dict())
    query, key = batch(LENGTHS), batch(KEY_LENGTHS, seed=1)
    torch.testing.assert_close(grouped(query).values, whole(query).values)
    torch.testing.assert_close(grouped(query, key).values, whole(query, key).values)


def test_additive_scores_follow_the_formula():
    attention = scramble(MultiHeadAttention(8, heads=2, head_dim=5, score="additive", bias=False))
    x = batch([4], dim=8)
    q, k, v = attention.input(x.values).view(4, 6, 5).transpose(0, 1).split(2)  # [H, N, D]
    scores = torch.einsum("hd,hqkd->hqk", attention.additive, torch.tanh(q[:, :, None] + k[:, None]))
    expected = attention.output((scores.softmax(-1) @ v).transpose(0, 1).flatten(1))
    torch.testing.assert_close(attention(x).values, expected)
    attention(x).values.sum().backward()
    assert attention.additive.grad.abs().min() > 0


def test_dropout_of_weights_is_for_training_only():
    attention = MultiHeadAttention(DIM, heads=3, dropout=0.5).double()
    x = batch(LENGTHS)
    attention.eval()
    assert torch.equal(attention(x).values, attention(x).values)
    attention.train()
    torch.manual_seed(1)
    first = attention(x).values
    assert not torch.equal(first, attention(x).values)
    torch.manual_seed(1)
    assert torch.equal(first, attention(x).values)


@pytest.mark.parametrize("rotation", [False, True])
def test_autocast_to_half_precision(rotation):
    attention = MultiHeadAttention(16, heads=2)
    x = Ragged.from_list([torch.randn(3, 16), torch.randn(6, 16)])
    order = next(iter(Rotary(8)(x))) if rotation else Order()
    with torch.autocast("cpu", torch.bfloat16):
        half = attention(x, order=order).values
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), attention(x, order=order).values, atol=0.03, rtol=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 5}, "dim must be a multiple of heads .* got dim 12 and 5 heads"),
        ({"heads": 6, "key_heads": 4}, "heads must be a multiple of key_heads.* got 6 and 4"),
        ({"heads": 0}, "at least 1; got 0 and 0"),
        ({"heads": 3, "score": "cosine"}, "score must be one of dot, additive; got 'cosine'"),
        ({"heads": 3, "normalizer": "max"}, "normalizer must be one of softmax, relu, sigmoid; got 'max'"),
        ({"heads": 3, "window": -1}, "window must be .*got -1"),
    ],
)
def test_choices_that_do_not_exist_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        MultiHeadAttention(DIM, **options)


def test_rotary_positions_are_refused_across_sequences(attention):
    query = batch(LENGTHS)
    with pytest.raises(ConfigError, match="rotary positions are for self-attention"):
        attention(query, batch(KEY_LENGTHS), next(iter(Rotary(4)(query))))
