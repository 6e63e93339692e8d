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
from regard.parallel import blocks
from regard.parallel.blocks import Block
from regard.parallel.held import Held
from regard.parallel.layout import Layout, local_steps, overlap
from regard.parallel.windowed import Gradients, Work


def forward(work: Work, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, list[Held], list[Tensor]]:
    """The output of this process's rows, its own keys, and what each step and each spread sequence saved."""
    held = [
        Held(axis, [(work.group.rank, work.layout.keys[work.group.rank], x)]) for x, axis in work.to_hold(key, value)
    ]
    steps, runs = local_steps(work.layout, work.group.rank)
    output, saved = query.new_zeros(*query.shape[:-1], value.shape[-1]), []
    mask = _whole_mask(work)
    with without_autocast(query.device):
        sums = [blocks.begun(work, run, query, value, mask) for run in runs]
        for owner, block in _round(work, [key, value]):
            for run, own in zip(runs, sums, strict=True):
                blocks.add(work, run, owner, query, block, mask, own)
    for step in steps:
        made, beside = work.run(step, query, held)
        work.own(output, step.rows).copy_(made)
        saved.append(beside)
    saved += [own.statistic(work.spec.normalizer) for own in sums]
    for run, own in zip(runs, sums, strict=True):
        finished = own.finished()
        work.lines(output, (run.first, run.stop), cast=False).copy_(finished)
        if finished.dtype != output.dtype:  # backward sums what cancels, by an output that is not rounded
            saved.append(finished)
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
    statistics, kept = saved[len(steps) :][: len(runs)], saved[len(steps) + len(runs) :]
    with without_autocast(query.device):
        exact = kept or [work.lines(output, (run.first, run.stop)) for run in runs]
        slopes = [work.lines(grad, (run.first, run.stop)) for run in runs]
        rows = [(x, (y * z).sum(-1)) for x, y, z in zip(statistics, exact, slopes, strict=True)]
        for owner, block in _round(work, [key, value, *own], own):
            for run, known in zip(runs, rows, strict=True):
                blocks.add_gradients(work, run, owner, (query, grad), known, block, mask, sums)
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
