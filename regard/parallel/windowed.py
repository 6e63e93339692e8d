"""A window that ends on both sides: a process computes its rows from its keys and those just beside them, a halo.

What it lacks comes from its neighbours while it computes all rows that need nothing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention.implementations import IMPLEMENTATIONS
from regard.attention.spec import Spec, compute_dtype
from regard.parallel.group import Group
from regard.parallel.held import Held, Needs, fetch, send_home
from regard.parallel.layout import Layout, Span, Step, overlap, steps

Gradients = dict[str, Tensor]  # of query, key, value and what is learned


@dataclass(frozen=True, eq=False)
class Work:
    """One call as this process has it.

    Arguments:
        spec: of its own rows; ``offsets`` tell nothing but that the batch is ragged.
        implementation: one that has gradients.
        batch, heads, dim: sequences of a dense batch, else 1; heads of queries, and their width.
    """

    group: Group
    layout: Layout
    spec: Spec
    implementation: str
    batch: int
    heads: int
    dim: int

    @property
    def planes(self) -> int:
        """Sequences times heads."""
        return max(1, self.batch * self.heads)

    @property
    def axis(self) -> int:
        """Of the rows."""
        return 2 if self.spec.offsets is None else 0

    def own(self, x: Tensor, rows: Span) -> Tensor:
        """A view of some of this process's rows, which are named as they stand in the whole batch."""
        return x.narrow(self.axis, rows[0] - self.layout.rows[self.group.rank], rows[1] - rows[0])

    def lines(self, x: Tensor, rows: Span, *, cast: bool = True) -> Tensor:
        """The same as ``[B, H, R, D]``, in the type that sums are held in unless it is to be a view."""
        x = self.own(x, rows)
        x = x if self.spec.offsets is None else x.transpose(0, 1)[None]
        return x.to(compute_dtype(x.dtype)) if cast else x

    def spec_of(self, step: Step, mask: Held | None) -> Spec:
        """What one step is as a call of its own."""
        spec = self.spec._replace(query_start=step.query_start, first_row=step.rows[0], first_key=step.keys[0])
        if mask is not None:
            spec = spec._replace(key_mask=mask.take(step.keys).bool())
        if spec.offsets is None:
            return spec
        offsets, key_offsets = (torch.tensor(x, device="cpu") for x in (step.offsets, step.key_offsets))
        return spec._replace(offsets=offsets, key_offsets=key_offsets)

    def run(self, step: Step, query: Tensor, held: Sequence[Held]) -> tuple[Tensor, Tensor]:
        """The output of a step's rows, and what its gradients need beside it."""
        key, value = (x.take(step.keys) for x in held[:2])
        spec = self.spec_of(step, held[2] if len(held) > 2 else None)
        output, saved = IMPLEMENTATIONS[self.implementation].attend(self.own(query, step.rows), key, value, spec)
        assert saved is not None
        return output, saved

    def gradients(
        self, step: Step, grad: Tensor, saved: Tensor, *, query: Tensor, held: Sequence[Held], output: Tensor
    ) -> Gradients:
        """Those of a step, by its query, keys, values and what is learned."""
        gradients = IMPLEMENTATIONS[self.implementation].gradients
        assert gradients is not None
        key, value = (x.take(step.keys) for x in held[:2])
        spec = self.spec_of(step, held[2] if len(held) > 2 else None)
        grad, query, output = (self.own(x, step.rows) for x in (grad, query, output))
        return gradients(grad, query, key, value, output, saved, spec)

    def without(self, later: Sequence[Step], step: Step, grad: Tensor, saved: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of the output, and what a step saved, as if those of its rows that come later saw nothing."""
        mute = IMPLEMENTATIONS[self.implementation].mute
        for first, stop in (overlap(other.rows, step.rows) for other in later):
            if first < stop and mute is not None:
                mute(saved.narrow(2, first - step.rows[0], stop - first), self.spec)
            elif first < stop:
                grad = grad.clone(memory_format=torch.contiguous_format)
                self.own(grad, (first, stop)).zero_()
        return grad, saved

    def to_hold(self, key: Tensor, value: Tensor) -> list[tuple[Tensor, int]]:
        """What processes send each other, each with the axis of its rows."""
        mask = self.spec.key_mask
        return [(key, self.axis), (value, self.axis), *([] if mask is None else [(mask.to(torch.uint8), 1)])]


def forward(work: Work, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, list[Held], list[Tensor]]:
    """The output of this process's rows, the keys that were at hand, and what each step saved."""
    held, exchange = fetch(work.group, Needs.of(work.layout), work.to_hold(key, value))
    output, saved = query.new_empty(*query.shape[:-1], value.shape[-1]), []
    for number, step in enumerate(steps(work.layout, work.group.rank)):
        if number > 0 or step.keys != work.layout.keys_of(work.group.rank):
            exchange.wait()
        made, beside = work.run(step, query, held)
        saved.append(beside)
        if number == 0 and made.shape == output.shape:
            output = made
        else:
            work.own(output, step.rows).copy_(made)
    exchange.wait()
    return output, held, saved


def backward(
    work: Work, grad: Tensor, query: Tensor, held: Sequence[Held], output: Tensor, saved: Sequence[Tensor]
) -> Gradients:
    """The gradients of this process's query, key and value, and its share of those of what is learned."""
    layout, rank = work.layout, work.group.rank
    every, whole = steps(layout, rank), (layout.rows_of(rank), layout.keys_of(rank))
    each: list[tuple[Step, Gradients]] = []
    for number, (step, beside) in enumerate(zip(every, saved, strict=True)):
        slopes, beside = work.without(every[number + 1 :], step, grad, beside)
        each.append((step, work.gradients(step, slopes, beside, query=query, held=held, output=output)))
    if each and each[0][0][:2] == whole:  # nothing to be added to zeros
        sums = each.pop(0)[1]
    else:
        given = {"query": query, "key": held[0].of(rank), "value": held[1].of(rank)} | work.spec.learned()
        sums = {name: torch.zeros_like(x, memory_format=torch.contiguous_format) for name, x in given.items()}
    keys, values = (x.sums(rank, sums[name]) for x, name in zip(held, ("key", "value"), strict=False))
    for step, found in each:
        work.own(sums["query"], step.rows).copy_(found["query"])
        keys.add(step.keys, found["key"])
        values.add(step.keys, found["value"])
        for name in work.spec.learned():
            sums[name] += found[name]
    send_home(work.group, Needs.of(layout), [keys, values])
    return sums
