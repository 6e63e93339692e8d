"""`reference`, the oracle of the other tests, against PyTorch and against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

import regard
from attention.tolerances import assert_near

LN2 = math.log(2)


def column(*numbers: float) -> Tensor:
    """One sequence, one head, vectors of one number: ``[1, 1, N, 1]``."""
    return torch.tensor(numbers, dtype=torch.float64).view(1, 1, -1, 1)


@pytest.mark.parametrize(
    ("normalizer", "weights", "output"),
    [
        # Scores 0 and ln 2. softmax: e^0 : e^ln2 = 1 : 2, so 1/3 and 2/3, and 3/3 + 6·2/3 = 5.
        ("softmax", (1 / 3, 2 / 3), 5.0),
        # relu(s)/n with n = 2: 0 and (ln 2)/2, and 6·(ln 2)/2 = 3 ln 2.
        ("relu", (0.0, LN2 / 2), 3 * LN2),
        # sigmoid(s − ln 2): 1/(1 + e^ln2) = 1/3 and sigmoid(0) = 1/2, and 3/3 + 6/2 = 4.
        ("sigmoid", (1 / 3, 1 / 2), 4.0),
    ],
)
def test_two_keys_by_hand(normalizer: str, weights: tuple[float, float], output: float) -> None:
    query, key, value = column(1), column(0, LN2), column(3, 6)  # D = 1: the scale is 1
    options = {"normalizer": normalizer, "implementation": "reference"}
    assert_near(regard.attend(query, key, value, **options), column(output), torch.float64)
    dense = regard.attention_weights(query, key, **options).dense()
    assert_near(dense, column(*weights).mT, torch.float64)


@pytest.mark.parametrize(
    ("normalizer", "output"),
    [
        # The third key is hidden, so n stays 2 and nothing of it counts: as above.
        ("softmax", 5.0),
        ("relu", 3 * LN2),
        ("sigmoid", 4.0),
    ],
)
def test_a_hidden_key_does_not_count(normalizer: str, output: float) -> None:
    query, key, value = column(1), column(0, LN2, 7), column(3, 6, 100)
    options = {"normalizer": normalizer, "implementation": "reference"}
    exact = column(output)
    mask = torch.tensor([[True, True, False]])
    assert_near(regard.attend(query, key, value, key_mask=mask, **options), exact, torch.float64)
    bias = torch.tensor([0, 0, -math.inf], dtype=torch.float64)
    assert_near(regard.attend(query, key, value, bias=bias, **options), exact, torch.float64)
    assert_near(regard.attend(query, key, value, window=(0, 1), **options), exact, torch.float64)
    table = regard.RelativeBias(torch.tensor([[0, 0, -math.inf]], dtype=torch.float64), left=0)
    assert_near(regard.attend(query, key, value, bias=table, **options), exact, torch.float64)


def test_additive_score_by_hand() -> None:
    # tanh(x) = (e^2x − 1)/(e^2x + 1): tanh(ln √3) = (3 − 1)/(3 + 1) = 1/2, tanh(ln √2) = (2 − 1)/(2 + 1) = 1/3.
    root3, root2 = math.log(3) / 2, math.log(2) / 2
    query = torch.tensor([[0.0, root2]], dtype=torch.float64)[None, None]
    key = torch.tensor([[root3, 0.0], [0.0, -2 * root2]], dtype=torch.float64)[None, None]
    weight = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    # First key: 2·tanh(ln √3) − 3·tanh(ln √2) = 1 − 1 = 0. Second: 2·tanh(0) − 3·tanh(−ln √2) = 0 + 1 = 1.
    options = {"score": regard.Additive(weight), "implementation": "reference"}
    weights = regard.attention_weights(query, key, **options).dense()
    assert_near(weights, column(1 / (1 + math.e), math.e / (1 + math.e)).mT, torch.float64)
    # relu with n = 2: (0, 1/2); the output is half of the second value.
    output = regard.attend(query, key, column(4, 8), normalizer="relu", **options)
    assert_near(output, column(4), torch.float64)


def test_windows_by_hand() -> None:
    # All scores are 0, so that each query takes the mean of the values 0, 1, 2, 3, 4 that it sees.
    zero, value = column(0, 0, 0, 0, 0), column(0, 1, 2, 3, 4)

    def mean(**options: object) -> list[float]:
        return regard.attend(zero, zero, value, implementation="reference", **options).flatten().tolist()

    assert mean() == [2, 2, 2, 2, 2]
    assert mean(window=0) == [0, 1, 2, 3, 4]
    assert mean(window=1) == [0.5, 1, 2, 3, 3.5]
    assert mean(window=(2, 0)) == mean(window=2, causal=True) == [0, 0.5, 1, 2, 3]
    assert mean(window=(0, None)) == [2, 2.5, 3, 3.5, 4]
    assert mean(causal=True) == mean(window=(None, 0)) == [0, 0.5, 1, 1.5, 2]
    assert mean(window=1, query_start=2) == [2, 3, 3.5, 4, 0]  # the last stands at 6 and sees nothing


def test_relative_bias_by_hand() -> None:
    # The table reaches from −1 to +1; further keys take its end entries.
    table = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    zero = column(0, 0, 0, 0)
    bias = torch.tensor([[2, 3, 3, 3], [1, 2, 3, 3], [1, 1, 2, 3], [1, 1, 1, 2]], dtype=torch.float64)
    weights = regard.attention_weights(zero, zero, bias=regard.RelativeBias(table), implementation="reference")
    assert_near(weights.dense()[0, 0], bias.softmax(-1), torch.float64)
    ahead = regard.RelativeBias(table, left=0)  # from 0 to +2
    bias = torch.tensor([[1, 2, 3, 3], [1, 1, 2, 3], [1, 1, 1, 2], [1, 1, 1, 1]], dtype=torch.float64)
    weights = regard.attention_weights(zero, zero, bias=ahead, implementation="reference")
    assert_near(weights.dense()[0, 0], bias.softmax(-1), torch.float64)


def _same(ours: Tensor, theirs: Tensor, leaves: list[Tensor]) -> None:
    gradient = torch.randn_like(theirs)
    assert_near(ours, theirs, torch.float64)
    expected = torch.autograd.grad(theirs, leaves, gradient)
    for mine, exact in zip(torch.autograd.grad(ours, leaves, gradient), expected, strict=True):
        assert_near(mine, exact, torch.float64, "gradient")


@pytest.mark.parametrize("key_heads", [6, 2, 1])
@pytest.mark.parametrize("what", ["plain", "causal", "key_mask", "bias", "scale", "window"])
def test_equals_torch_scaled_dot_product_attention(what: str, key_heads: int) -> None:
    B, H, Q, K, D, Dv = 2, 6, 9, 11, 4, 5
    shapes = ((B, H, Q, D), (B, key_heads, K, D), (B, key_heads, K, Dv))
    query, key, value = leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    key_mask = torch.rand(B, K) < 0.7
    bias = torch.randn(B, 1, Q, K, dtype=torch.float64)
    distance = torch.arange(K) - torch.arange(Q)[:, None]
    ours, theirs = {
        "plain": ({}, {}),
        "causal": ({"causal": True}, {"is_causal": True}),
        "key_mask": ({"key_mask": key_mask}, {"attn_mask": key_mask[:, None, None]}),
        "bias": ({"bias": bias}, {"attn_mask": bias}),
        "scale": ({"scale": 0.7}, {"scale": 0.7}),
        "window": ({"window": (3, 2)}, {"attn_mask": (distance >= -3) & (distance <= 2)}),
    }[what]
    expected = scaled_dot_product_attention(query, key, value, enable_gqa=True, **theirs)
    _same(regard.attend(query, key, value, implementation="reference", **ours), expected, leaves)


@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_equals_torch_multihead_attention(ragged: bool) -> None:
    B, N, E, H = 3, 7, 12, 3
    lengths = torch.tensor([7, 4, 1])
    theirs = nn.MultiheadAttention(E, H, batch_first=True, dtype=torch.float64)
    x = torch.randn(B, N, E, dtype=torch.float64, requires_grad=True)
    real = torch.arange(N) < lengths[:, None]
    expected, _ = theirs(x, x, x, key_padding_mask=~real, need_weights=False)
    rows = x[real] if ragged else x
    packed = nn.functional.linear(rows, theirs.in_proj_weight, theirs.in_proj_bias)
    query, key, value = (part.unflatten(-1, (H, -1)) for part in packed.chunk(3, -1))
    if ragged:
        offsets = torch.tensor([0, 7, 11, 12])
        mixed = regard.attend(query, key, value, offsets=offsets, implementation="reference")  # [T, H, D]
    else:
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))  # [B, H, N, D]
        mixed = regard.attend(query, key, value, key_mask=real, implementation="reference").transpose(1, 2)
    ours = nn.functional.linear(mixed.flatten(-2), theirs.out_proj.weight, theirs.out_proj.bias)
    _same(ours if ragged else ours[real], expected[real], [x, theirs.in_proj_weight, theirs.out_proj.weight])
