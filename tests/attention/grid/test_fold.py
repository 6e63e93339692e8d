"""A bias by rows and columns as more elements of query and key: the reference's values and gradients, or not at all."""

import pytest
import torch

from regard import Additive, GridBias, attend2d
from regard.attention import native
from regard.attention.grid import api
from regard.attention.grid.check import check
from regard.attention.grid.fold import attend_folded, folds
from regard.ragged import offsets_of

SIZES = ((3, 4), (1, 1), (5, 2))
HEADS, KEY_HEADS, DIM, VALUE_DIM = 4, 2, 6, 5

pytestmark = pytest.mark.skipif(not native.is_built(), reason=native.NOT_BUILT)


def made(ragged, seed=0):
    torch.manual_seed(seed)
    N = sum(rows * columns for rows, columns in SIZES) if ragged else 12
    shape = (lambda heads, dim: (N, heads, dim)) if ragged else (lambda heads, dim: (2, heads, N, dim))
    tensors = [torch.randn(shape(*x)) for x in ((HEADS, DIM), (KEY_HEADS, DIM), (KEY_HEADS, VALUE_DIM))]
    tensors += [torch.randn(HEADS, 4), torch.randn(HEADS, 9)]
    offsets = offsets_of([rows * columns for rows, columns in SIZES])
    where = {"size": torch.tensor(SIZES), "offsets": offsets} if ragged else {"size": SIZES[0]}
    return [x.requires_grad_() for x in tensors], where


def run(tensors, where, **options):
    query, key, value, rows, columns = tensors
    output = attend2d(query, key, value, bias=GridBias(rows, columns, up=2, left=3), **where, **options)
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return output, torch.autograd.grad((output * weights).sum(), tensors)


@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
@pytest.mark.parametrize("scale", [None, 0.0, -0.7])
def test_it_is_the_reference(ragged, normalizer, scale, monkeypatch):
    tensors, where = made(ragged)
    folded = []
    monkeypatch.setattr(api, "attend_folded", lambda *call: folded.append(call) or attend_folded(*call))
    options = {"normalizer": normalizer, "scale": scale}
    output, gradients = run(tensors, where, **options)
    assert folded
    expected, wanted = run(tensors, where, implementation="reference", **options)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    for got, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-5)


def test_tables_of_another_type_than_the_query():
    tensors, where = made(ragged=True)
    tensors = [*tensors[:3], *(x.detach().double().requires_grad_() for x in tensors[3:])]
    output, gradients = run(tensors, where)
    expected, wanted = run(tensors, where, implementation="reference")
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    for got, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-5)


def test_what_is_not_folded():
    (query, key, value, rows, columns), where = made(ragged=False)
    defaults = api.DEFAULTS | where | {"bias": GridBias(rows, columns, up=2, left=3)}

    def folded(q=query, k=key, v=value, **options):
        return folds(*check(q, k, v, defaults | options))

    hidden = rows.detach().clone()
    hidden[0, 0] = -torch.inf
    assert folded()
    assert not folded(bias=GridBias(hidden, columns, up=2, left=3))
    assert not folded(bias=GridBias(rows.double() - 1e300, columns, up=2, left=3))  # which float32 takes for −∞
    assert not folded(bias=None)
    assert not folded(window=1)
    assert not folded(dilation=2)
    assert not folded(dropout_p=0.5)
    assert not folded(score=Additive(torch.randn(HEADS, DIM)))
    assert not folded(*(x.double() for x in (query, key, value)), bias=GridBias(rows.double(), columns.double(), 2, 3))
