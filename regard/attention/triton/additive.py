"""The additive score, ``Σ_d w_d · tanh(q_d + k_d)``, channel by channel, and its gradients.

With r = 1 / (1 + e^2q · e^2k), tanh(q + k) = 1 − 2 r and its derivative is 4 r (1 − r): what an exponential costs is
paid once for each vector, and a pair costs a product and half a reciprocal, for two channels share one: with x = 1 / r
of each, 1 / (x₀ x₁) times x₁ is r₀. Where x₀ x₁ would leave what float32 holds, as a tile's largest numbers tell, the
exponential of the sum is taken for each pair.
"""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.triton.tiles import INTERPRETED, is_finite, product, start_of

TWICE = tl.constexpr(2.8853900817779268)  # 2 log₂ e
REST = tl.constexpr(3.851926e-08)  # what float32 lacks of it
TOGETHER = tl.constexpr(16)  # channels
FURTHEST = tl.constexpr(30.0)  # of 2 log₂ e · |x|: four such exponentials can be multiplied


@triton.jit
def column(matrix, count, batch, head, first, offsets, d, D: tl.constexpr, CAREFUL: tl.constexpr):
    """``[M]``: channel d of rows from ``first`` on, zero for one that is not there, and with care for NaN and Inf."""
    at = start_of(matrix, batch, head, first) + offsets * matrix.row + d
    found = tl.load(at, mask=(first + offsets < count) & (d < D), other=0.0).to(tl.float32)
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
def inverse(x):
    """1 / x of 1 and more."""
    if INTERPRETED:
        found = 1.0 / x
    else:  # pragma: no cover - needs a GPU
        found = tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1)
    return found


@triton.jit
def is_near(a):
    """Whether all of a vector's numbers are small enough to share a reciprocal; NaN and Inf are not."""
    return tl.max(tl.where(tl.abs(a) * TWICE < FURTHEST, 0, 1), 0) == 0


@triton.jit
def reciprocals(rows, columns, call, block, begin, d, CAREFUL: tl.constexpr, HOW: tl.constexpr):
    """``1 / (1 + e^(2a + 2b))`` of pairs, of channels d and d + 1: ``[M, N]`` each."""
    i, j = tl.arange(0, HOW.M), tl.arange(0, HOW.N)
    a = column(rows[0], rows[1], block.batch, rows[2], block.first, i, d, HOW.D, CAREFUL)
    b = column(columns[0], columns[1], block.batch, columns[2], begin, j, d, HOW.D, CAREFUL)
    c = column(rows[0], rows[1], block.batch, rows[2], block.first, i, d + 1, HOW.D, CAREFUL)
    e = column(columns[0], columns[1], block.batch, columns[2], begin, j, d + 1, HOW.D, CAREFUL)
    if is_near(a) & is_near(b) & is_near(c) & is_near(e):
        x = 1.0 + exponential(a)[:, None] * exponential(b)[None, :]
        y = 1.0 + exponential(c)[:, None] * exponential(e)[None, :]
        shared = inverse(x * y)
        first, second = y * shared, x * shared
    else:
        first = 1.0 / (1.0 + tl.exp2((a[:, None] + b[None, :]) * TWICE))
        second = 1.0 / (1.0 + tl.exp2((c[:, None] + e[None, :]) * TWICE))
    return first, second


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
    found = as_products(HOW)
    for channel in range(0, HOW.D, TOGETHER):  # sums of sums, which lose fewer digits
        some = as_products(HOW)
        for d in range(channel, tl.minimum(channel + TOGETHER, HOW.D), 2):
            first, second = reciprocals(rows, columns, call, block, begin, d, False, HOW)
            v, w = weight_of(weight, d, HOW), weight_of(weight, d + 1, HOW)
            some += (v + w) - 2.0 * (v * first + w * second)
        found += some
    return found


@triton.jit
def as_products(HOW: tl.constexpr):
    """Zeros ``[M, N]``, held by threads as they hold products: of a few rows and columns each, for which they read."""
    return tl.dot(tl.zeros([HOW.M, 16], tl.float16), tl.zeros([16, HOW.N], tl.float16))


@triton.jit
def weight_of(weight, d, HOW: tl.constexpr):
    """That of a channel, zero for one that is not there."""
    return tl.load(weight + d, mask=d < HOW.D, other=0.0)


@triton.jit
def by_channel(found, call, block, begin, BY_KEY: tl.constexpr, CAREFUL: tl.constexpr, HOW: tl.constexpr):
    """From ∂L/∂S ``[M, N]`` that of the rows, ``[M, WIDTH]``, and that of the weight, ``[WIDTH]``."""
    rows, columns = sides(call, block, BY_KEY)
    weight, pairs = call.extra.weight + block.head * HOW.D, 2 * tl.arange(0, HOW.WIDTH // 2)
    by_row, by_weight = tl.zeros([HOW.M, HOW.WIDTH // 2, 2], tl.float32), tl.zeros([HOW.WIDTH // 2, 2], tl.float32)
    for d in range(0, HOW.D, 2):
        r, s = reciprocals(rows, columns, call, block, begin, d, CAREFUL, HOW)
        v, w = weight_of(weight, d, HOW), weight_of(weight, d + 1, HOW)
        slopes = tl.join(4.0 * v * tl.sum(found * (r - r * r), 1), 4.0 * w * tl.sum(found * (s - s * s), 1))
        by_row += tl.where((pairs == d)[None, :, None], slopes[:, None, :], 0.0)
        if not BY_KEY:
            told = tl.sum(tl.join(tl.sum(found * (1.0 - 2.0 * r), 1), tl.sum(found * (1.0 - 2.0 * s), 1)), 0)
            by_weight += tl.where((pairs == d)[:, None], told[None, :], 0.0)
    return tl.reshape(by_row, [HOW.M, HOW.WIDTH]), tl.reshape(by_weight, [HOW.WIDTH])
