"""What of a page is written into a file: its parts, a layer, a head, a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.ragged import counted

if TYPE_CHECKING:
    from regard.viewer.page.build import Page, Stack


@dataclass(frozen=True)
class Chosen:
    """What of a page is written, all from 0.

    Arguments:
        stacks: those of a table, in the order of the page; none of a page of many examples.
        drawn: which of them a picture is of.
        layer, head, at: None: all of them, where a view has room for all.
    """

    stacks: Sequence[Stack] = ()
    drawn: int = 0
    layer: int | None = None
    head: int | None = None
    at: int | None = None

    @property
    def stack(self) -> Stack:
        return self.stacks[self.drawn]

    def heads(self, stack: Stack) -> list[tuple[int, int, Tensor]]:
        """The layer, the head and the weights ``[Q, W]`` of every head that is chosen, as they are held."""
        return [
            (number, head, values)
            for number, layer in enumerate(stack.layers)
            if layer.weights is not None and self.layer in (None, number)
            for head, values in enumerate(by_head(layer))
            if self.head in (None, head)
        ]

    def one(self, stack: Stack | None = None) -> tuple[int, int]:
        """The layer and the head of a view that shows one."""
        number, head, _ = self.heads(self.stack if stack is None else stack)[0]
        return number, head

    def row(self, stack: Stack | None = None) -> Tensor:
        """``[K]``: what the position gives to each key, in the head of a view that shows one."""
        stack = self.stack if stack is None else stack
        number, head = self.one(stack)
        weights = stack.layers[number].weights
        assert weights is not None
        row: Tensor = weights.row(self.at or 0)[head]
        return row


def by_head(layer: Any) -> Tensor:
    """``[H, Q, W]``, of no head where there are no weights."""
    weights = layer.weights
    if weights is None:
        return torch.zeros(0, 0, 0)
    values: Tensor = weights.values[0] if weights.offsets is None else weights.values.transpose(0, 1)
    return values


def stack_of(page: Page, part: str | None, *, tells: bool = False) -> Stack:
    """The part that is drawn.

    Arguments:
        part: its id, or its title; None: that of an output to what was read, where there is one, else the first.
        tells: whether it is drawn beside telltales: then that of the answers.

    Raises:
        ConfigError: there is no such part, or it has no weights.
    """
    there = [stack for stack in page.stacks if any(layer.weights is not None for layer in stack.layers)]
    if part is not None:
        found = [stack for stack in page.stacks if stack.id == part] or [s for s in page.stacks if s.title == part]
        if not found:
            ids = ", ".join(stack.id for stack in page.stacks)
            raise ConfigError(f"part: {page.title!r} has {ids}, got '{part}'")
        if found[0] not in there:
            raise ConfigError(f"part: there are no weights of {part}: {getattr(found[0].layers[0], 'why', '')}")
        return found[0]
    tales = page.meta["telltales"]
    if tells and tales["query"] is not None:
        return next(stack for stack in there if (stack.query, stack.key) == (tales["query"], tales["axis"]))
    return next((stack for stack in there if stack.layers[0].role == "cross_attention"), there[0])


def choose(
    page: Page,
    part: str | None,
    layer: int | None,
    head: int | None,
    at: int | None,
    *,
    tells: bool = False,
    fills: bool = False,
) -> Chosen:
    """What is chosen of one example, counted from 1.

    Arguments:
        tells: whether it is shown beside telltales.
        fills: whether it is a table, of every part that has it, unless one is named.

    Raises:
        ConfigError: there is no such part, layer, head or position.
    """
    first = stack_of(page, part, tells=tells)
    chosen = Chosen([first], 0, *(None if one is None else one - 1 for one in (layer, head, at)))
    stacks = page.stacks if part is None and fills else [first]
    there = [stack for stack in stacks if chosen.heads(stack)]
    if not there or (tells and first not in there):
        counts = [len(by_head(one)) for one in first.layers]
        heads = " and ".join(map(str, sorted(set(counts))))
        told = f"{counted(len(counts), 'layer')} of {heads} heads{_within(page, first)}"
        raise ConfigError(f"layer, head: {page.title!r} has {told}, got {layer or 'all'} and {head or 'all'}")
    there = [stack for stack in there if (at or 1) <= page.axes[stack.query].count]
    if not there or (tells and first not in there):
        told = f"{page.axes[first.query].count:,} positions{_within(page, first)}"
        raise ConfigError(f"at: {page.title!r} has {told}, got {at}")
    return replace(chosen, stacks=there, drawn=there.index(first) if first in there else 0)


def title_of(page: Page, stack: Stack) -> str:
    """What tells it from the other parts of a page, and from those of another model; "" where there are none."""
    model = [page.models[stack.model]] if len(page.models) > 1 else []
    return ": ".join(model + ([stack.title] if len(page.stacks) > 1 else []))


def _within(page: Page, stack: Stack) -> str:
    return f" in the part {stack.id}" if len(page.stacks) > 1 else ""
