"""A bias by rows and columns, where every pixel sees all, as more elements of query and key: plain attention then.

``rows[Δrow] + columns[Δcolumn] = a_q · e_k`` with ``e_k`` the key's row and column one-hot, and ``a_q`` what the query
adds to each row and column. So the bias costs a few elements more in a product, and no N × N.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.attention import native
from regard.attention.api import attend
from regard.attention.grid.spec import GridSpec, images_of
from regard.attention.grid.window import table_index
from regard.attention.spec import has_no_numbers

MOST = 256  # rows and columns together, which are as many elements more
LANES = 16  # of which elements are a multiple


def folds(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> bool:
    """Whether the call is better done so: in float32, by the native kernels, with tables that hide nothing."""
    whole = spec._replace(row_table=None, column_table=None).of_sequences()
    if spec.row_table is None or spec.column_table is None or whole is None or spec.additive_weight is not None:
        return False
    if query.dtype != torch.float32 or spec.seed is not None or torch.compiler.is_compiling() or has_no_numbers(query):
        return False
    if native.refusals(query, key, value, whole) or sum(_largest(query, spec)) > MOST:
        return False
    return all(bool(table.to(query.dtype).isfinite().all()) for table in (spec.row_table, spec.column_table))


def attend_folded(query: Tensor, key: Tensor, value: Tensor, spec: GridSpec) -> Tensor:
    """``[B, H, N, Dv]`` or ``[T, H, Dv]``: the output of a call that :func:`folds`."""
    assert spec.row_table is not None
    assert spec.column_table is not None
    own, seen = [query * spec.scale], [key]
    axes = zip(_places(query, spec), _largest(query, spec), strict=True)
    tables = (spec.row_table, spec.row_table_up), (spec.column_table, spec.column_table_left)
    for (place, size), (table, before) in zip(axes, tables, strict=True):
        every = torch.arange(size, device=query.device)
        added = table.to(query.dtype)[:, table_index(place, every, table.shape[1], before)]  # [H, N, size]
        added = added.movedim(0, -2) if query.dim() == 3 else added
        one_hot = (place[:, None] == every).to(key.dtype)  # [N, size]
        one_hot = one_hot[:, None] if query.dim() == 3 else one_hot
        own.append(added.expand(*query.shape[:-1], size))
        seen.append(one_hot.expand(*key.shape[:-1], size))
    query, key = torch.cat(own, -1), torch.cat(seen, -1)
    filled = (0, -query.shape[-1] % LANES)
    return attend(
        F.pad(query, filled),
        F.pad(key, filled),
        value,
        offsets=spec.offsets,
        normalizer=spec.normalizer,
        scale=1.0,
        implementation="native",
    )


def _largest(query: Tensor, spec: GridSpec) -> tuple[int, int]:
    """The most rows and columns that an image has."""
    images = images_of(query, spec)
    return max((x.rows for x in images), default=0), max((x.columns for x in images), default=0)


def _places(query: Tensor, spec: GridSpec) -> tuple[Tensor, Tensor]:
    """Row and column of each pixel, ``[N]`` of a dense batch or ``[T]`` of a ragged one."""
    images = images_of(query, spec)
    sizes = torch.tensor([x[1:] for x in images], dtype=torch.int64, device=query.device).view(-1, 2)
    columns, counts = sizes[:, 1], sizes.prod(1)
    number = torch.repeat_interleave(counts)  # [N], of each pixel's image
    place = torch.arange(len(number), device=query.device) - (counts.cumsum(0) - counts)[number]
    return place // columns[number], place % columns[number]
