"""What kernels are told, in groups that they also hand on among themselves."""

from __future__ import annotations

from typing import Any, NamedTuple


class How(NamedTuple):
    """What is compiled in, each a ``tl.constexpr``: before Triton 3.8 a number of a tuple is none by itself."""

    M: Any  # rows of a block
    N: Any  # others in a tile
    D: Any  # channels of queries and keys
    DV: Any  # of values
    WIDTH: Any  # channels of a tile, a power of two: D and more
    WIDTH_V: Any
    ADDITIVE: Any  # whether scores are Σ w · tanh(q + k), or products
    NORMALIZER: Any
    PRECISION: Any  # of products
    HIDDEN: Any  # whether more is hidden than windows hide

    def __hash__(self) -> int:
        """Asked for at every call, where Triton's own, field by field, takes microseconds."""
        return hash(tuple([x.value for x in self]))


class Matrix(NamedTuple):
    """``[B, H, N, D]``, of which the numbers of a row stand side by side."""

    pointer: Any
    batch: int  # strides
    head: int
    row: int


class Inputs(NamedTuple):
    """Of every kernel."""

    query: Matrix
    key: Matrix
    value: Matrix
    heads: int  # of queries
    group: int  # of query heads to one of keys


class Numbers(NamedTuple):
    """What differs from call to call, and is compiled in nowhere."""

    queries: int  # of a plane
    keys: int
    start: int  # position of the first query
    left: int | None  # of the window; None: there is no limit
    right: int | None
    row_seed: int | None  # None: there is no dropout; see regard.attention.dropout, and Spec.first_row
    key_seed: int
    seed_high: int


NUMBERS = [*Numbers._fields, "blocks"]


class Runs(NamedTuple):
    """Of each row of a ragged batch, int32: the others in its sequence and window, and the one at distance 0."""

    low: Any  # None in a dense batch, where numbers say it
    high: Any
    center: Any


class Sight(NamedTuple):
    """Which of the other side a row sees: those of a run, or ``i + shift − before … i + shift + after``."""

    runs: Runs
    shift: Any
    before: Any
    after: Any
    rows: Any  # how many there are
    others: Any


class Extra(NamedTuple):
    """What makes a score of a product, and a weight of a score."""

    weight: Any  # float32 [H, D] of an additive score
    factor: float  # of the product or sum, to base 2 where an exponential is taken
    mask: Any  # uint8 [B, K], 0 where a key is hidden
    bias: Any  # float32, read with these strides; −inf hides
    bias_batch: int
    bias_head: int
    bias_row: int
    bias_column: int
    table: Any  # float32 [H, left + 1 + right]; −inf hides
    left: int
    right: int
    center: Any  # that of a ragged batch's runs
    threshold: int  # of dropout
    kept: float  # 1 / (1 − p)


class Call(NamedTuple):
    """What a kernel is told, but for what it writes."""

    inputs: Inputs
    extra: Extra
    numbers: Numbers


class Block(NamedTuple):
    """The rows that a program works on."""

    plane: Any  # batch · heads + head
    batch: Any
    head: Any
    key_head: Any
    first: Any  # row
    low: Any  # [M]: what each sees
    high: Any
