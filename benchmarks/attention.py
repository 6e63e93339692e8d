"""`blocked` against windows unfolded by hand into PyTorch's SDPA and against the `local-attention` package.

    python -m benchmarks attention

Window ±128, 8 heads × 64, float32. The alternatives compute the same band.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import in_turns, matmul_rate
from regard import attend

HEADS, DIM, REACH, LENGTH = 8, 64, 128, 16_384


def unfolded(query: Tensor, key: Tensor, value: Tensor, reach: int) -> Tensor:
    """Blocks of ``reach`` queries beside the three blocks of keys around them, in one call of SDPA."""
    _, heads, length, dim = query.shape
    blocks = length // reach
    keys, values = (
        F.pad(x, (0, 0, reach, reach))[0].unfold(1, 3 * reach, reach).transpose(-1, -2) for x in (key, value)
    )  # [H, blocks, 3·reach, D]
    row, column = torch.arange(reach)[:, None], torch.arange(3 * reach) - reach
    mask = ((column - row).abs() <= reach).repeat(blocks, 1, 1)
    mask[0, :, :reach] = mask[-1, :, 2 * reach :] = False
    output = F.scaled_dot_product_attention(query.view(heads, blocks, reach, dim), keys, values, attn_mask=mask)
    return output.view(1, heads, length, dim)


def run() -> dict[str, Any]:
    from local_attention import LocalAttention

    torch.manual_seed(0)
    query, key, value = (torch.randn(1, HEADS, LENGTH, DIM, requires_grad=True) for _ in range(3))
    local = LocalAttention(REACH, look_forward=1, exact_windowsize=True, use_rotary_pos_emb=False)
    calls = {
        "regard blocked": lambda: attend(query, key, value, window=REACH, implementation="blocked"),
        "unfolded SDPA": lambda: unfolded(query, key, value, REACH),
        "local-attention": lambda: local(query[0], key[0], value[0]),
    }
    for name in ("unfolded SDPA", "local-attention"):
        torch.testing.assert_close(calls[name]().view_as(query), calls["regard blocked"](), msg=name)

    def forward(call: Any) -> Any:
        def timed() -> None:
            with torch.no_grad():
                call()

        return timed

    def both(call: Any) -> Any:
        def timed() -> None:
            call().sum().backward()
            query.grad = key.grad = value.grad = None

        return timed

    rate = matmul_rate()
    useful = 4 * HEADS * DIM * sum(min(REACH, i) + min(REACH, LENGTH - 1 - i) + 1 for i in range(LENGTH))
    results: dict[str, Any] = {"matmul GFLOP/s": rate / 1e9}
    for name, kind, operations in (("forward", forward, useful), ("forward + backward", both, 3.5 * useful)):
        seconds = in_turns({title: kind(call) for title, call in calls.items()})
        own = seconds["regard blocked"]
        for title, value_ in seconds.items():
            results[f"{name}: {title}, ms"] = 1000 * value_
        results[f"{name}: unfolded SDPA / regard"] = seconds["unfolded SDPA"] / own
        results[f"{name}: local-attention / regard"] = seconds["local-attention"] / own
        results[f"{name}: useful operations, share of the matmul rate"] = operations / own / rate
    return results
