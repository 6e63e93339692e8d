"""The definition of attention over images: every pair of pixels at once. The oracle of every test."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from regard.attention.dropout import keep_mask
from regard.attention.grid.spec import GridSpec, Image, images_of
from regard.attention.grid.weights import GridWeights, from_dense
from regard.attention.grid.window import sees, table_index
from regard.attention.reference import Pairs, is_seen_finite, over_pairs
from regard.attention.spec import compute_dtype, without_autocast


def refusals(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> list[str]:
    """Every reason why it cannot do the call: none but where a network is traced."""
    if spec.offsets is not None and torch.compiler.is_compiling():
        return ["a network is traced, and it reads where each image begins"]
    return []


def attend(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> tuple[Tensor, None]:
    """``weights @ value`` over all pixels; ``[B, H, N, Dv]`` or ``[T, H, Dv]``. Memory O(N²)."""
    with without_autocast(query.device):
        if spec.offsets is None:
            return _one(query, key, value, spec, Image(0, spec.rows, spec.columns))[0], None
        outputs = [_one(*image)[0].squeeze(0).transpose(0, 1) for image in _unbind(query, key, value, spec)]
    nothing = query[:0, :, :1].expand(-1, -1, value.shape[2])  # so that no images at all have a gradient too
    return torch.cat([*outputs, nothing]), None  # [T, H, Dv]


def weights(query: Tensor, key: Tensor, spec: GridSpec) -> GridWeights:
    """All weights, then held as a window."""
    with without_autocast(query.device):
        if spec.offsets is None:
            dense = [_one(query, key, key, spec, Image(0, spec.rows, spec.columns))[1]]  # [B, H, N, N]
        else:
            dense = [_one(*image)[1] for image in _unbind(query, key, key, spec)]  # [1, H, N_b, N_b] each
    return from_dense([x.to(query.dtype) for x in dense], query, spec)


def _unbind(
    query: Tensor, key: Tensor, value: Tensor, spec: GridSpec
) -> Iterator[tuple[Tensor, Tensor, Tensor, GridSpec, Image]]:
    for image in images_of(query, spec):
        pixels = slice(image.start, image.start + image.rows * image.columns)
        q, k, v = (x[pixels].transpose(0, 1)[None] for x in (query, key, value))  # [1, H, N_b, D]
        yield q, k, v, spec, image


def _one(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec, image: Image) -> tuple[Tensor, Tensor]:
    (B, H, N, _), dtype, device = query.shape, query.dtype, query.device
    query = query.to(compute_dtype(dtype))  # [B, H, N, D]
    key, value = (x.to(query.dtype).repeat_interleave(H // key.shape[1], 1) for x in (key, value))

    vertical = sees(image.rows, spec.vertical, spec.border, device)  # [rows, rows]
    horizontal = sees(image.columns, spec.horizontal, spec.border, device)
    visible = (vertical[:, None, :, None] & horizontal[None, :, None, :]).reshape(N, N)

    bias = query.new_zeros(1) if spec.bias is None else spec.bias.to(query.dtype)
    if spec.row_table is not None and spec.column_table is not None:
        row, column = torch.arange(image.rows, device=device), torch.arange(image.columns, device=device)
        by_row = spec.row_table.to(query.dtype)[:, table_index(row, row, spec.row_table.shape[1], spec.row_table_up)]
        by_column = spec.column_table.to(query.dtype)[
            :, table_index(column, column, spec.column_table.shape[1], spec.column_table_left)
        ]
        bias = (by_row[:, :, None, :, None] + by_column[:, None, :, None, :]).reshape(H, N, N)
    visible = visible & (bias != -math.inf)

    keep: Tensor | None = None
    if spec.seed is not None:
        planes = torch.arange(B * H, device=device)
        pixels = torch.arange(image.start, image.start + N, device=device)[None]
        keep = keep_mask(int(spec.seed), planes, pixels, pixels, spec.dropout_p).view(B, H, N, N)
    careful = not all(is_seen_finite(x) for x in (query, key, value))
    output, weights = over_pairs(query, key, value, Pairs(visible, bias, keep, careful), spec)
    return output.to(dtype), weights
