"""Functions that take by keyword what another takes: with its defaults, and shown by `help` as it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

Options = TypeVar("Options", bound=Mapping[str, Any])  # of a call, by name


def defaults_of(function: Callable[..., Any], options: type[Options]) -> dict[str, Any]:
    """What a function takes where an option is not given; ``inspect.Parameter.empty`` where it must be."""
    parameters = inspect.signature(function).parameters
    return {name: x.default for name, x in parameters.items() if name in options.__annotations__}


def complete(function: str, options: Options, defaults: Mapping[str, Any]) -> Options:
    """All options of a call; ``function`` is what was called, for messages."""
    if unknown := [name for name in options if name not in defaults]:
        raise TypeError(f"{function}() got an unexpected keyword argument {unknown[0]!r}")
    if missing := [name for name, x in defaults.items() if x is inspect.Parameter.empty and name not in options]:
        raise TypeError(f"{function}() missing 1 required keyword-only argument: {missing[0]!r}")
    return cast(Options, {**defaults, **options})


def spelled_out(function: Callable[..., Any], *, without: str, returns: str) -> inspect.Signature:
    """The signature of a function but for one argument: what `help` shows where the options are typed together."""
    kept = [x for name, x in inspect.signature(function).parameters.items() if name != without]
    return inspect.Signature(kept, return_annotation=returns)
