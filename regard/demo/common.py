"""What the demos share: finding a package's data, and training once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import typer

from regard.cli.common import INTERRUPTED
from regard.errors import ConfigError
from regard.tasks import load
from regard.tasks.files import SCORES
from regard.training.checkpoint import is_interrupted


def find_data(package: str, path: str, install: str) -> Path:
    """A file of an installed package, which need not be imported for it.

    Raises:
        ConfigError: it is not installed, and how to install it.
    """
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
