"""A block of keys as it meets the rows of a sequence here: by the native kernels at once, or in bounded parts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from regard.attention.spec import Spec, compute_dtype
from regard.parallel import kernels
from regard.parallel.layout import NOTHING, Run, Span, overlap
from regard.parallel.pairs import Area, Slopes, Sums
from regard.parallel.windowed import Work

BUDGET = 1 << 20  # pairs of a row and a key, over all heads, whose scores are held at a time
ROWS = 512  # most of them at a time
Block = list[Tensor]  # keys and values of a process, and the sums of their gradients in backward


def begun(work: Work, run: Run, query: Tensor, value: Tensor, mask: Tensor | None) -> Sums:
    """Nothing yet, of the rows of a run."""
    rows = work.lines(query, (run.first, run.stop))
    output, most = rows.new_zeros(*rows.shape[:3], value.shape[-1]), rows.new_full(rows.shape[:3], -torch.inf)
    if work.spec.normalizer == "softmax":
        return Sums(output, most, torch.zeros_like(most), None)
    return Sums(output, most, most, _seen(work, run, torch.zeros_like(most), mask).clamp_(min=1))


def add(work: Work, run: Run, owner: int, query: Tensor, block: Block, mask: Tensor | None, sums: Sums) -> None:
    """What the rows of a run make of a process's block."""
    span = (run.first, run.stop)
    if work.implementation == "native":
        keys, spec = _at_once(work, run, owner, mask)
        if keys != NOTHING:
            key, value = (_in_sums(_keys_of(work, x, keys, owner)) for x in block)
            kernels.add(sums, work.lines(query, span), key, value, spec)
        return
    rows = work.lines(query, span)
    for area, (a, b), keys in _areas(work, run, owner, mask):
        key, value = (_of_query_heads(work, _keys_of(work, x, keys, owner)) for x in block)
        sums.rows(a, b).add(rows[:, :, a:b], key, value, area)


def add_gradients(
    work: Work,
    run: Run,
    owner: int,
    inputs: tuple[Tensor, Tensor],
    known: tuple[Tensor, Tensor],
    block: Block,
    mask: Tensor | None,
    sums: dict[str, Tensor],
) -> None:
    """The gradients of the rows of a run and of a process's block.

    Arguments:
        inputs: query and the gradient of the output, of this process's rows.
        known: the statistic of the run's rows over all keys, and ``output · grad``, as :meth:`Slopes.add` takes them.
        sums: by query, and by what is learned.
    """
    span = (run.first, run.stop)
    by_query = work.lines(sums["query"], span, cast=False)
    rows, grad = (work.lines(x, span) for x in inputs)
    if work.implementation == "native":
        keys, spec = _at_once(work, run, owner, mask)
        if keys != NOTHING:
            key, value, by_key, by_value = (_in_sums(_keys_of(work, x, keys, owner)) for x in block)
            kernels.add_gradients(Slopes(by_query, by_key, by_value, sums), rows, key, value, grad, known, spec)
        return
    for area, (a, b), keys in _areas(work, run, owner, mask):
        key, value, by_key, by_value = (_keys_of(work, x, keys, owner) for x in block)
        key, value = _of_query_heads(work, key), _of_query_heads(work, value)
        into, (statistic, inner) = Slopes(by_query[:, :, a:b], by_key, by_value, sums), (x[:, :, a:b] for x in known)
        into.add(rows[:, :, a:b], key, value, grad[:, :, a:b], (statistic, inner), area)


def _at_once(work: Work, run: Run, owner: int, mask: Tensor | None) -> tuple[Span, Spec]:
    """The keys of a block that a run sees, and the call of the run's rows with them."""
    low, high = overlap(work.layout.seen(run), work.layout.keys_of(owner))
    spec = work.spec._replace(
        offsets=None,
        key_offsets=None,
        key_mask=None if mask is None else mask[:, low:high],
        query_start=run.position - (low - run.keys[0]),
        first_row=run.first,
        first_key=low,
    )
    return (low, high), spec


def _areas(work: Work, run: Run, owner: int, mask: Tensor | None) -> Iterator[tuple[Area, Span, Span]]:
    """The rows of a run, counted from its first, against the keys of a process, a bounded part at a time."""
    low, high = overlap(work.layout.seen(run), work.layout.keys_of(owner))
    held = 1 if work.spec.additive_weight is None else work.dim  # additive scores hold a vector for each pair
    rows = max(1, min(ROWS, BUDGET // (work.planes * held * ROWS)))
    keys = max(1, min(ROWS, BUDGET // (work.planes * held * rows)))
    for a in range(0, run.stop - run.first, rows):
        b = min(a + rows, run.stop - run.first)
        for first in range(low, high, keys):
            stop = min(first + keys, high)
            seen = None if mask is None else mask[:, first:stop]
            place = (run.first + a, first, run.position + a, first - run.keys[0])
            area = Area(work.spec, b - a, stop - first, *place, seen)
            if not area.is_empty:
                yield area, (a, b), (first, stop)


def _seen(work: Work, run: Run, counts: Tensor, mask: Tensor | None) -> Tensor:
    """``[B, H, R]``: how many keys of all processes each row of a run sees, added to zeros."""
    table, (start, end) = work.spec.table, run.keys
    if mask is None and (table is None or not bool(table.isneginf().any())):
        position = torch.arange(run.stop - run.first, device=counts.device) + run.position
        left, right = work.spec.left, work.spec.right
        low = 0 if left is None else (position - left).clamp_(min=0)
        high = end - start if right is None else (position + right + 1).clamp_(max=end - start)
        return counts + torch.as_tensor(high - low, device=counts.device).clamp(min=0)
    for owner in range(work.group.size):
        for area, (a, b), _ in _areas(work, run, owner, mask):
            visible = area.visible(counts.device)
            counts[:, :, a:b] += area.keys if visible is None else visible.sum(-1)
    return counts


def _keys_of(work: Work, x: Tensor, keys: Span, owner: int) -> Tensor:
    """Those of a process's block, as a view ``[B, Hk, W, D]``."""
    x = x.narrow(work.axis, keys[0] - work.layout.keys[owner], keys[1] - keys[0])
    return x if work.spec.offsets is None else x.transpose(0, 1)[None]


def _of_query_heads(work: Work, x: Tensor) -> Tensor:
    """``[B, Hk, W, D]`` → ``[B, H, W, D]``."""
    return _in_sums(x).repeat_interleave(work.heads // x.shape[1], 1)


def _in_sums(x: Tensor) -> Tensor:
    """In the type that sums are held in: parts of an output are not rounded before they are added up."""
    return x.to(compute_dtype(x.dtype))
