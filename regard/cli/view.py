"""`regard view`: who attends to whom in one sequence, as a page or a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import typer

from regard import data
from regard.cli.models import open_model
from regard.data import Example
from regard.errors import ConfigError, DataError

READERS: dict[str, Callable[..., Iterator[Example]]] = {
    "label": data.iter_examples,
    "classify": data.iter_classified,
    "transduce": data.iter_pairs,
    "pretrain": data.iter_pairs,
}


def view(run: str, given: str, *, number: int | None, output: str) -> None:
    """Draws the sequence that was typed, or the ``number``-th of a file.

    Raises:
        ConfigError: the model reads vectors, which cannot be typed.
        DataError: the file has fewer sequences.
    """
    model = open_model(run)
    task, vectors = model.config.task, model.config.front_end == "vectors"
    if number is not None:
        read = data.iter_examples if task == "pretrain" and vectors else READERS[task]
        items = _find(read(given, labelled=False), number, given)
    elif vectors:
        raise ConfigError(f"number: {run} reads vectors, which are in a file; add --number 1 for the first in {given}")
    else:
        items = given.split() if task == "label" else given
    typer.echo(f"{model.attention(items).save(output)}")


def _find(examples: Iterator[Example], number: int, path: str) -> Any:
    for example in islice(examples, number - 1, None):
        return example.items
    raise DataError(f"at least {number} sequences (--number {number})", "fewer", path=path)
