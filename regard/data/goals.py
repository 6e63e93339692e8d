"""The goals of learning (a label for each item, one label, a target, nothing): a row each, a function that checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.data.items import LIST_NAMES, check_strings, check_text
from regard.data.records import Columns, Field, Items, Place, short
from regard.errors import ConfigError

TEXT_NAMES = ("text", "sentence", "question", "message", "document", "content", *LIST_NAMES)


def labels(value: Any, items: Items, place: Place) -> list[str]:
    """A label for every item.

    Raises:
        DataError: they are not strings, or not as many.
    """
    if value is None:
        raise place.error("labels", "none")
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise place.error("a list of labels", short(value))
    names = value.tolist() if isinstance(value, np.ndarray) else list(value)
    check_strings(names, "label", place)
    if len(names) != len(items):
        raise place.error(f"as many labels as items ({len(items)})", f"{len(names)} labels")
    return names


def label(value: Any, items: Items, place: Place) -> str:
    """One label for the whole sequence; a number counts classes.

    Raises:
        DataError: it is something else, or blank.
    """
    if isinstance(value, int | np.integer | np.bool_):
        return str(value)
    if not isinstance(value, str):
        found = f"{short(value)} ({type(value).__name__})"
        raise place.error("a label that is a string or a whole number", found)
    return _shown(check_text(value, "label", place), "label", place)


def target(value: Any, items: Items, place: Place) -> str:
    """The text that the sequence is to become.

    Raises:
        DataError: it is something else, or blank.
    """
    if not isinstance(value, str):
        raise place.error("a target that is a string", f"{short(value)} ({type(value).__name__})")
    return _shown(check_text(value, "target", place), "target", place)


def nothing(value: Any, items: Items, place: Place) -> None:
    """The sequence alone."""


def check_not_blank(items: Items, place: Place) -> None:
    """Refuses a sequence of which there is nothing to learn.

    Raises:
        DataError: no items, or a text that shows nothing.
    """
    if isinstance(items, str):
        _shown(items, "text", place)
    elif not len(items):
        raise place.error("at least one item", "an empty sequence")


def _shown(text: str, kind: str, place: Place) -> str:
    if not text.strip():
        raise place.error(f"a {kind} of at least one character", "only white space" if text else "an empty one")
    return text


@dataclass(frozen=True)
class Goal:
    """What is learned of a sequence.

    Arguments:
        make: the goal of a record's value, checked.
        article: the goal in messages.
        names, item_names: of goal and items: the default, and others that may stand for it.
        blank: what becomes of a sequence without items: "kept", "refused" or "skipped".
        per_item: whether it is a list with one for every item.
        goal_first: whether it stands first in a table without a header.
    """

    make: Callable[[Any, Items, Place], Any]
    article: str
    names: tuple[str, ...]
    item_names: tuple[str, ...]
    blank: str
    per_item: bool = False
    goal_first: bool = False


GOALS: dict[str, Goal] = {
    "labels": Goal(
        make=labels,
        article="labels",
        names=("upos", "labels", "tags", "ner_tags", "pos_tags"),
        item_names=(*LIST_NAMES, "text", "sentence"),
        blank="kept",
        per_item=True,
    ),
    "label": Goal(
        make=label,
        article="a label",
        names=("label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "spam", "y"),
        item_names=TEXT_NAMES,
        blank="refused",
        goal_first=True,
    ),
    "target": Goal(
        make=target,
        article="a target",
        names=("target",),
        item_names=("source", *LIST_NAMES, *TEXT_NAMES[:6]),
        blank="refused",
    ),
    "nothing": Goal(make=nothing, article="nothing", names=("",), item_names=TEXT_NAMES, blank="skipped"),
}


def columns_of(goal: str, column: str | None, item_column: str | None, *, labelled: bool) -> Columns:
    """Where a goal and its items stand, by the names that were given; None stands for the usual ones.

    Raises:
        ConfigError: a goal that does not exist.
    """
    if goal not in GOALS:
        raise ConfigError(f"goal must be {', '.join(GOALS)}, got '{goal}'")
    row = GOALS[goal]
    return Columns(
        items=Field(row.item_names[0] if item_column is None else item_column, row.item_names),
        goal=Field(row.names[0] if column is None else column, row.names),
        key=goal,
        labelled=labelled and goal != "nothing",
        per_item=row.per_item,
        goal_first=row.goal_first,
    )
