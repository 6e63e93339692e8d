"""What is written for each pair: the weights of a band, and the gradient of a bias."""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.triton.additive import compared
from regard.attention.triton.arguments import NUMBERS, Block, Call, Numbers, Sight
from regard.attention.triton.backward import by_score
from regard.attention.triton.tiles import (
    dropped,
    keys_and_values,
    of_each,
    of_queries,
    plan,
    product,
    run_of,
    scores_of,
    tile,
    weights_of,
)


@triton.jit(do_not_specialize=NUMBERS)
def band(
    inputs, result, first_keys, statistics, width, runs, extra,
    queries, keys, start, left, right, row_seed, key_seed, seed_high, blocks, HOW: tl.constexpr,
):  # fmt: skip
    """``result [B, H, Q, width]``, zero at first; ``first_keys [Q]`` is the key of a row's first column."""
    call = Call(inputs, extra, Numbers(queries, keys, start, left, right, row_seed, key_seed, seed_high))
    sight = Sight(runs, start, left, right, queries, keys)
    block, rows = of_queries(inputs, sight, blocks, HOW.M), tl.arange(0, HOW.M)
    columns, there = tl.arange(0, HOW.N), block.first + rows < queries
    begin, _, _, tiles = plan(sight, block.first, HOW.M, HOW.N, True)
    q = tile(inputs.query, queries, block.batch, block.head, block.first, rows, True, HOW.D, HOW.WIDTH)
    of_rows = block.plane.to(tl.int64) * queries + block.first + rows
    of_row = of_each(statistics, block.plane, queries, block.first, rows, True)[:, None]
    left = tl.load(first_keys + block.first + rows, mask=there, other=0)
    i = (block.first + rows)[:, None]
    for number in range(tiles):  # pragma: no branch - how a kernel ends, the interpreter does not tell
        at = begin + number * HOW.N
        j = (at + columns)[None, :]
        k = tile(inputs.key, keys, block.batch, block.key_head, at, columns, True, HOW.D, HOW.WIDTH)
        seen = (j >= block.low[:, None]) & (j < block.high[:, None])
        scores, seen = scores_of(compared(q, k, call, block, at, False, HOW), seen, call, block, i, j, HOW)
        weights = dropped(weights_of(scores, seen, of_row, True, HOW), call, block.plane, i, j)
        place = result + of_rows[:, None] * width + (j - left[:, None])
        tl.store(place, weights, mask=seen & there[:, None])


@triton.jit(do_not_specialize=NUMBERS)
def by_bias(
    inputs, given, result, batches, key_blocks, runs, extra,
    queries, keys, start, left, right, row_seed, key_seed, seed_high, blocks,
    OVER_B: tl.constexpr, OVER_H: tl.constexpr, OVER_Q: tl.constexpr, OVER_K: tl.constexpr, HOW: tl.constexpr,
):  # fmt: skip
    """``result``, contiguous and of the bias's shape: a program for each of its tiles sums over axes it lacks."""
    call = Call(inputs, extra, Numbers(queries, keys, start, left, right, row_seed, key_seed, seed_high))
    sight = Sight(runs, start, left, right, queries, keys)
    own_rows, own_columns = 1 if OVER_Q else blocks, 1 if OVER_K else key_blocks
    own_column, program = tl.program_id(0) % own_columns, tl.program_id(0) // own_columns
    own_row, own_plane = program % own_rows, program // own_rows
    own_heads = 1 if OVER_H else inputs.heads
    rows, columns = tl.arange(0, HOW.M), tl.arange(0, HOW.N)
    summed = tl.zeros([HOW.M, HOW.N], tl.float32)
    for batch_number in range(batches if OVER_B else 1):
        batch = own_plane // own_heads + batch_number
        for head_number in range(inputs.heads if OVER_H else 1):
            head = own_plane % own_heads + head_number
            for row_number in range(blocks if OVER_Q else 1):
                first = (own_row + row_number) * HOW.M
                low, high = run_of(sight, first + rows)
                block = Block(batch * inputs.heads + head, batch, head, head // inputs.group, first, low, high)
                for column_number in range(key_blocks if OVER_K else 1):
                    summed += of_tile(given, call, block, (own_column + column_number) * HOW.N, HOW)
    i, j = own_row * HOW.M + rows, own_column * HOW.N + columns
    own_queries, own_keys = 1 if OVER_Q else queries, 1 if OVER_K else keys
    at = result + own_plane.to(tl.int64) * own_queries * own_keys
    if OVER_Q and OVER_K:
        tl.store(at, tl.sum(tl.sum(summed, 1), 0))
    elif OVER_Q:
        tl.store(at + j, tl.sum(summed, 0), mask=j < keys)
    elif OVER_K:
        tl.store(at + i, tl.sum(summed, 1), mask=i < queries)
    else:
        there = (i < queries)[:, None] & (j < keys)[None, :]
        tl.store(at + i[:, None].to(tl.int64) * keys + j[None, :], summed, mask=there)


@triton.jit
def of_tile(given, call, block, begin, HOW: tl.constexpr):
    """∂L/∂S of one tile."""
    rows, columns, queries = tl.arange(0, HOW.M), tl.arange(0, HOW.N), call.numbers.queries
    i, j = (block.first + rows)[:, None], (begin + columns)[None, :]
    of_row = of_each(given.statistics, block.plane, queries, block.first, rows, True)[:, None]
    inner = of_each(given.inner, block.plane, queries, block.first, rows, True)[:, None]
    query = call.inputs.query
    q = tile(query, call.numbers.queries, block.batch, block.head, block.first, rows, True, HOW.D, HOW.WIDTH)
    do = tile(given.grad, call.numbers.queries, block.batch, block.head, block.first, rows, True, HOW.DV, HOW.WIDTH_V)
    k, v = keys_and_values(call, block, begin, True, HOW)
    seen = (j >= block.low[:, None]) & (j < block.high[:, None]) & (i < call.numbers.queries)
    scores, seen = scores_of(compared(q, k, call, block, begin, False, HOW), seen, call, block, i, j, HOW)
    weights = weights_of(scores, seen, of_row, True, HOW)
    by_weight = dropped(product(do, tl.trans(v), HOW), call, block.plane, i, j)
    return by_score(weights, by_weight, of_row, inner, seen, True, HOW)
