"""`regard info`: what a run folder holds."""

from __future__ import annotations

from typing import Annotated

import typer

from regard.cli.common import AsJson, Run, open_model


def info(
    run: Run,
    every: Annotated[
        bool, typer.Option("--all", help="Show every option, not only those that are not the defaults.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a run folder holds: task, labels, data, network, options, scores."""
    from regard.cli.report import print_info, print_json
    from regard.tasks.reach import reach_of

    model = open_model(run)
    if as_json:
        names = {"names": model.labels} if hasattr(model, "labels") else {}
        facts = {**model.describe(), **names, **reach_of(model.network)}
        print_json({**facts, "config": model.config.model_dump(), **model.scores})
    else:
        print_info(model, run, every=every)
