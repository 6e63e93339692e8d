"""`regard view`: who attends to whom in one sequence, as a page or a picture."""

from __future__ import annotations

from itertools import islice

import typer

from regard.cli.models import open_model
from regard.data.goals import GOALS
from regard.errors import ConfigError, DataError


def view(run: str, given: str, *, number: int | None, output: str) -> None:
    """Draws the sequence that was typed, or the ``number``-th of a file.

    Raises:
        ConfigError: the model reads vectors, which cannot be typed.
        DataError: the file has fewer sequences.
    """
    from regard.tasks.sources import item_kind, iter_read

    model = open_model(run)
    kind = item_kind(model.config)
    if number is not None:
        example = next(
            islice(iter_read(model, given, items=kind, labelled=model.config.goal == "nothing"), number - 1, None), None
        )
        if example is None:
            raise DataError(f"at least {number} sequences (--number {number})", "fewer", path=given)
        maps = model.attention(example)
    elif kind == "vectors":
        raise ConfigError(f"number: {run} reads vectors, which are in a file; add --number 1 for the first in {given}")
    else:
        maps = model.attention(given.split() if GOALS[model.config.goal].per_item else given)
    typer.echo(f"{maps.save(output)}")
