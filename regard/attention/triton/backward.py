"""The gradients of queries, then those of keys and values: each block by one program, so that no two add to a number.

With P a weight, S a score and ' for ∂L/∂: P' = O' · V. Softmax gives S' = P (P' − δ), where δ is O' · O of a row, relu
P' / n where S > 0, sigmoid P (1 − P) P'. Then Q' = S' · K and so on (Dao et al. 2022).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from regard.attention.triton.additive import by_channel, compared
from regard.attention.triton.arguments import NUMBERS, Block, Call, Numbers, Sight
from regard.attention.triton.tiles import (
    added,
    dropped,
    healed,
    keys_and_values,
    of_each,
    of_queries,
    placed,
    plan,
    product,
    put,
    run_of,
    scores_of,
    some_ill,
    tile,
    weights_of,
)


class Given(NamedTuple):
    """What backward is given for each query beside itself."""

    grad: Any  # a Matrix: O'
    statistics: Any  # float32 [B, H, Q]
    inner: Any  # δ, which the first kernel writes
    band: Any  # S' by distance, [B, H, Q, L] and zero at first; None where no table is learned
    weight: Any  # of each block of queries the gradient of an additive weight, [B, H, blocks, D]


class Gradients(NamedTuple):
    """What tiles of keys add to, for each query of a block."""

    by_query: Any  # [M, WIDTH]
    left: Any  # [M]: S' of keys that are as far as the table's first entry, or further
    right: Any  # [M]: and its last
    weight: Any  # [WIDTH]


@triton.jit
def no_gradients(HOW: tl.constexpr):
    """Sums of no tiles."""
    none = tl.zeros([HOW.M], tl.float32)
    return Gradients(tl.zeros([HOW.M, HOW.WIDTH], tl.float32), none, none, tl.zeros([HOW.WIDTH], tl.float32))


@triton.jit
def by_score(weights, grad, statistics, inner, seen, CAREFUL: tl.constexpr, HOW: tl.constexpr):
    """S' of pairs from P', 0 where the weight is; with care also where P' is NaN, which is hidden."""
    if HOW.NORMALIZER == "softmax":
        found = weights * (grad - inner)
    elif HOW.NORMALIZER == "relu":
        found = tl.where(weights > 0, grad * statistics, 0.0)
    else:
        found = (weights - weights * weights) * grad
    if CAREFUL:
        found = tl.where(seen, found, 0.0)
    return found


@triton.jit
def by_distance(sums, given, found, call, plane, i, j, seen):
    """Writes S' where its distance is, once for each pair; what lies beyond the table is summed."""
    last = call.extra.left + call.extra.right
    entry = tl.minimum(tl.maximum(j - placed(call, i), -call.extra.left), call.extra.right) + call.extra.left
    at = given.band + (plane.to(tl.int64) * call.numbers.queries + i) * (last + 1) + entry
    tl.store(at, found, mask=seen & (entry > 0) & (entry < last) & (i < call.numbers.queries))
    left = sums.left + tl.sum(tl.where(entry == 0, found, 0.0), 1)
    right = sums.right + tl.sum(tl.where((entry == last) & (entry > 0), found, 0.0), 1)
    return Gradients(sums.by_query, left, right, sums.weight)


@triton.jit
def query_step(
    sums, q, do, of_row, inner, given, call, block, begin, EDGE: tl.constexpr, CAREFUL: tl.constexpr,
    HOW: tl.constexpr,
):  # fmt: skip
    """One tile of keys."""
    i, j = (block.first + tl.arange(0, HOW.M))[:, None], (begin + tl.arange(0, HOW.N))[None, :]
    k, v = keys_and_values(call, block, begin, EDGE, HOW)
    seen = (j >= block.low[:, None]) & (j < block.high[:, None])
    scores, seen = scores_of(compared(q, k, call, block, begin, False, HOW), seen, call, block, i, j, HOW)
    weights = weights_of(scores, seen, of_row[:, None], EDGE, HOW)
    by_weight = dropped(product(do, tl.trans(v), HOW), call, block.plane, i, j)
    found = by_score(weights, by_weight, of_row[:, None], inner[:, None], seen, CAREFUL, HOW)
    if given.band is not None:
        sums = by_distance(sums, given, found, call, block.plane, i, j, seen)
    by_query, weight = sums.by_query, sums.weight
    if HOW.ADDITIVE:
        of_rows, of_weight = by_channel(found, call, block, begin, False, CAREFUL, HOW)
        by_query, weight = by_query + of_rows, weight + of_weight
    else:
        by_query = added(found.to(k.dtype), healed(k)[0] if CAREFUL else k, by_query, HOW)
    return Gradients(by_query, sums.left, sums.right, weight)


