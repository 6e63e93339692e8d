"""Two models on one page: one input as each of them reads it, and what they share of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from regard.data import Example
from regard.data.goals import GOALS
from regard.errors import ConfigError
from regard.tasks import files
from regard.tasks.files import item_kind
from regard.tasks.model import Model
from regard.tasks.seen import Seen
from regard.viewer.page.axes import Axis
from regard.viewer.page.build import Stack

TEXTS = ("text", "words")  # kinds of items that are made of each other


def as_read_by(other: Model, example: Example, model: Model, names: Sequence[str]) -> Example:
    """The example of one model as another reads it: words joined to a text, or a text cut at its spaces.

    Its goal is kept where the other learns the same of the same items.

    Raises:
        ConfigError: no input is for both.
    """
    kind, wanted = item_kind(model.config), item_kind(other.config)
    if kind != wanted and not {kind, wanted} <= {*TEXTS}:
        raise ConfigError(
            f"compare: {names[0]} reads {kind}, and {names[1]} reads {wanted}, so that no input is for both; name a "
            f"model that reads {' or '.join(TEXTS) if kind in TEXTS else kind}"
        )
    found: Any = example.found
    if wanted == "text" and isinstance(found, list):
        found = " ".join(found)
    elif wanted == "words" and isinstance(found, str) and GOALS[other.config.goal].per_item:
        found = found.split()
    given = Example(found, None, example.place)
    read = files.read(other, [given], labelled=False, items=wanted)[0]
    same = other.config.goal == model.config.goal and (wanted not in TEXTS or read.items == example.items)
    return replace(read, goal=example.goal) if same else read


def beside(first: Seen, second: Seen) -> tuple[dict[str, Axis], list[Stack]]:
    """The axes and stacks of both: an axis on which they differ, if only in labels, is there twice, as in "input-2"."""
    renamed = {name: name if _alike(first.axes.get(name), axis) else f"{name}-2" for name, axis in second.axes.items()}
    axes = {renamed[name]: axis for name, axis in second.axes.items()} | first.axes
    stacks = [
        replace(stack, id=f"{stack.id}-2", query=renamed[stack.query], key=renamed[stack.key])
        for stack in second.stacks
    ]
    return axes, [*first.stacks, *stacks]


def _alike(first: Axis | None, second: Axis) -> bool:
    """Whether the page would tell the same of both."""
    return first is not None and (first.meta(""), first.media) == (second.meta(""), second.media)
