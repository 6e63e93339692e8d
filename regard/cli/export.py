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
    """Write a model that other programs open: a BERT or ViT for `transformers`."""
    from regard.tasks.export import export_huggingface
    from regard.tasks.files import check_output

    check_output(output)
    name = export_huggingface(open_model(run), output)
    kind = "ViT" if name.startswith("ViT") else "BERT"
    typer.echo(f"{output} holds a {kind}: transformers.{name}.from_pretrained({output!r})")
