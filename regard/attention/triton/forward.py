"""The output of one block of queries, ``Σ_k weight[q, k] · value_k``, a tile of keys at a time; and its statistics.

Softmax is taken while the tiles come (Milakov and Gimelshein 2018; Dao et al. 2022). The statistics of a row, from
which backward has each weight again, are log₂ Σ exp for softmax, 1 / n for relu, and log₂ n for sigmoid.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from regard.attention.triton.additive import compared
from regard.attention.triton.arguments import NUMBERS, Call, Numbers, Sight
from regard.attention.triton.tiles import (
    LOWEST,
    added,
    dropped,
    healed,
    keys_and_values,
    of_queries,
    plan,
    put,
    scores_of,
    some_ill,
    tile,
    unhidden,
    weights_of,
)


class Sums(NamedTuple):
    """What tiles add to, for each query of a block."""

    output: Any  # [M, WIDTH_V]
    total: Any  # [M]: Σ 2^(score − most)
    most: Any  # [M]: the largest score
    ill: Any  # [M]: whether a value that it sees is NaN or infinite, where that is looked for


@triton.jit
def nothing(HOW: tl.constexpr):
    """Sums of no tiles."""
    most, ill = tl.full([HOW.M], LOWEST, tl.float32), tl.zeros([HOW.M], tl.int1)
    return Sums(tl.zeros([HOW.M, HOW.WIDTH_V], tl.float32), tl.zeros([HOW.M], tl.float32), most, ill)


@triton.jit
def count_seen(sight, call, block, HOW: tl.constexpr):
    """How many keys each query sees, at least 1: ``[M]``, float32."""
    found = (block.high - block.low).to(tl.float32)
    if HOW.HIDDEN:
        found = tl.zeros([HOW.M], tl.float32)
        begin, _, _, tiles = plan(sight, block.first, HOW.M, HOW.N, True)
        for number in range(tiles):
            i, j = (block.first + tl.arange(0, HOW.M))[:, None], (begin + number * HOW.N + tl.arange(0, HOW.N))[None, :]
            seen = (j >= block.low[:, None]) & (j < block.high[:, None])
            found += tl.sum(unhidden(seen, call, block, i, j).to(tl.float32), 1)
    return tl.maximum(found, 1.0)


@triton.jit
def step(sums, q, of_row, call, block, begin, EDGE: tl.constexpr, CAREFUL: tl.constexpr, HOW: tl.constexpr):
    """One tile of keys."""
    i, j = (block.first + tl.arange(0, HOW.M))[:, None], (begin + tl.arange(0, HOW.N))[None, :]
    k, v = keys_and_values(call, block, begin, EDGE, HOW)
    seen = (j >= block.low[:, None]) & (j < block.high[:, None])
    scores, seen = scores_of(compared(q, k, call, block, begin, False, HOW), seen, call, block, i, j, HOW)
    if EDGE:
        scores = tl.where(seen, scores, -float("inf"))  # of weight 0, whatever the normalizer
    output, total, most, ill = sums
    if HOW.NORMALIZER == "softmax":
        now = tl.maximum(most, tl.max(scores, 1))
        weights = tl.exp2(scores - now[:, None])
        fade = tl.exp2(most - now)
        total = total * fade + tl.sum(weights, 1)
        output = output * fade[:, None]
        most = now
    else:
        weights = weights_of(scores, seen, of_row[:, None], False, HOW)
    if CAREFUL:
        v, bad = healed(v)
        ill = ill | (tl.max((seen & bad[None, :]).to(tl.int32), 1) > 0)
    output = added(dropped(weights, call, block.plane, i, j).to(v.dtype), v, output, HOW)
    return Sums(output, total, most, ill)


@triton.jit(do_not_specialize=NUMBERS)
def forward(
    inputs, output, statistics, runs, extra,
    queries, keys, start, left, right, row_seed, key_seed, seed_high, blocks, HOW: tl.constexpr,
):  # fmt: skip
    """``output [B, H, Q, Dv]`` and ``statistics [B, H, Q]``; a program for each block of M queries."""
    call = Call(inputs, extra, Numbers(queries, keys, start, left, right, row_seed, key_seed, seed_high))
    sight = Sight(runs, start, left, right, queries, keys)
    block, rows = of_queries(inputs, sight, blocks, HOW.M), tl.arange(0, HOW.M)
    begin, before, inner, tiles = plan(sight, block.first, HOW.M, HOW.N, HOW.HIDDEN)
    q = tile(inputs.query, queries, block.batch, block.head, block.first, rows, True, HOW.D, HOW.WIDTH)
    of_row = tl.zeros([HOW.M], tl.float32)
    if HOW.NORMALIZER != "softmax":
        n = count_seen(sight, call, block, HOW)
        of_row = 1.0 / n if HOW.NORMALIZER == "relu" else tl.log2(n)

    sums = nothing(HOW)
    for number in range(tiles - inner):
        at = begin + tl.where(number < before, number, number + inner) * HOW.N
        sums = step(sums, q, of_row, call, block, at, True, False, HOW)
    for number in range(inner):
        sums = step(sums, q, of_row, call, block, begin + (before + number) * HOW.N, False, False, HOW)
    summed, total, most = sums.output, sums.total, sums.most
    if some_ill(summed):  # what is hidden may have spoiled it, for 0 · NaN is NaN: once more, with care
        sums = nothing(HOW)
        for number in range(tiles):
            sums = step(sums, q, of_row, call, block, begin + number * HOW.N, True, True, HOW)
        summed, total, most = tl.where(sums.ill[:, None], float("nan"), sums.output), sums.total, sums.most
    if HOW.NORMALIZER == "softmax":
        some = tl.where(total == 0, 1.0, total)
        summed = summed / some[:, None]
        of_row = tl.where(total == 0, float("inf"), most + tl.log2(some))  # who sees nothing has weights 2^−∞
    put(output, queries, block.batch, block.head, block.first, rows, summed, HOW.DV, HOW.WIDTH_V)
    at = block.plane.to(tl.int64) * queries + block.first + rows
    tl.store(statistics + at, of_row, mask=block.first + rows < queries)
