"""The options of a call stand in one place: the three functions, their types and the operator agree."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

import regard
from regard.attention.implementations import IMPLEMENTATIONS
from regard.attention.spec import LEARNED, SCHEMA, TENSORS, AttendOptions, Spec

X = torch.zeros(1, 2, 8, 4)


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: x for name, x in parameters.items() if x.kind is inspect.Parameter.KEYWORD_ONLY}


def test_the_three_functions_take_the_same_options() -> None:
    assert list(_options(regard.attend)) == [*AttendOptions.__annotations__, "implementation"]
    assert _options(regard.attention_weights) == _options(regard.attend)
    assert list(_options(regard.explain)) == list(AttendOptions.__annotations__)
    for name, option in _options(regard.explain).items():
        assert option == _options(regard.attend)[name]


def test_the_types_of_options_are_those_of_attend() -> None:
    for name, hint in AttendOptions.__annotations__.items():
        assert hint.__forward_arg__ == _options(regard.attend)[name].annotation, name


@pytest.mark.parametrize("name", ["windows", "value", "implementation"])
def test_an_option_that_there_is_not_is_refused_by_name(name: str) -> None:
    options: dict[str, Any] = {name: None}
    with pytest.raises(TypeError, match=rf"explain\(\) got .*'{name}'"):
        regard.explain(X, X, X, **options)
    if name != "implementation":
        with pytest.raises(TypeError, match=rf"attention_weights\(\) got an unexpected keyword argument '{name}'"):
            regard.attention_weights(X, X, **options)


def test_tensors_stand_first_and_what_is_learned_before_them() -> None:
    kinds = list(SCHEMA.values())
    assert kinds[:TENSORS] == ["Tensor?"] * TENSORS
    assert "Tensor?" not in kinds[TENSORS:]
    assert Spec._fields[: len(LEARNED)] == LEARNED == ("additive_weight", "bias", "table")


def test_the_operator_takes_what_the_table_lists() -> None:
    schema = torch.ops.regard.attend.default._schema
    assert [x.name for x in schema.arguments] == ["query", "key", "value", *SCHEMA, "implementation"]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_every_implementation_has_the_one_shape(name: str) -> None:
    row = IMPLEMENTATIONS[name]
    assert (row.gradients is None) == (row.saved_shape is None)
    for function, arguments in (
        (row.refusals, ["query", "key", "value", "spec"]),
        (row.attend, ["query", "key", "value", "spec"]),
        (row.weights, ["query", "key", "spec"]),
        (row.gradients, ["grad", "query", "key", "value", "output", "saved", "spec"]),
        (row.saved_shape, ["query"]),
    ):
        assert function is None or list(inspect.signature(function).parameters) == arguments
