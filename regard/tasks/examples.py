"""The examples of a task: read, and checked against what the model takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regard.data import Example, read_examples
from regard.errors import DataError
from regard.training.config import Config

Source = str | Path | Iterable[Any]


def read(
    source: Source, config: Config, *, format: str | None = None, column: str | None = None, labelled: bool = True
) -> list[Example]:
    """All sequences of a file or an iterable.

    Raises:
        DataError: a record that cannot be read, or that this front end or an unlimited window does not take.
    """
    examples = read_examples(
        source,
        format=config.format if format is None else format,
        column=config.column if column is None else column,
        labelled=labelled,
    )
    for example in examples:
        _check_kind(example, config.front_end)
        if len(example) > config.longest and config.window is None:
            raise DataError(
                f"sequences of at most {config.longest} items (without a window attention costs their square: "
                "split them, or train with a `window` or a larger `longest`)",
                f"one of {len(example)}",
                path=example.source,
                line=example.line,
            )
    return examples


def check_labels(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """Every label must be one that training had, unless ``unseen`` is "count-wrong".

    Raises:
        DataError: the first that is not.
    """
    if unseen == "count-wrong":
        return
    known = set(labels)
    for example in examples:
        for place, label in enumerate(example.labels or []):
            if label not in known:
                raise DataError(
                    f"one of the {len(known)} labels of the training data (or unseen_labels=count-wrong)",
                    f"{label!r} at item {place + 1}",
                    path=example.source,
                    line=example.line_of(place),
                )


def digest(examples: Iterable[Example]) -> str:
    """Tells one training set from another."""
    whole = hashlib.sha256()
    for example in examples:
        items = "\t".join(example.items).encode() if isinstance(example.items, list) else example.items.tobytes()
        whole.update(items + b"\n" + "\t".join(example.labels or []).encode() + b"\n")
    return whole.hexdigest()


def fill(order: Iterable[int], lengths: Sequence[int], budget: int) -> Iterable[list[int]]:
    """Consecutive indices in batches of at most ``budget`` items; a longer sequence stands alone."""
    batch: list[int] = []
    filled = 0
    for index in order:
        if batch and filled + lengths[index] > budget:
            yield batch
            batch, filled = [], 0
        batch.append(index)
        filled += lengths[index]
    if batch:
        yield batch


def _check_kind(example: Example, front_end: str) -> None:
    words = isinstance(example.items, list)
    if words != (front_end == "words") and len(example):
        expected = "words" if front_end == "words" else "arrays [N, C]"
        other = "vectors" if front_end == "words" else "words"
        raise DataError(
            f"{expected} for front_end={front_end} (front_end={other} takes the others)",
            "words" if words else f"an array {list(example.items.shape)}",  # type: ignore[union-attr]
            path=example.source,
            line=example.line,
        )