@triton.jit(do_not_specialize=NUMBERS)
def by_query(
    inputs, output, given, result, runs, extra,
    queries, keys, start, left, right, row_seed, key_seed, seed_high, blocks, scale,
    HOW: tl.constexpr,
):  # fmt: skip
    """``result [B, H, Q, D]``; writes δ too, which :func:`by_key` reads. A program for each block of M queries."""
    call = Call(inputs, extra, Numbers(queries, keys, start, left, right, row_seed, key_seed, seed_high))
    sight = Sight(runs, start, left, right, queries, keys)
    block, rows = of_queries(inputs, sight, blocks, HOW.M), tl.arange(0, HOW.M)
    begin, before, inside, tiles = plan(sight, block.first, HOW.M, HOW.N, HOW.HIDDEN)
    q = tile(inputs.query, queries, block.batch, block.head, block.first, rows, True, HOW.D, HOW.WIDTH)
    do = tile(given.grad, queries, block.batch, block.head, block.first, rows, True, HOW.DV, HOW.WIDTH_V)
    o = tile(output, queries, block.batch, block.head, block.first, rows, True, HOW.DV, HOW.WIDTH_V)
    inner = tl.sum(o.to(tl.float32) * do.to(tl.float32), 1)
    at, there = block.plane.to(tl.int64) * queries + block.first + rows, block.first + rows < queries
    tl.store(given.inner + at, inner, mask=there)
    of_row = of_each(given.statistics, block.plane, queries, block.first, rows, True)

    sums = no_gradients(HOW)
    for number in range(tiles - inside):
        begins = begin + tl.where(number < before, number, number + inside) * HOW.N
        sums = query_step(sums, q, do, of_row, inner, given, call, block, begins, True, False, HOW)
    for number in range(inside):
        begins = begin + (before + number) * HOW.N
        sums = query_step(sums, q, do, of_row, inner, given, call, block, begins, False, False, HOW)
    summed = sums.by_query
    if some_ill(summed):
        sums = no_gradients(HOW)
        for number in range(tiles):
            begins = begin + number * HOW.N
            sums = query_step(sums, q, do, of_row, inner, given, call, block, begins, True, True, HOW)
        summed = sums.by_query
    if given.weight is not None:
        channels = tl.arange(0, HOW.WIDTH)
        of_program = given.weight + tl.program_id(0).to(tl.int64) * HOW.D
        tl.store(of_program + channels, sums.weight, mask=channels < HOW.D)
    if given.band is not None:
        last = extra.left + extra.right
        tl.store(given.band + at * (last + 1), sums.left, mask=there)
        tl.store(given.band + at * (last + 1) + last, sums.right, mask=there & (rows * 0 + last > 0))
    put(result, queries, block.batch, block.head, block.first, rows, summed * scale, HOW.D, HOW.WIDTH)


