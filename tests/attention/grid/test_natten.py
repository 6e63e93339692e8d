"""`border="shift"` is NATTEN's neighbourhood: against its own function where it is installed."""

from __future__ import annotations

import pytest
import torch

import regard


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("implementation", ["reference", "blocked"])
@pytest.mark.parametrize(
    ("size", "kernel", "dilation"),
    [
        ((9, 11), (5, 7), (1, 1)),
        ((8, 8), (3, 3), (2, 2)),
        ((17, 13), (3, 5), (3, 2)),
        ((16, 9), (7, 3), (2, 3)),
        ((13, 14), (4, 6), (3, 2)),
    ],
)
def test_natten(size: tuple[int, int], kernel: tuple[int, int], dilation: tuple[int, int], implementation: str) -> None:
    natten = pytest.importorskip("natten", reason="natten, which CPUs run from its source folder, is not installed")
    query, key, value = (torch.randn(2, *size, 2, 32) for _ in range(3))  # [B, rows, columns, H, D]
    expected = natten.na2d(query, key, value, kernel_size=kernel, dilation=dilation, backend="flex-fna")
    window = (kernel[0] // 2, (kernel[0] - 1) // 2, kernel[1] // 2, (kernel[1] - 1) // 2)
    output = regard.attend2d(
        *(x.flatten(1, 2).transpose(1, 2) for x in (query, key, value)),
        size=size,
        window=window,
        dilation=dilation,
        border="shift",
        implementation=implementation,
    )
    torch.testing.assert_close(output.transpose(1, 2).view_as(expected), expected, atol=1e-5, rtol=0)
