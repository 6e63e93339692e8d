"""`attend2d` against what one can write in PyTorch for windows over rows and columns, in turns.

    python -m benchmarks attention2d

256 × 256 pixels, 4 heads × 32, a window of 7 × 7, float32, forward and forward + backward; and the peak of its memory.
All ways compute the same, which is checked first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.memory import peak
from benchmarks.timing import in_turns
from regard import attend2d

SIDE, HEADS, DIM, REACH = 256, 4, 32, 3
WIDE, ROUNDS = 2 * REACH + 1, 3
Call = Callable[[], Tensor]
Results = dict[str, Any]


def inputs(side: int = SIDE) -> list[Tensor]:
    return [torch.randn(1, HEADS, side * side, DIM, requires_grad=True) for _ in range(3)]


def inside(side: int = SIDE) -> Tensor:
    """``[49, N]`` bool: which neighbours of each pixel are in the image."""
    return F.unfold(torch.ones(1, 1, side, side), WIDE, padding=REACH)[0] > 0


def by_unfolding(query: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
    """im2col of keys and values, and a product of matrices for each pixel.

    That is faster than sums of products over what `F.unfold` gives, and than 49 shifted views.
    """

    def of_pixels(x: Tensor) -> Tensor:  # [N, H, 49, D]
        rows = F.pad(x.view(HEADS, SIDE, SIDE, DIM), (0, 0, REACH, REACH, REACH, REACH))
        return rows.unfold(1, WIDE, 1).unfold(2, WIDE, 1).permute(1, 2, 0, 4, 5, 3).reshape(-1, HEADS, WIDE**2, DIM)

    own = query[0].transpose(0, 1)[:, :, None]
    scores = own @ of_pixels(key).mT / math.sqrt(DIM)  # [N, H, 1, 49]
    weights = scores.masked_fill(~seen.T[:, None, None], -math.inf).softmax(-1)
    return (weights @ of_pixels(value))[:, :, 0].transpose(0, 1)[None]


def mask_of_tiles(high: int, wide: int) -> Tensor:
    """``[tiles, 1, queries, keys]`` bool, for tiles of queries beside the rectangles around them."""

    def along(tile: int) -> Tensor:  # [tiles, queries, keys]
        row, key = torch.arange(tile)[:, None], torch.arange(tile + 2 * REACH)
        place = torch.arange(0, SIDE, tile)[:, None, None] + key - REACH
        return (key >= row) & (key <= row + 2 * REACH) & (place >= 0) & (place < SIDE)

    rows, columns = along(high), along(wide)
    seen = rows[:, None, :, None, :, None] & columns[None, :, None, :, None, :]
    return seen.flatten(4, 5).flatten(2, 3).flatten(0, 1)[:, None]


def by_tiles(query: Tensor, key: Tensor, value: Tensor, high: int, wide: int, mask: Tensor) -> Tensor:
    """SDPA with a mask, of tiles of queries and the rectangles of keys around them."""

    def cut(x: Tensor, beside: int) -> Tensor:  # [tiles, H, pixels, D]
        rows = F.pad(x.view(HEADS, SIDE, SIDE, DIM), (0, 0, beside, beside, beside, beside))
        rows = rows.unfold(1, high + 2 * beside, high).unfold(2, wide + 2 * beside, wide)
        return rows.permute(1, 2, 0, 4, 5, 3).flatten(3, 4).flatten(0, 1)

    output = F.scaled_dot_product_attention(cut(query, 0), cut(key, REACH), cut(value, REACH), attn_mask=mask)
    output = output.unflatten(2, (high, wide)).unflatten(0, (SIDE // high, SIDE // wide))
    return output.permute(2, 0, 3, 1, 4, 5).reshape(query.shape)


def flex(query: Tensor, key: Tensor, value: Tensor) -> Call:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def near(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return ((q // SIDE - k // SIDE).abs() <= REACH) & ((q % SIDE - k % SIDE).abs() <= REACH)

    mask = create_block_mask(near, None, None, SIDE**2, SIDE**2, device="cpu", _compile=True)
    compiled = torch.compile(flex_attention)
    still = [x.detach() for x in (query, key, value)]  # on the CPU it refuses to be trained
    return lambda: compiled(*still, block_mask=mask)


def forward(call: Call) -> Callable[[], None]:
    def timed() -> None:
        with torch.no_grad():
            call()

    return timed


def both(call: Call, leaves: list[Tensor], gradient: Tensor) -> Callable[[], None]:
    return lambda: torch.autograd.grad(call(), leaves, gradient) and None


def resident() -> int:
    """Bytes that this process holds now."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024


def speed() -> Results:
    given, seen = inputs(), inside()
    calls: dict[str, Call] = {
        name: partial(attend2d, *given, size=(SIDE, SIDE), window=REACH, implementation=name)
        for name in ("native", "blocked")
    }
    calls["unfold"] = partial(by_unfolding, *given, seen)
    for tile in ((8, 8), (8, 16), (1, SIDE)):  # the last are strips
        calls[f"SDPA, tiles of {tile[0]} x {tile[1]}"] = partial(by_tiles, *given, *tile, mask_of_tiles(*tile))
    for name, call in calls.items():
        with torch.no_grad():
            torch.testing.assert_close(call(), calls["native"](), atol=1e-5, rtol=1e-4, msg=name)
    gradient, results = torch.randn_like(given[0]), {}
    useful = 4 * HEADS * DIM * int(seen.sum())
    for kind, cases, operations in (
        ("forward", {name: forward(call) for name, call in calls.items()}, useful),
        ("forward + backward", {name: both(call, given, gradient) for name, call in calls.items()}, 3.5 * useful),
    ):
        seconds = in_turns(cases, rounds=ROUNDS)
        results[f"{kind}: native, ms"] = 1000 * seconds["native"]
        results[f"{kind}: native, useful GFLOP/s"] = operations / seconds["native"] / 1e9
        for name in list(seconds)[1:]:
            results[f"{kind}: {name} / native, time"] = seconds[name] / seconds["native"]
        fastest = min(value for name, value in seconds.items() if name.startswith("SDPA"))
        results[f"{kind}: fastest SDPA / native, time"] = fastest / seconds["native"]
    return results


def against_flex() -> Results:
    given = inputs()
    calls = {"native": partial(attend2d, *given, size=(SIDE, SIDE), window=REACH), "flex": flex(*given)}
    torch.testing.assert_close(calls["flex"](), calls["native"](), atol=1e-5, rtol=1e-4)
    seconds = in_turns({name: forward(call) for name, call in calls.items()}, rounds=ROUNDS)
    return {"forward: compiled FlexAttention / native, time": seconds["flex"] / seconds["native"]}


def memory() -> Results:
    """Peak of forward + backward beyond query, key, value, output and their gradients, as a share of these."""
    given = inputs()
    gradient = torch.randn_like(given[0])
    warm = inputs(64)
    both(partial(attend2d, *warm, size=(64, 64), window=REACH), warm, torch.randn_like(warm[0]))()
    before, size = resident(), gradient.nbytes
    output = attend2d(*given, size=(SIDE, SIDE), window=REACH, implementation="native")
    torch.autograd.grad(output, given, gradient)
    return {"peak extra memory, forward + backward, share": (peak() - before - 4 * size) / (8 * size)}


def measured(part: Callable[[], Results]) -> Results:
    torch.manual_seed(0)
    return part()


def run() -> Results:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        parts = pool.map(measured, [speed, against_flex, memory])
        return {name: value for results in parts for name, value in results.items()}