@triton.jit
def key_step(by_key, by_value, k, v, given, call, block, begin, EDGE: tl.constexpr, CAREFUL: tl.constexpr,
             HOW: tl.constexpr):  # fmt: skip
    """One tile of queries, which are the columns here."""
    columns, queries = tl.arange(0, HOW.N), call.numbers.queries
    i, j = (begin + columns)[None, :], (block.first + tl.arange(0, HOW.M))[:, None]
    q = tile(call.inputs.query, call.numbers.queries, block.batch, block.head, begin, columns, EDGE, HOW.D, HOW.WIDTH)
    do = tile(given.grad, call.numbers.queries, block.batch, block.head, begin, columns, EDGE, HOW.DV, HOW.WIDTH_V)
    of_row = of_each(given.statistics, block.plane, queries, begin, columns, EDGE)[None, :]
    seen = (i >= block.low[:, None]) & (i < block.high[:, None])
    scores, seen = scores_of(compared(k, q, call, block, begin, True, HOW), seen, call, block, i, j, HOW)
    weights = weights_of(scores, seen, of_row, EDGE, HOW)
    well = healed(do)[0] if CAREFUL else do
    by_value = added(dropped(weights, call, block.plane, i, j).to(do.dtype), well, by_value, HOW)
    by_weight = dropped(product(v, tl.trans(do), HOW), call, block.plane, i, j)
    inner = of_each(given.inner, block.plane, queries, begin, columns, EDGE)[None, :]  # now: registers are scarce
    found = by_score(weights, by_weight, of_row, inner, seen, CAREFUL, HOW)
    if HOW.ADDITIVE:
        by_key += by_channel(found, call, block, begin, True, CAREFUL, HOW)[0]
    else:
        by_key = added(found.to(q.dtype), healed(q)[0] if CAREFUL else q, by_key, HOW)
    return by_key, by_value


@triton.jit(do_not_specialize=NUMBERS)
def by_key(
    inputs, given, key_result, value_result, runs, extra,
    queries, keys, start, left, right, row_seed, key_seed, seed_high, blocks, scale, HOW: tl.constexpr,
):  # fmt: skip
    """``[B, Hk, K, D]`` and ``[B, Hk, K, Dv]``; a program for each block of M keys, over all query heads of theirs."""
    call = Call(inputs, extra, Numbers(queries, keys, start, left, right, row_seed, key_seed, seed_high))
    key_heads = inputs.heads // inputs.group
    sight = Sight(runs, -start, right, left, keys, queries)
    key_plane, first, rows = tl.program_id(0) // blocks, tl.program_id(0) % blocks * HOW.M, tl.arange(0, HOW.M)
    batch, key_head = key_plane // key_heads, key_plane % key_heads
    low, high = run_of(sight, first + rows)
    begin, before, inside, tiles = plan(sight, first, HOW.M, HOW.N, HOW.HIDDEN)
    k = tile(inputs.key, keys, batch, key_head, first, rows, True, HOW.D, HOW.WIDTH)
    v = tile(inputs.value, keys, batch, key_head, first, rows, True, HOW.DV, HOW.WIDTH_V)
    of_key, of_value = tl.zeros([HOW.M, HOW.WIDTH], tl.float32), tl.zeros([HOW.M, HOW.WIDTH_V], tl.float32)
    for number_of_head in range(inputs.group):
        head = key_head * inputs.group + number_of_head
        block = Block(batch * inputs.heads + head, batch, head, key_head, first, low, high)
        for number in range(tiles - inside):
            at = begin + tl.where(number < before, number, number + inside) * HOW.N
            of_key, of_value = key_step(of_key, of_value, k, v, given, call, block, at, True, False, HOW)
        for number in range(inside):
            at = begin + (before + number) * HOW.N
            of_key, of_value = key_step(of_key, of_value, k, v, given, call, block, at, False, False, HOW)
    if some_ill(of_key) | some_ill(of_value):
        of_key, of_value = tl.zeros([HOW.M, HOW.WIDTH], tl.float32), tl.zeros([HOW.M, HOW.WIDTH_V], tl.float32)
        for number_of_head in range(inputs.group):
            head = key_head * inputs.group + number_of_head
            block = Block(batch * inputs.heads + head, batch, head, key_head, first, low, high)
            for number in range(tiles):
                at = begin + number * HOW.N
                of_key, of_value = key_step(of_key, of_value, k, v, given, call, block, at, True, True, HOW)
    put(key_result, keys, batch, key_head, first, rows, of_key * scale, HOW.D, HOW.WIDTH)
    put(value_result, keys, batch, key_head, first, rows, of_value, HOW.DV, HOW.WIDTH_V)
