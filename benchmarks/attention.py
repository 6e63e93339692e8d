"""`blocked` against windows unfolded by hand into PyTorch's SDPA and against the `local-attention` package.

    python -m benchmarks attention

Window ±128, 8 heads × 64, float32. The alternatives compute the same band.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import in_turns, multiply_limit
from regard import attend

HEADS, DIM, REACH, LENGTH = 8, 64, 128, 16_384


def blocks_of(x: Tensor, size: int, step: int) -> Tensor:
    """``[B, H, N, D]`` → ``[B·blocks, H, size, D]``, a view where B is 1."""
    return x.unfold(2, size, step).transpose(-1, -2).transpose(1, 2).flatten(0, 1)


def unfolded(query: Tensor, key: Tensor, value: Tensor, reach: int, block: int, mask: Tensor) -> Tensor:
    """Blocks of queries beside the keys around them, in one call of SDPA with the blocks along its batch axis.

    With a mask of four axes PyTorch takes its fast kernel, `_scaled_dot_product_flash_attention_for_cpu`.
    """
    keys, values = (blocks_of(F.pad(x, (0, 0, reach, reach)), block + 2 * reach, block) for x in (key, value))
    output = F.scaled_dot_product_attention(blocks_of(query, block, block), keys, values, attn_mask=mask)
    return output.unflatten(0, (len(query), -1)).transpose(1, 2).flatten(2, 3)


def unfolded_but_ends(query: Tensor, key: Tensor, value: Tensor, reach: int, block: int, mask: Tensor) -> Tensor:
    """The same without padding: the blocks at both ends by themselves, all others under one mask."""
    length = query.shape[2]

    def part(start: int, stop: int) -> Tensor:
        first, last = max(0, start - reach), min(length, stop + reach)
        keys, values, own = key[:, :, first:last], value[:, :, first:last], query[:, :, start:stop]
        if stop - start == block:
            seen = mask[..., reach - start + first : reach - start + last]
            return F.scaled_dot_product_attention(own, keys, values, attn_mask=seen)
        parts = blocks_of(own, block, block), *(blocks_of(x, block + 2 * reach, block) for x in (keys, values))
        output = F.scaled_dot_product_attention(*parts, attn_mask=mask)
        return output.unflatten(0, (len(query), -1)).transpose(1, 2).flatten(2, 3)

    end = -(-reach // block) * block
    starts = [*range(0, end, block), *range(length - end, length, block)]
    ends = [part(start, start + block) for start in starts]
    return torch.cat([*ends[: end // block], part(end, length - end), *ends[end // block :]], 2)


def masks_of(length: int, reach: int, block: int) -> Tensor:
    """``[blocks, 1, block, block + 2·reach]`` bool, True where a query of the block sees a key."""
    row, column = torch.arange(block)[:, None], torch.arange(block + 2 * reach) - reach
    place = torch.arange(0, length, block)[:, None, None] + column
    return (((column - row).abs() <= reach) & (place >= 0) & (place < length))[:, None]


def unfoldings(query: Tensor, key: Tensor, value: Tensor, reach: int) -> dict[str, Callable[[], Tensor]]:
    """Every way of unfolding a window that may be the fastest; the masks are made beforehand."""
    calls: dict[str, Callable[[], Tensor]] = {}
    for block in (reach // 2, reach):
        seen = masks_of(query.shape[2], reach, block)
        added = torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)
        middle = added[-(-reach // block)][None]
        for name, function, mask in (
            ("", unfolded, seen),
            (", mask of floats", unfolded, added),
            (", ends apart", unfolded_but_ends, middle),
        ):
            call = partial(function, query, key, value, reach, block, mask)
            calls[f"unfolded SDPA, blocks of {block}{name}"] = call
    return calls


def fastest(seconds: dict[str, float], name: str) -> float:
    """Of all that go by a name."""
    return min(value for title, value in seconds.items() if title.startswith(name))


def run() -> dict[str, Any]:
    from local_attention import LocalAttention

    torch.manual_seed(0)
    query, key, value = (torch.randn(1, HEADS, LENGTH, DIM, requires_grad=True) for _ in range(3))
    local = LocalAttention(REACH, look_forward=1, exact_windowsize=True, use_rotary_pos_emb=False)
    calls = {
        "regard blocked": lambda: attend(query, key, value, window=REACH, implementation="blocked"),
        "local-attention": lambda: local(query[0], key[0], value[0]),
        **unfoldings(query, key, value, REACH),
    }
    for name in list(calls)[1:]:
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

    rate = multiply_limit()
    useful = 4 * HEADS * DIM * sum(min(REACH, i) + min(REACH, LENGTH - 1 - i) + 1 for i in range(LENGTH))
    results: dict[str, Any] = {"limit of multiply-adds, GFLOP/s": rate / 1e9}
    for name, kind, operations in (("forward", forward, useful), ("forward + backward", both, 3.5 * useful)):
        seconds = in_turns({title: kind(call) for title, call in calls.items()})
        own = seconds["regard blocked"]
        for title, value_ in seconds.items():
            results[f"{name}: {title}, ms"] = 1000 * value_
        results[f"{name}: unfolded SDPA / regard"] = fastest(seconds, "unfolded SDPA") / own
        results[f"{name}: local-attention / regard"] = seconds["local-attention"] / own
        results[f"{name}: useful operations, share of the limit"] = operations / own / rate
    return results
