"""The options of a call stand in one place: its three functions, their types and the operator agree."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import regard
from regard.attention import implementations, spec
from regard.attention.grid import implementations as grid_implementations
from regard.attention.grid import spec as grid_spec
from regard.attention.implementations import Implementation

X = torch.zeros(1, 2, 8, 4)


@dataclass(frozen=True)
class Family:
    attend: Callable[..., Any]
    weights: Callable[..., Any]
    explain: Callable[..., Any]
    options: Mapping[str, Any]
    fields: tuple[str, ...]
    schema: Mapping[str, str]
    learned: tuple[str, ...]
    implementations: Mapping[str, Implementation[Any, Any]]
    needed: Mapping[str, Any]  # what a call must be given


FAMILIES = {
    "attend": Family(
        *(regard.attend, regard.attention_weights, regard.explain),
        options=spec.AttendOptions.__annotations__,
        fields=spec.Spec._fields,
        schema=spec.SCHEMA,
        learned=spec.LEARNED,
        implementations=implementations.IMPLEMENTATIONS,
        needed={},
    ),
    "attend2d": Family(
        *(regard.attend2d, regard.attention_weights2d, regard.explain2d),
        options=grid_spec.Attend2dOptions.__annotations__,
        fields=grid_spec.GridSpec._fields,
        schema=grid_spec.SCHEMA,
        learned=grid_spec.LEARNED,
        implementations=grid_implementations.IMPLEMENTATIONS,
        needed={"size": (2, 4)},
    ),
}
of_each = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: x for name, x in parameters.items() if x.kind is inspect.Parameter.KEYWORD_ONLY}


@of_each
def test_the_three_functions_take_the_same_options(family: Family) -> None:
    assert list(_options(family.attend)) == [*family.options, "implementation"]
    assert _options(family.weights) == _options(family.attend)
    assert list(_options(family.explain)) == list(family.options)
    for name, option in _options(family.explain).items():
        assert option == _options(family.attend)[name]


@of_each
def test_the_types_of_options_are_those_of_the_function(family: Family) -> None:
    for name, hint in family.options.items():
        assert hint.__forward_arg__ == _options(family.attend)[name].annotation, name


def test_what_both_take_means_the_same() -> None:
    one, two = (FAMILIES[name] for name in ("attend", "attend2d"))
    for name in spec.CommonOptions.__annotations__:
        assert _options(one.attend)[name] == _options(two.attend)[name]
    for family in (one, two):
        assert spec.Choices.__annotations__.keys() <= set(family.fields)


@of_each
@pytest.mark.parametrize("name", ["windows", "value", "implementation"])
def test_an_option_that_there_is_not_is_refused_by_name(family: Family, name: str) -> None:
    options: dict[str, Any] = {name: None, **family.needed}
    with pytest.raises(TypeError, match=rf"{family.explain.__name__}\(\) got .*'{name}'"):
        family.explain(X, X, X, **options)
    if name != "implementation":
        told = rf"{family.weights.__name__}\(\) got an unexpected keyword argument '{name}'"
        with pytest.raises(TypeError, match=told):
            family.weights(X, X, **options)


def test_an_option_that_is_wanted_is_asked_for() -> None:
    for function, inputs in ((regard.attention_weights2d, (X, X)), (regard.explain2d, (X, X, X))):
        with pytest.raises(TypeError, match=rf"{function.__name__}\(\) missing 1 required .* argument: 'size'"):
            function(*inputs)


@of_each
def test_tensors_stand_first_and_what_is_learned_before_them(family: Family) -> None:
    kinds = list(family.schema.values())
    tensors = kinds.count("Tensor?")
    assert kinds[:tensors] == ["Tensor?"] * tensors
    assert family.fields[: len(family.learned)] == family.learned


def test_what_is_learned() -> None:
    assert FAMILIES["attend"].learned == ("additive_weight", "bias", "table")
    assert FAMILIES["attend2d"].learned == ("additive_weight", "bias", "row_table", "column_table")


@of_each
def test_the_operator_takes_what_the_table_lists(family: Family) -> None:
    schema = getattr(torch.ops.regard, family.attend.__name__).default._schema
    assert [x.name for x in schema.arguments] == ["query", "key", "value", *family.fields, "implementation"]


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family in FAMILIES.values() for name in family.implementations]
)
def test_every_implementation_has_the_one_shape(family: Family, name: str) -> None:
    row = family.implementations[name]
    assert (row.gradients is None) == (row.saved_shape is None)
    for function, arguments in (
        (row.refusals, ["query", "key", "value", "spec"]),
        (row.attend, ["query", "key", "value", "spec"]),
        (row.weights, ["query", "key", "spec"]),
        (row.gradients, ["grad", "query", "key", "value", "output", "saved", "spec"]),
        (row.saved_shape, ["query"]),
    ):
        assert function is None or list(inspect.signature(function).parameters) == arguments
