"""Which weights dropout keeps: a hash of where they stand, so that it can be had again in any order, anywhere."""

from __future__ import annotations

from torch import Tensor

_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - (1 << 32)  # the multipliers of the "lowbias32" integer hash


def _hash(x: Tensor) -> Tensor:
    x = x ^ (x >> 16)
    x = x * _FIRST
    x = x ^ (x >> 15)
    x = x * _SECOND
    return x ^ (x >> 16)


def keep_mask(seed: int, planes: Tensor, rows: Tensor, keys: Tensor, p: float) -> Tensor:
    """Bool ``[n, R, W]``, each True with probability ``1 - p``.

    Arguments:
        seed: any 62-bit number.
        planes: int ``[n]``, batch · heads + head.
        rows: int ``[n or 1, R]``, the query's row.
        keys: int ``[n or 1, W]``, the key's row.
    """
    low, high = seed & 0x7FFFFFFF, seed >> 31
    row = _hash(_hash(rows.int() + low)[:, :, None] ^ _hash(planes.int() * _SECOND + high)[:, None, None])  # [n, R, 1]
    key = _hash(keys.int() * _FIRST - low)[:, None, :]  # [n, 1, W]
    x = row ^ key
    x = x.mul_(_FIRST)
    x = x.bitwise_xor_(x >> 15).mul_(_SECOND)
    return x >= int(p * 2**32) - 2**31
