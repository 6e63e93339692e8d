"""The errors that users see."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import regard
from regard.errors import ConfigError, DataError, ModelError, RegardError, ShapeError, UnsupportedError


@pytest.mark.parametrize("kind", [ShapeError, UnsupportedError, ConfigError, ModelError, DataError])
def test_every_kind_is_a_regard_error_and_a_value_error(kind: type[Exception]) -> None:
    assert issubclass(kind, RegardError)
    assert issubclass(kind, ValueError)
    assert getattr(regard, kind.__name__) is kind


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({}, "expected a tab, found 'dog'"),
        ({"path": "a.tsv"}, "a.tsv: expected a tab, found 'dog'"),
        ({"path": "a.tsv", "line": 7}, "a.tsv:7: expected a tab, found 'dog'"),
        ({"path": Path("data") / "a.tsv", "line": 1}, "data/a.tsv:1: expected a tab, found 'dog'"),
    ],
)
def test_a_data_error_says_where(place: dict[str, object], message: str) -> None:
    error = DataError("a tab", "'dog'", **place)
    assert str(error) == message
    assert (error.expected, error.found) == ("a tab", "'dog'")
    assert (error.path, error.line) == (place.get("path"), place.get("line"))


def test_a_data_error_comes_whole_through_another_process() -> None:
    error = pickle.loads(pickle.dumps(DataError("a tab", "'dog'", path="a.tsv", line=7)))
    assert isinstance(error, DataError)
    assert str(error) == "a.tsv:7: expected a tab, found 'dog'"
    assert (error.path, error.line) == ("a.tsv", 7)


def test_a_message_is_short_whatever_stood_in_the_file() -> None:
    message = str(DataError("a number", "9" * 10**6, path="a.ts", line=7))
    assert len(message) == 1993
    assert message.startswith("a.ts:7: expected a number, found 999")
    assert message.endswith("999")
