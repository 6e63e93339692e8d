"""`regard demo`: from real data to a model and its score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from regard.errors import ConfigError


def demo(
    task: Annotated[
        Literal["label", "classify", "transduce", "speech", "image"], typer.Argument(help="Which demo.")
    ] = "label",
    output: Annotated[
        str | None,
        typer.Option(help="Run folder to write, or to use again; runs/demo-TASK if unset.", show_default=False),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training data; training's default if unset.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds, not minutes: a small network on little data.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder of your own with a folder of sound files for each voice (speech).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train on real data, score, and show: words' tags, a voice, pronunciations, who speaks when, images' digits."""
    from regard.demo import DEMOS

    if data is not None and task != "speech":
        raise ConfigError(f"data: the {task} demo brings its own; leave it out")
    given = {} if data is None else {"data": Path(data)}
    DEMOS[task](Path(output or f"runs/demo-{task}"), epochs=epochs, quick=quick, **given)
