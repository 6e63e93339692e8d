"""One vector for a sequence, beside PyTorch's own operations."""

import pytest
import torch
from torch.nn import functional as F

from regard import ConfigError, Ragged
from regard.nn import Pooling
from regard.nn.pooling import POOLINGS


def batch(*lengths):
    torch.manual_seed(0)
    return Ragged.from_list([torch.randn(length, 6) for length in lengths])


@pytest.mark.parametrize("kind", POOLINGS)
def test_each_sequence_by_itself(kind):
    torch.manual_seed(0)
    pool, sequences = Pooling(kind, dim=6, heads=2), batch(3, 1, 5)
    pooled = pool(sequences)
    for row, sequence in zip(pooled, sequences.unbind(), strict=True):
        if kind == "query":
            keys, values = pool.key(sequence).view(-1, 2, 3).transpose(0, 1), sequence.view(-1, 2, 3).transpose(0, 1)
            wanted = F.scaled_dot_product_attention(pool.query[:, None], keys, values).flatten()
        else:
            layers = {"bert": torch.tanh, "distilbert": F.relu, "electra": F.gelu}
            first = layers[kind](pool.dense(sequence[0])) if kind in layers else sequence[0]
            wanted = {"mean": sequence.mean(0), "max": sequence.max(0).values}.get(kind, first)
        torch.testing.assert_close(row, wanted)


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("lengths", [(0, 2), (2, 0), (0,)])
def test_an_empty_sequence_gives_zeros_and_finite_gradients(kind, lengths):
    sequences = batch(*lengths)
    vectors = sequences.values.requires_grad_()
    pooled = Pooling(kind, dim=6)(sequences.with_values(vectors))
    pooled.square().sum().backward()
    assert not pooled[lengths.index(0)].any()
    assert vectors.grad.isfinite().all()


def test_what_is_refused():
    with pytest.raises(ConfigError, match="one of query, mean, max, first, bert, distilbert, electra; got 'last'"):
        Pooling("last", dim=6)
    with pytest.raises(ConfigError, match="dim must be a multiple of heads, got dim 6 and 4 heads"):
        Pooling("query", dim=6, heads=4)


@pytest.mark.parametrize("kind", POOLINGS)
def test_autocast(kind):
    pooling = Pooling(kind, dim=8, heads=2)
    batch = Ragged.from_list([torch.randn(5, 8), torch.randn(3, 8)])
    with torch.autocast("cpu", torch.bfloat16):
        half = pooling(batch)
    torch.testing.assert_close(half.float(), pooling(batch), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("kind", POOLINGS)
def test_attention_weights_are_those_of_the_pooling(kind):
    torch.manual_seed(2)
    pool, batch = Pooling(kind, dim=6, heads=2), Ragged.from_list([torch.randn(4, 6), torch.randn(1, 6)])
    weights = pool.attention_weights(batch)
    assert [tuple(x.shape) for x in weights] == [(2 if kind == "query" else 1, length) for length in (4, 1)]
    for shares, x, pooled in zip(weights, batch.unbind(), pool(batch), strict=True):
        torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))
        if kind in ("query", "mean", "first"):
            heads = x.unflatten(1, (len(shares), -1))  # [N, H, D]
            torch.testing.assert_close(torch.einsum("hn,nhd->hd", shares, heads).flatten(), pooled)
        if kind == "max":
            assert torch.equal(shares[0] * 6, torch.stack([(x[n] == pooled).sum() for n in range(len(x))]).float())
