"""`border="shift"` is NATTEN's neighbourhood: against its own function where it is installed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import regard
from attention.tolerances import assert_near

natten: Any = pytest.importorskip("natten", reason="natten, which CPUs run from its source folder, is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of its own
DIM = 32  # of heads, for which it has code
CALLS = [
    ((9, 11), (5, 7), (1, 1)),
    ((8, 8), (3, 3), (2, 2)),
    ((17, 13), (3, 5), (3, 2)),
    ((16, 9), (7, 3), (2, 3)),
    ((13, 14), (4, 6), (3, 2)),
]
Pair = tuple[int, int]


def _theirs(query: Tensor, key: Tensor, value: Tensor, size: Pair, kernel: Pair, dilation: Pair) -> Tensor:
    """``[B, H, N, D]`` by NATTEN, which has heads last but one."""
    inputs = (torch.unflatten(x.transpose(1, 2), 1, size).contiguous() for x in (query, key, value))
    output: Tensor = natten.na2d(*inputs, kernel_size=kernel, dilation=dilation, backend="flex-fna")
    return output.flatten(1, 2).transpose(1, 2)


def _neighbourhoods(size: Pair, kernel: Pair, dilation: Pair) -> Tensor:
    """Bool ``[N, N]``: which pixels weigh anything where keys are alike; each element of a value tells of one pixel."""
    N = size[0] * size[1]
    zeros = torch.zeros(-(-N // DIM), 1, N, DIM)
    own = F.pad(torch.eye(N), (0, -N % DIM)).unflatten(1, (-1, DIM)).transpose(0, 1)[:, None]  # [B, 1, N, D]
    weights = _theirs(zeros, zeros, own, size, kernel, dilation)
    return weights[:, 0].transpose(0, 1).flatten(1)[:, :N] > 0


@pytest.mark.parametrize("implementation", ["reference", "blocked"])
@pytest.mark.parametrize(("size", "kernel", "dilation"), CALLS)
def test_natten(size: Pair, kernel: Pair, dilation: Pair, implementation: str) -> None:
    """Its output; and its gradients, which it has on GPUs only, as those of PyTorch's attention within what it sees."""
    inputs = [torch.randn(2, 2, size[0] * size[1], DIM) for _ in range(3)]
    leaves, exact = (
        [x.to(dtype, copy=True).requires_grad_() for x in inputs] for dtype in (torch.float32, torch.float64)
    )
    window = (kernel[0] // 2, (kernel[0] - 1) // 2, kernel[1] // 2, (kernel[1] - 1) // 2)
    output = regard.attend2d(
        *leaves, size=size, window=window, dilation=dilation, border="shift", implementation=implementation
    )
    torch.testing.assert_close(output, _theirs(*inputs, size, kernel, dilation), atol=1e-5, rtol=0)
    expected = F.scaled_dot_product_attention(*exact, attn_mask=_neighbourhoods(size, kernel, dilation))
    assert_near(output, expected, torch.float32)
    gradient = torch.randn(expected.shape, dtype=torch.float64)
    found = torch.autograd.grad(output, leaves, gradient.float())
    for name, actual, x in zip(
        ("query", "key", "value"), found, torch.autograd.grad(expected, exact, gradient), strict=True
    ):
        assert_near(actual, x, torch.float32, name)
