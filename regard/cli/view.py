"""`regard view`: who attends to whom in one sequence, as a page or a picture."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from regard.cli.common import Run, open_model
from regard.errors import ConfigError, DataError


def view(
    run: Run,
    given: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="A text (a tagger's words are separated by spaces); or a file."),
    ],
    number: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="INPUT is a file: draw its N-th sequence.", show_default=False),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Page or picture: .html, .png, .svg, .pdf.")
    ] = "page.html",
) -> None:
    """Draw who attends to whom in one sequence: a heat map for every layer and head."""
    from regard.data.goals import GOALS
    from regard.tasks.files import check_output, item_kind, iter_read

    check_output(output)
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
