"""A window without end: blocks of keys and values go round from process to process, one at a time.

What rows make of the block at hand is added to what they made of those before, as flash attention does it. Backward
computes weights again; the gradients of a block travel with it, and then home. Sequences of which a process needs no
key of others are ordinary calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from regard.attention.spec import compute_dtype, without_autocast
from regard.parallel.held import Held
from regard.parallel.layout import Layout, Run, Span, local_steps, overlap
from regard.parallel.pairs import Area, Slopes, Sums
from regard.parallel.windowed import Gradients, Work

BUDGET = 1 << 20  # pairs of a row and a key, over all heads, whose scores are held at a time
ROWS = 512  # most of them at a time
Block = list[Tensor]  # keys and values of a process, and their gradients in backward


def forward(work: Work, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, list[Held], list[Tensor]]:
    """The output of this process's rows, its own keys, and what each step and each spread sequence saved."""
    held = [
        Held(axis, [(work.group.rank, work.layout.keys[work.group.rank], x)]) for x, axis in work.to_hold(key, value)
    ]
    steps, runs = local_steps(work.layout, work.group.rank)
    output, saved = query.new_zeros(*query.shape[:-1], value.shape[-1]), []
    mask = _whole_mask(work)
    with without_autocast(query.device):
        sums = [_begun(work, run, query, value, mask) for run in runs]
        for rank, block in _round(work, [key, value]):
            for run, own in zip(runs, sums, strict=True):
                rows = work.lines(query, (run.first, run.stop))
                for area, (a, b), keys in _areas(work, run, rank, mask):
                    k, v = (_lines_of(work, x, keys, rank) for x in block)
                    own.rows(a, b).add(rows[:, :, a:b], k, v, area)
    for step in steps:
        made, beside = work.run(step, query, held)
        work.own(output, step.rows).copy_(made)
        saved.append(beside)
    for run, own in zip(runs, sums, strict=True):
        work.lines(output, (run.first, run.stop), cast=False).copy_(own.finished())
        saved.append(own.statistic(work.spec.normalizer))
    return output, [*held, *([] if mask is None else [Held(1, [(work.group.rank, 0, mask)])])], saved


def backward(
    work: Work, grad: Tensor, query: Tensor, held: Sequence[Held], output: Tensor, saved: Sequence[Tensor]
) -> Gradients:
    """The gradients of this process's query, key and value, and its share of those of what is learned."""
    rank = work.group.rank
    steps, runs = local_steps(work.layout, rank)
    mask, own_keys = (held[3].of(rank), held[:3]) if len(held) > 3 else (None, held)
    key, value = (x.of(rank) for x in held[:2])
    kind = compute_dtype(query.dtype)
    sums = {"query": torch.zeros_like(query, dtype=kind, memory_format=torch.contiguous_format)}
    sums |= {name: torch.zeros_like(x, dtype=kind) for name, x in work.spec.learned().items()}
    own = [torch.zeros_like(x, dtype=kind, memory_format=torch.contiguous_format) for x in (key, value)]
    with without_autocast(query.device):
        for owner, block in _round(work, [key, value, *own], own):
            for run, statistic in zip(runs, saved[len(steps) :], strict=True):
                rows, slopes, made = (work.lines(x, (run.first, run.stop)) for x in (query, grad, output))
                inner, by_query = (slopes * made).sum(-1), work.lines(sums["query"], (run.first, run.stop), cast=False)
                for area, (a, b), keys in _areas(work, run, owner, mask):
                    k, v = (_lines_of(work, x, keys, owner) for x in block[:2])
                    by_key, by_value = (_lines_of(work, x, keys, owner, cast=False) for x in block[2:])
                    into = Slopes(by_query[:, :, a:b], by_key, by_value, sums)
                    known = (statistic[:, :, a:b], inner[:, :, a:b])
                    into.add(rows[:, :, a:b], k, v, slopes[:, :, a:b], known, area)
    by_place = [x.sums(rank, sum_of) for x, sum_of in zip(held, own, strict=False)]
    for step, beside in zip(steps, saved, strict=False):
        found = work.gradients(step, grad, beside, query=query, held=own_keys, output=output)
        work.own(sums["query"], step.rows).copy_(found["query"])
        for held_sums, name in zip(by_place, ("key", "value"), strict=True):
            held_sums.add(step.keys, found[name])
        for name in work.spec.learned():
            sums[name] += found[name]
    given = {"query": query, "key": key, "value": value} | work.spec.learned()
    return {name: x.to(given[name].dtype) for name, x in (sums | dict(zip(("key", "value"), own, strict=True))).items()}


