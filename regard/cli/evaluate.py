"""`regard evaluate`: scores of a trained model on a labelled file."""

from __future__ import annotations

from typing import Any

import typer

from regard.cli.models import open_model, refuse_unknown
from regard.cli.report import print_json, print_table


def evaluate(
    run: str,
    file: str,
    options: dict[str, Any],
    *,
    format: str,
    as_json: bool,
    device: str,
) -> None:
    """Scores as the options that were given say.

    Raises:
        ConfigError: an option that this task does not have.
    """
    model = open_model(run, device)
    given = {name: value for name, value in options.items() if value is not None}
    if "unseen_labels" in given and hasattr(model.config, "unseen_labels"):
        model.config = model.config.model_copy(update={"unseen_labels": given.pop("unseen_labels")})
    refuse_unknown(given, model.evaluate, model.config.task)
    scores = model.evaluate(file, format=format, **given)
    if as_json:
        print_json(scores)
        return
    print_table(f"scores on {file}", {run: scores})
    if model.config.task == "transduce":
        from regard.tasks.transduce.metrics import signatures

        typer.echo(signatures())
