"""What all kernels share: which keys a row sees, tiles of rows, and what beside the product makes a score.

Shapes are written as in the reference: Q queries and K keys, of which a program takes M and N at once. A pair of index
tensors i (queries) and j (keys) is ``[M, 1]`` and ``[1, N]``, or ``[1, M]`` and ``[N, 1]`` where keys are the rows.
"""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.triton.arguments import Block

INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))
LOG2_E = tl.constexpr(1.4426950408889634)
FIRST, SECOND = tl.constexpr(0x7FEB352D), tl.constexpr(0x846CA68B - (1 << 32))  # those of regard.attention.dropout
LOWEST = tl.constexpr(-1e38)  # below every score, and finite, so that it can be subtracted from itself


@triton.jit
def product(a, b, HOW: tl.constexpr):
    """a @ b in float32. The interpreter multiplies half types as whole numbers: they are widened."""
    if INTERPRETED:
        found = tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    else:  # pragma: no cover - needs a GPU
        found = tl.dot(a, b, input_precision=HOW.PRECISION)
    return found


@triton.jit
def added(a, b, sum, HOW: tl.constexpr):
    """sum + a @ b."""
    if INTERPRETED:
        sum += tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    else:  # pragma: no cover - needs a GPU
        sum = tl.dot(a, b, sum, input_precision=HOW.PRECISION)
    return sum


@triton.jit
def start_of(matrix, batch, head, first):
    """The address of a row."""
    row = first.to(tl.int64) * matrix.row
    return matrix.pointer + batch.to(tl.int64) * matrix.batch + head.to(tl.int64) * matrix.head + row


@triton.jit
def tile(matrix, count, batch, head, first, offsets, EDGE: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr):
    """``[M, WIDTH]``: rows from ``first`` on, zero beyond the last row (looked for with EDGE) and the last channel."""
    d = tl.arange(0, WIDTH)
    at = start_of(matrix, batch, head, first) + offsets[:, None] * matrix.row + d[None, :]
    if EDGE and D != WIDTH:
        found = tl.load(at, mask=(first + offsets < count)[:, None] & (d < D)[None, :], other=0.0)
    elif EDGE:
        found = tl.load(at, mask=(first + offsets < count)[:, None], other=0.0)
    elif D != WIDTH:
        found = tl.load(at, mask=(d < D)[None, :], other=0.0)
    else:
        found = tl.load(at)
    return found


@triton.jit
def keys_and_values(call, block, begin, EDGE: tl.constexpr, HOW: tl.constexpr):
    """Tiles ``[N, WIDTH]`` and ``[N, WIDTH_V]``, from the key ``begin`` on."""
    columns, keys = tl.arange(0, HOW.N), call.numbers.keys
    k = tile(call.inputs.key, keys, block.batch, block.key_head, begin, columns, EDGE, HOW.D, HOW.WIDTH)
    v = tile(call.inputs.value, keys, block.batch, block.key_head, begin, columns, EDGE, HOW.DV, HOW.WIDTH_V)
    return k, v


@triton.jit
def of_each(pointer, plane, count, first, offsets, EDGE: tl.constexpr):
    """A number for each row of a plane, ``[B, H, N]``: those of rows from ``first`` on."""
    at = pointer + plane.to(tl.int64) * count + first + offsets
    return tl.load(at, mask=first + offsets < count, other=0.0) if EDGE else tl.load(at)


@triton.jit
def put(matrix, count, batch, head, first, offsets, values, D: tl.constexpr, WIDTH: tl.constexpr):
    """Writes rows from ``first`` on, as far as there are any."""
    d = tl.arange(0, WIDTH)
    at = start_of(matrix, batch, head, first) + offsets[:, None] * matrix.row + d[None, :]
    there = (first + offsets < count)[:, None] & (d < D)[None, :]
    tl.store(at, values.to(matrix.pointer.dtype.element_ty), mask=there)


