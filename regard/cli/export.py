"""`regard export`: a model that other programs open."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from regard.cli.common import Run, open_model


def export(
    run: Run,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder to write, new or empty.", show_default=False)],
    format: Annotated[Literal["huggingface"], typer.Option(help="What will open it.")] = "huggingface",
) -> None:
    """Write a model that other programs open: a BERT, one of its kin, or a ViT, for `transformers`."""
    from regard.tasks.export import export_huggingface, title_of
    from regard.tasks.run_folder import check_output

    check_output(output)
    model = open_model(run)
    name = export_huggingface(model, output)
    typer.echo(f"{output} holds a model of {title_of(model)}: transformers.{name}.from_pretrained({output!r})")
