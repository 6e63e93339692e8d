"""`regard export`: a model that other programs open."""

from __future__ import annotations

import typer

from regard.cli.models import open_model
from regard.tasks.export import export_huggingface


def export(run: str, output: str) -> None:
    """Writes the model as a BERT, and says how to open it."""
    model = open_model(run)
    name = export_huggingface(model, output)
    typer.echo(f"{output} holds a BERT: transformers.{name}.from_pretrained({output!r})")
