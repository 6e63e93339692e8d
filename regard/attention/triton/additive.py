"""The additive score, ``Σ_d w_d · tanh(q_d + k_d)``, channel by channel, and its gradients.

With r = 1 / (1 + e^2q · e^2k), tanh(q + k) = 1 − 2 r and its derivative is 4 r (1 − r): what an exponential costs is
paid once for each vector, and a pair costs a product and a reciprocal. Where e^2q · e^2k would leave what float32
holds, as a tile's largest numbers tell, the exponential of the sum is taken for each pair.
"""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.triton.tiles import is_finite, product, start_of

TWICE = tl.constexpr(2.8853900817779268)  # 2 log₂ e
REST = tl.constexpr(3.851926e-08)  # what float32 lacks of it
FURTHEST = tl.constexpr(60.0)  # of 2 log₂ e · |x|: two such exponentials can be multiplied


@triton.jit
def column(matrix, count, batch, head, first, offsets, d, CAREFUL: tl.constexpr):
    """``[M]``: channel d of rows from ``first`` on; with care zero for what is NaN or infinite."""
    at = start_of(matrix, batch, head, first) + offsets * matrix.row + d
    found = tl.load(at, mask=first + offsets < count, other=0.0).to(tl.float32)
    if CAREFUL:
        found = tl.where(is_finite(found), found, 0.0)
    return found


@triton.jit
def sides(call, block, BY_KEY: tl.constexpr):
    """Of rows and of columns of pairs: the matrix, how many rows it has, and the head."""
    query = (call.inputs.query, call.numbers.queries, block.head)
    key = (call.inputs.key, call.numbers.keys, block.key_head)
    if BY_KEY:
        rows, columns = key, query
    else:
        rows, columns = query, key
    return rows, columns


@triton.jit
def exponential(x):
    """e^2x to the last digit: what rounding 2 log₂ e · x loses comes back as a factor near 1."""
    high = x * TWICE
    low = tl.fma(x, x * 0 + TWICE, -high) + x * REST
    return tl.exp2(high) * (1.0 + 0.6931471805599453 * low)


@triton.jit
def reciprocal(a, b, fast):
    """``1 / (1 + e^(2a + 2b))`` of pairs."""
    if fast:
        found = 1.0 / (1.0 + exponential(a)[:, None] * exponential(b)[None, :])
    else:
        found = 1.0 / (1.0 + tl.exp2((a[:, None] + b[None, :]) * TWICE))
    return found


@triton.jit
def compared(rows, others, call, block, begin, BY_KEY: tl.constexpr, HOW: tl.constexpr):
    """What queries and keys make of each other, ``[M, N]``: of tiles of rows and others, by either score."""
    found = summed(call, block, begin, BY_KEY, HOW) if HOW.ADDITIVE else product(rows, tl.trans(others), HOW)
    return found


@triton.jit
def summed(call, block, begin, BY_KEY: tl.constexpr, HOW: tl.constexpr):
    """``[M, N]``: the sums over channels, of rows of the block and others from ``begin`` on."""
    rows, columns = sides(call, block, BY_KEY)
    weight = call.extra.weight + block.head * HOW.D
    found = tl.zeros([HOW.M, HOW.N], tl.float32)
    for d in range(HOW.D):
        a = column(rows[0], rows[1], block.batch, rows[2], block.first, tl.arange(0, HOW.M), d, False)
        b = column(columns[0], columns[1], block.batch, columns[2], begin, tl.arange(0, HOW.N), d, False)
        fast = (tl.max(tl.abs(a), 0) * TWICE < FURTHEST) & (tl.max(tl.abs(b), 0) * TWICE < FURTHEST)
        found += tl.load(weight + d) * (1.0 - 2.0 * reciprocal(a, b, fast))
    return found


@triton.jit
def by_channel(found, call, block, begin, BY_KEY: tl.constexpr, CAREFUL: tl.constexpr, HOW: tl.constexpr):
    """From ∂L/∂S ``[M, N]`` that of the rows, ``[M, WIDTH]``, and that of the weight, ``[WIDTH]``."""
    rows, columns = sides(call, block, BY_KEY)
    weight, channels = call.extra.weight + block.head * HOW.D, tl.arange(0, HOW.WIDTH)
    by_row, by_weight = tl.zeros([HOW.M, HOW.WIDTH], tl.float32), tl.zeros([HOW.WIDTH], tl.float32)
    for d in range(HOW.D):
        a = column(rows[0], rows[1], block.batch, rows[2], block.first, tl.arange(0, HOW.M), d, CAREFUL)
        b = column(columns[0], columns[1], block.batch, columns[2], begin, tl.arange(0, HOW.N), d, CAREFUL)
        fast = (tl.max(tl.abs(a), 0) * TWICE < FURTHEST) & (tl.max(tl.abs(b), 0) * TWICE < FURTHEST)
        r = reciprocal(a, b, fast)
        slope = 4.0 * tl.load(weight + d) * tl.sum(found * (r - r * r), 1)
        by_row += tl.where(channels[None, :] == d, slope[:, None], 0.0)
        if not BY_KEY:
            told = tl.sum(tl.sum(found * (1.0 - 2.0 * r), 1), 0)
            by_weight += tl.where(channels == d, told, 0.0)
    return by_row, by_weight
