"""What a front end finds in a run folder: checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regard.errors import ModelError

Rule = tuple[str, Callable[[Any], bool]]  # in words, and as a check


def check_vocabulary(vocabulary: Any, **rules: Rule) -> None:
    """Refuses a vocabulary that has other parts, or a part that is not as its rule says.

    Raises:
        ModelError: the first part that is not.
    """
    if not isinstance(vocabulary, dict) or vocabulary.keys() != rules.keys():
        found = ", ".join(map(repr, vocabulary)) if isinstance(vocabulary, dict) else type(vocabulary).__name__
        raise ModelError(f"the vocabulary must have the parts {', '.join(rules)}, got {found[:200]}")
    for name, (rule, check) in rules.items():
        if not check(vocabulary[name]):
            raise ModelError(f"{name} of the vocabulary must be {rule}")


def are_names(value: Any) -> bool:
    """Whether it is a list of texts, none of them empty, and none twice."""
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        return False
    return len(set(value)) == len(value)


def are_counts(value: Any) -> bool:
    """Whether it counts things by name."""
    if not isinstance(value, dict):
        return False
    return all(name and type(count) is int and 0 < count < 2**53 for name, count in value.items())


def are_numbers(value: Any) -> bool:
    """Whether it is a list of at least one finite number."""
    if not isinstance(value, list) or not value:
        return False
    return all(type(number) in (int, float) and abs(number) < 2**127 for number in value)
