"""Python values, and `datasets`, for tasks with one goal for a whole sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from regard.data.example import Example
from regard.data.python_data import check_iterable, class_names
from regard.data.records import Place, short
from regard.data.whole import Plan


def read_whole_python(source: Iterable[Any], *, plan: Plan, labelled: bool) -> Iterator[Example]:
    """Pairs ``(items, goal)``, dicts and Examples; bare items too where no goals are asked for.

    A tuple of two whose second is a goal is always a pair: words stand in a list.

    Raises:
        DataError: a wrong example, named by its number from 1.
    """
    check_iterable(source)
    features = getattr(source, "features", None) or {}
    names = class_names(features, plan.goal.find(features)) if labelled else None
    for number, entry in enumerate(source, 1):
        place = Place(number=number)
        if isinstance(entry, Example):
            yield _checked(entry, plan, place, labelled=labelled)
        elif isinstance(entry, Mapping):
            yield plan.from_record(entry, place, labelled=labelled, names=names)
        elif _is_pair(entry, labelled=labelled):
            yield plan.make(entry[0], entry[1], place, labelled=labelled)
        elif labelled:
            found = f"{short(entry)} ({type(entry).__name__})"
            raise place.error(f"a pair (items, {plan.kind}), a dict or an Example", found)
        else:
            yield plan.make(entry, None, place, labelled=False)


def _checked(example: Example, plan: Plan, place: Place, *, labelled: bool) -> Example:
    goal = example.label if plan.kind == "label" else example.target
    known = place if example.source is None else Place(example.source, example.line)
    if labelled and goal is None:
        raise known.error(f"a {plan.kind}", "none; read the file with labelled=True")
    plan.make(example.items, goal, known, labelled=labelled)
    return example


def _is_pair(entry: Any, *, labelled: bool) -> bool:
    if labelled:
        return isinstance(entry, tuple | list) and len(entry) == 2
    goals = str | int | np.integer | None
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[1], goals)
