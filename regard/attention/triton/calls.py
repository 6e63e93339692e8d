"""Calls of the kernels: what they are given, on which grid, and what they write into."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from regard.attention.band import Band
from regard.attention.native import saved_shape
from regard.attention.spec import Spec, sequences_of
from regard.attention.triton import tuning
from regard.attention.triton.arguments import Extra, How, Inputs, Matrix, Numbers, Runs
from regard.attention.triton.backward import Given, by_key, by_query
from regard.attention.triton.forward import forward
from regard.attention.triton.pairs import band, by_bias
from regard.attention.triton.runs import Found, runs_of, window_of
from regard.attention.triton.tiles import FIRST
from regard.attention.weights import AttentionWeights

LEAST = 16  # channels that a matrix unit takes
LOG2_E = 1.4426950408889634


class Call(NamedTuple):
    """What every kernel of a call is told."""

    inputs: Inputs
    runs: Found
    extra: Extra
    numbers: Numbers
    batches: int
    compiled: tuple[Any, ...]  # what How says, but for the sizes of tiles

    def launch(self, kernel: Any, tiles: tuning.Tiles, count: int, *given: Any, **compiled: Any) -> None:
        """So many programs, where there are any."""
        if count:
            how = _how(tiles.rows, tiles.columns, *self.compiled)
            kernel[(count,)](self.inputs, *given, HOW=how, **compiled, **_options(tiles))


def attend(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """The output, and the statistics of each row."""
    query, key, value = (_rows_whole(x) for x in (query, key, value))
    output = query.new_empty(*query.shape[:-1], value.shape[-1])
    statistics = query.new_empty(saved_shape(query), dtype=torch.float32)
    call = _call(query, key, value, spec)
    tiles = _forward_tiles(query, value, spec, call.numbers.keys)
    blocks = _blocks(call.numbers.queries, tiles.rows)
    count = blocks * call.batches * call.inputs.heads
    runs = call.runs
    call.launch(forward, tiles, count, matrix(output), statistics, runs.by_query, call.extra, *call.numbers, blocks)
    if runs.ill is not None:
        output, statistics = (x.masked_fill_(runs.ill, math.nan) for x in (output, statistics))
    return output, statistics


def gradients(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, spec: Spec
) -> dict[str, Tensor]:
    """Those of query, key, value and what is learned."""
    query, key, value, output, grad = (_rows_whole(x) for x in (query, key, value, output, grad))
    call = _call(query, key, value, spec)
    inputs, extra = call.inputs, call.extra
    scale = spec.scale if spec.additive_weight is None else 1.0  # of products
    found = {
        name: torch.empty_like(x, memory_format=torch.contiguous_format)
        for name, x in {"query": query, "key": key, "value": value}.items()
    }
    by_distance = None if spec.table is None else saved.new_zeros(*saved.shape, spec.table.shape[1])
    tiles = _backward_tiles(tuning.BY_QUERY, query, value, spec)
    blocks = _blocks(call.numbers.queries, tiles.rows)
    parts = None if spec.additive_weight is None else saved.new_empty(*saved.shape[:2], blocks, query.shape[-1])
    given = Given(matrix(grad), saved, torch.empty_like(saved), by_distance, parts)
    told: tuple[Any, ...] = (matrix(output), given, matrix(found["query"]), call.runs.by_query)
    count = blocks * call.batches * inputs.heads
    call.launch(by_query, tiles, count, *told, extra, *call.numbers, blocks, scale)

    tiles = _backward_tiles(tuning.BY_KEY, query, value, spec)
    blocks = _blocks(call.numbers.keys, tiles.rows)
    told = (given, matrix(found["key"]), matrix(found["value"]), call.runs.by_key)
    count = blocks * call.batches * (inputs.heads // inputs.group)
    call.launch(by_key, tiles, count, *told, extra, *call.numbers, blocks, scale)
    if parts is not None and spec.additive_weight is not None:
        found["additive_weight"] = parts.sum((0, 2)).to(spec.additive_weight.dtype)
    if by_distance is not None and spec.table is not None:
        found["table"] = by_distance.sum((0, 2)).to(spec.table.dtype)
    if spec.bias is not None:
        found["bias"] = _by_bias(call, given, spec.bias)
    return found


def _by_bias(call: Call, given: Given, bias: Tensor) -> Tensor:
    inputs = call.inputs
    sizes = call.batches, inputs.heads, call.numbers.queries, call.numbers.keys
    shape = (1,) * (4 - bias.dim()) + tuple(bias.shape)
    over = {f"OVER_{axis}": own == 1 and size != 1 for axis, own, size in zip("BHQK", shape, sizes, strict=True)}
    found = torch.zeros(shape, dtype=torch.float32, device=bias.device)
    tiles = tuning.tiles_of(tuning.PAIRS, max(call.compiled[:2]))
    blocks, key_blocks = _blocks(sizes[2], tiles.rows), _blocks(sizes[3], tiles.columns)
    count = shape[0] * shape[1] * (1 if over["OVER_Q"] else blocks) * (1 if over["OVER_K"] else key_blocks)
    told = given, found, call.batches, key_blocks, call.runs.by_query, call.extra, *call.numbers, blocks
    call.launch(by_bias, tiles, count if all(sizes) else 0, *told, **over)
    return found.view(bias.shape).to(bias.dtype)


def weights(query: Tensor, key: Tensor, spec: Spec) -> AttentionWeights:
    """The weights, a truncated window as a band."""
    query, key = _rows_whole(query), _rows_whole(key)
    _, statistics = attend(query, key, key, spec)
    call = _call(query, key, key, spec)
    runs, held = call.runs, Band.of(spec, sequences_of(query, key, spec), query.device)
    values = query.new_zeros(*statistics.shape, held.width, dtype=torch.float32)  # [B, H, Q, W]
    tiles = tuning.tiles_of(tuning.PAIRS, query.shape[-1])
    blocks = _blocks(call.numbers.queries, tiles.rows)
    told = values, held.first + held.starts, statistics, held.width, runs.by_query, call.extra, *call.numbers, blocks
    call.launch(band, tiles, blocks * call.batches * call.inputs.heads, *told)
    if spec.offsets is not None:
        values = values[0].transpose(0, 1)  # [T, H, W]
    return held.weights(values.to(query.dtype), spec)


def matrix(x: Tensor) -> Matrix:
    """``[B, H, N, D]``, or ``[T, H, D]`` as one of them."""
    strides = x.stride()
    return Matrix(x, 0, strides[1], strides[0]) if len(strides) == 3 else Matrix(x, *strides[:3])


def _blocks(rows: int, of: int) -> int:
    """How many of so many rows; Triton's own function for this is slow outside of kernels."""
    return -(-rows // of)


def _width(dim: int) -> int:
    """The power of two that holds a head."""
    return max(LEAST, 1 << (dim - 1).bit_length())


def _rows_whole(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def _call(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> Call:
    runs = runs_of(query, key, spec)
    heads, precision = query.shape[1], "ieee"
    if query.dtype == torch.float32:
        precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
    hidden = spec.key_mask is not None or spec.bias is not None or spec.table is not None
    additive = spec.additive_weight is not None
    compiled = query.shape[-1], value.shape[-1], additive, spec.normalizer, precision, hidden
    inputs = Inputs(matrix(query), matrix(key), matrix(value), heads, heads // key.shape[1])
    batches = 1 if spec.offsets is not None else query.shape[0]
    return Call(inputs, runs, _extra(query, key, spec, runs.by_query), _numbers(query, key, spec), batches, compiled)


@cache
def _how(rows: int, columns: int, dim: int, value_dim: int, *others: Any) -> How:
    return How(*map(tl.constexpr, (rows, columns, dim, value_dim, _width(dim), _width(value_dim), *others)))


@cache
def _options(tiles: tuning.Tiles) -> dict[str, int]:
    """Of Triton."""
    options = {"num_warps": tiles.warps, "num_stages": tiles.stages}
    return options if tiles.registers is None else options | {"maxnreg": tiles.registers}


def _numbers(query: Tensor, key: Tensor, spec: Spec) -> Numbers:
    axis, seed = 2 if spec.offsets is None else 0, None if spec.seed is None else int(spec.seed)
    left, right = window_of(query, key, spec)
    numbers = Numbers(query.shape[axis], key.shape[axis], int(spec.query_start), left, right, None, 0, 0)
    if seed is None:
        return numbers
    low, high = seed & 0x7FFFFFFF, seed >> 31
    by_row, by_key = _int32(low + spec.first_row), _int32(low - spec.first_key * FIRST.value)
    return numbers._replace(row_seed=by_row, key_seed=by_key, seed_high=high)


def _int32(x: int) -> int:
    """As it is when it has gone round."""
    return (x + 2**31) % 2**32 - 2**31


def _extra(query: Tensor, key: Tensor, spec: Spec, runs: Runs) -> Extra:
    mask = None if spec.key_mask is None else spec.key_mask.contiguous().view(torch.uint8)
    bias: Tensor | None = None
    strides: tuple[int, ...] = (0, 0, 0, 0)
    if spec.bias is not None:
        bias = spec.bias.detach().float()
        strides = bias.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2]).stride()
    table, right = None, 0
    if spec.table is not None:
        table, right = spec.table.detach().float().contiguous(), spec.table.shape[1] - 1 - spec.table_left
    scale = spec.scale if spec.additive_weight is None else 1.0
    return Extra(
        weight=None if spec.additive_weight is None else spec.additive_weight.detach().float().contiguous(),
        factor=scale if spec.normalizer == "relu" else scale * LOG2_E,
        mask=mask,
        bias=bias,
        bias_batch=strides[0],
        bias_head=strides[1],
        bias_row=strides[2],
        bias_column=strides[3],
        table=table,
        left=spec.table_left,
        right=right,
        center=runs.center,
        threshold=int(spec.dropout_p * 2**32) - 2**31,
        kept=1 / (1 - spec.dropout_p),
    )


def _forward_tiles(query: Tensor, value: Tensor, spec: Spec, keys: int) -> tuning.Tiles:
    if spec.additive_weight is not None:
        return tuning.tiles_of(tuning.ADDITIVE, max(query.shape[-1], value.shape[-1]))
    if query.dtype == torch.float32:
        return tuning.tiles_of(tuning.FLOAT32, max(query.shape[-1], value.shape[-1]))
    sides = [keys if side is None else side for side in (spec.left, spec.right)]
    is_long = spec.offsets is None and sum(sides) >= tuning.LONG
    table = tuning.FORWARD_LONG if is_long else tuning.FORWARD
    return tuning.tiles_of(table, max(query.shape[-1], value.shape[-1]))


def _backward_tiles(table: dict[int, tuning.Tiles], query: Tensor, value: Tensor, spec: Spec) -> tuning.Tiles:
    if spec.additive_weight is not None:
        table = tuning.ADDITIVE
    elif query.dtype == torch.float32:
        table = tuning.FLOAT32 if spec.bias is None and spec.table is None else tuning.FLOAT32_BIASED
    elif spec.offsets is not None:
        table = tuning.RAGGED
    return tuning.tiles_of(table, max(query.shape[-1], value.shape[-1]))