@triton.jit
def of_queries(inputs, sight, blocks, M: tl.constexpr):
    """The block of queries that this program works on, of so many in each plane."""
    plane, first = tl.program_id(0) // blocks, tl.program_id(0) % blocks * M
    batch, head = plane // inputs.heads, plane % inputs.heads
    low, high = run_of(sight, first + tl.arange(0, M))
    return Block(plane, batch, head, head // inputs.group, first, low, high)


@triton.jit
def run_of(sight, i):
    """The others that rows see, ``[low, high)`` of each; both never fall from one row to the next."""
    if sight.runs.low is not None:
        low = tl.load(sight.runs.low + i, mask=i < sight.rows, other=0)
        high = tl.load(sight.runs.high + i, mask=i < sight.rows, other=0)
    else:
        low, high = i * 0, i * 0 + sight.others
        if sight.before is not None:
            low = tl.minimum(tl.maximum(i + (sight.shift - sight.before), 0), sight.others)
        if sight.after is not None:
            high = tl.maximum(tl.minimum(i + (sight.shift + sight.after + 1), sight.others), 0)
    return low, tl.maximum(low, high)


@triton.jit
def plan(sight, first, M: tl.constexpr, N: tl.constexpr, HIDDEN: tl.constexpr):
    """Tiles of N others for the rows from ``first`` on: where they begin, those before the inner ones, these, and all.

    Of an inner tile every row sees everything.
    """
    low, high_of_first = run_of(sight, first)
    low_of_last, high = run_of(sight, tl.minimum(first + M, sight.rows) - 1)
    tiles = (high - low + N - 1) // N
    before, inner = tiles, tiles * 0
    if not HIDDEN:
        before = tl.minimum((low_of_last - low + N - 1) // N, tiles)
        inner = tl.minimum(tl.maximum(high_of_first - low - before * N, 0) // N, tiles - before)
    return low, before, inner, tiles


@triton.jit
def placed(call, i):
    """The key at distance 0 from queries."""
    center = i + call.numbers.start
    if call.extra.center is not None:
        center = tl.load(call.extra.center + i, mask=i < call.numbers.queries, other=0)
    return center


@triton.jit
def unhidden(seen, call, block, i, j):
    """Which pairs are left of those that windows let see."""
    if call.extra.mask is not None:
        at = call.extra.mask + block.batch.to(tl.int64) * call.numbers.keys + j
        seen = seen & (tl.load(at, mask=j < call.numbers.keys, other=0) != 0)
    if call.extra.bias is not None or call.extra.table is not None:
        seen = seen & (bias_of(call, block, i, j) != -float("inf"))
    return seen


@triton.jit
def bias_of(call, block, i, j):
    """What is added to the scores of pairs, 0 beyond the last row and key."""
    there = (i < call.numbers.queries) & (j < call.numbers.keys)
    found = tl.where(there, 0.0, 0.0)
    extra = call.extra
    if extra.bias is not None:
        at = extra.bias + block.batch.to(tl.int64) * extra.bias_batch + block.head.to(tl.int64) * extra.bias_head
        found += tl.load(at + i.to(tl.int64) * extra.bias_row + j * extra.bias_column, mask=there, other=0.0)
    if call.extra.table is not None:
        distance = tl.minimum(tl.maximum(j - placed(call, i), -call.extra.left), call.extra.right)
        row = call.extra.table + block.head * (call.extra.left + call.extra.right + 1) + call.extra.left
        found += tl.load(row + distance, mask=there, other=0.0)
    return found


@triton.jit
def scores_of(product, seen, call, block, i, j, HOW: tl.constexpr):
    """``factor · product + bias`` of pairs, and which are seen."""
    scores = product * call.extra.factor
    if call.extra.bias is not None or call.extra.table is not None:
        bias = bias_of(call, block, i, j)
        seen = seen & (bias != -float("inf"))
        scores += bias if HOW.NORMALIZER == "relu" else bias * LOG2_E
    if call.extra.mask is not None:
        at = call.extra.mask + block.batch.to(tl.int64) * call.numbers.keys + j
        seen = seen & (tl.load(at, mask=j < call.numbers.keys, other=0) != 0)
    return scores, seen


@triton.jit
def weights_of(scores, seen, statistics, EDGE: tl.constexpr, HOW: tl.constexpr):
    """Weights of pairs from their scores and the statistics of their queries, which broadcast; see forward.py."""
    if HOW.NORMALIZER == "softmax":
        found = tl.exp2(scores - statistics)
    elif HOW.NORMALIZER == "relu":
        found = tl.where(scores < 0, 0.0, scores) * statistics  # NaN stays
    else:
        found = 1.0 / (1.0 + tl.exp2(statistics - scores))
    if EDGE:
        found = tl.where(seen, found, 0.0)
    return found


@triton.jit
def dropped(weights, call, plane, i, j):
    """Weights, or their gradients, after dropout."""
    if call.numbers.row_seed is not None:
        row = hashed(hashed(i + call.numbers.row_seed) ^ hashed(plane * SECOND + call.numbers.seed_high))
        x = (row ^ hashed(j * FIRST - call.numbers.key_seed)) * FIRST
        x = (x ^ (x >> 15)) * SECOND
        weights = tl.where(x >= call.extra.threshold, weights * call.extra.kept, 0.0)
    return weights


@triton.jit
def hashed(x):
    """The "lowbias32" hash of int32."""
    x = x ^ (x >> 16)
    x = x * FIRST
    x = x ^ (x >> 15)
    x = x * SECOND
    return x ^ (x >> 16)


@triton.jit
def is_finite(x):
    """Of each number."""
    return x * 0 == 0


@triton.jit
def some_ill(x):
    """Whether any number of a tile is NaN or infinite."""
    return tl.max((~is_finite(x)).to(tl.int32)) > 0


@triton.jit
def healed(x):
    """A tile with zeros for what is NaN or infinite, and which rows hold such."""
    well = is_finite(x.to(tl.float32))
    return tl.where(well, x, 0.0).to(x.dtype), tl.min(well.to(tl.int32), 1) == 0