def _round(work: Work, block: Block, home: Sequence[Tensor] = ()) -> Iterator[tuple[int, Block]]:
    """The block of each process of which some rows here see a key, its own first; meanwhile the next one comes.

    Arguments:
        block: this process's own, ``home`` its last tensors, to which others add: they travel with it, and come back.
    """
    group, layout, adds = work.group, work.layout, len(home) > 0
    rank, size = group.rank, group.size
    at_hand: Block | None = block
    for tick in range(size):
        owner, before = (rank - tick) % size, (rank - tick - 1) % size
        goes_on, comes = (tick + 1 <= _hops(layout, who) for who in (owner, before))
        next_block = [x.new_empty(_shape(work, x, before)) for x in block] if comes else None
        arriving = [((rank - 1) % size, x) for x in next_block or ()]
        leaving = [((rank + 1) % size, x) for x in _contiguous(at_hand)] if goes_on else []
        ahead = None if adds else group.exchange(leaving, arriving)
        if at_hand is not None and _sees(layout, rank, owner):
            yield owner, at_hand
        if ahead is None:
            leaving = [((rank + 1) % size, x) for x in _contiguous(at_hand)] if goes_on else []
            if at_hand is not None and not goes_on and tick > 0:
                leaving = [(owner, x) for x in at_hand[-len(home) :]]
            if 0 < tick == _hops(layout, rank):
                arriving += [((rank + tick) % size, x) for x in home]
            ahead = group.exchange(leaving, arriving)
        ahead.wait()
        at_hand = next_block


def _contiguous(block: Block | None) -> Block:
    return [x.contiguous() for x in block or ()]


def _shape(work: Work, x: Tensor, rank: int) -> list[int]:
    """Of another process's tensor like this one."""
    low, high = work.layout.keys_of(rank)
    return [*x.shape[: work.axis], high - low, *x.shape[work.axis + 1 :]]


@lru_cache(maxsize=256)
def _sees(layout: Layout, rank: int, owner: int) -> bool:
    """Whether a process, in a sequence of which it lacks keys, has a row that may see one of the owner's."""
    _, runs = local_steps(layout, rank)
    return any(low < high for low, high in (overlap(layout.seen(run), layout.keys_of(owner)) for run in runs))


@lru_cache(maxsize=256)
def _hops(layout: Layout, owner: int) -> int:
    """How far the block of a process goes: to the last that sees a key of it."""
    size = len(layout.rows) - 1
    return max((hops for hops in range(size) if _sees(layout, (owner + hops) % size, owner)), default=0)


def _areas(work: Work, run: Run, rank: int, mask: Tensor | None) -> Iterator[tuple[Area, Span, Span]]:
    """The rows of a run, counted from its first, against the keys of a process, a bounded part at a time."""
    layout, spec = work.layout, work.spec
    low, high = overlap(layout.seen(run), layout.keys_of(rank))
    rows, keys = _sizes(work)
    for a in range(0, run.stop - run.first, rows):
        b = min(a + rows, run.stop - run.first)
        for first in range(low, high, keys):
            stop = min(first + keys, high)
            seen = None if mask is None else mask[:, first:stop]
            place = (run.first + a, first, run.position + a, first - run.keys[0])
            area = Area(spec, b - a, stop - first, *place, seen)
            if not area.is_empty:
                yield area, (a, b), (first, stop)


def _sizes(work: Work) -> tuple[int, int]:
    """How many rows and keys at a time."""
    held = 1 if work.spec.additive_weight is None else work.dim  # additive scores hold a vector for each pair
    rows = max(1, min(ROWS, BUDGET // (work.planes * held * ROWS)))
    return rows, max(1, min(ROWS, BUDGET // (work.planes * held * rows)))


def _lines_of(work: Work, x: Tensor, keys: Span, rank: int, *, cast: bool = True) -> Tensor:
    """Keys of a process's block, ``[B, H or Hk, W, D]``: of each query head, or a view of what they are made of."""
    x = x.narrow(work.axis, keys[0] - work.layout.keys[rank], keys[1] - keys[0])
    x = x if work.spec.offsets is None else x.transpose(0, 1)[None]
    if not cast:
        return x
    return x.to(compute_dtype(x.dtype)).repeat_interleave(work.heads // x.shape[1], 1)


def _begun(work: Work, run: Run, query: Tensor, value: Tensor, mask: Tensor | None) -> Sums:
    """Nothing yet, of the rows of a run."""
    rows = work.lines(query, (run.first, run.stop))
    output, most = rows.new_zeros(*rows.shape[:3], value.shape[-1]), rows.new_full(rows.shape[:3], -torch.inf)
    if work.spec.normalizer == "softmax":
        return Sums(output, most, torch.zeros_like(most), None)
    seen = torch.zeros_like(most)
    for rank in range(work.group.size):
        for area, (a, b), _ in _areas(work, run, rank, mask):
            visible = area.visible(rows.device)
            seen[:, :, a:b] += area.keys if visible is None else visible.sum(-1)
    return Sums(output, most, most, seen.clamp_(min=1))


def _whole_mask(work: Work) -> Tensor | None:
    """``[B, K]``: which keys of all processes may be attended."""
    mask, group = work.spec.key_mask, work.group
    if mask is None:
        return None
    own = mask.to(torch.uint8).contiguous()
    parts = [
        own if rank == group.rank else own.new_empty(len(own), stop - start)
        for rank in range(group.size)
        for start, stop in [work.layout.keys_of(rank)]
    ]
    others = [rank for rank in range(group.size) if rank != group.rank]
    group.exchange([(rank, own) for rank in others], [(rank, parts[rank]) for rank in others]).wait()
    return torch.cat(parts, 1).bool()
