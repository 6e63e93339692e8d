"""`regard train`: from flags and a TOML file to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from regard.cli.report import INTERRUPTED, print_json, print_trained
from regard.errors import ConfigError
from regard.tasks import TASKS
from regard.tasks.run_folder import CONFIG
from regard.training.config import Config, make_config
from regard.training.config_file import read_config


def train(kind: type[Config], flags: dict[str, Any], *, config: str | None, resume: bool, as_json: bool) -> None:
    """Trains as flags and file say, and tells how good the result is and where it stands."""
    options = gather(kind, flags, config=config, resume=resume)
    model = TASKS[kind.task]()
    try:
        model.fit(**options, resume=resume)
    except KeyboardInterrupt:
        again = f"regard train {kind.task} --resume --output {options['output']}"
        typer.echo(f"stopped; to go on: {again}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if not model.scores:  # under torchrun one process speaks
        return
    if as_json:
        print_json({"output": options["output"]} | model.scores)
    else:
        print_trained(model, options["output"], options.get("dev"))


def gather(kind: type[Config], flags: dict[str, Any], *, config: str | None, resume: bool) -> dict[str, Any]:
    """The options of a training that were given: by the flags, else by the file.

    To resume, the file is that of the run itself, unless another is given.
    """
    if config is None and resume and flags.get("output") is not None:
        own = Path(flags["output"]) / CONFIG
        config = str(own) if own.is_file() else None
    options = {} if config is None else read_config(config, kind).model_dump(exclude_unset=True)
    options = make_config(kind, options | flags).model_dump(exclude_unset=True)
    for name in ("train", "output"):
        if options.get(name) is None:
            raise ConfigError(f'{name}: required; give --{name}, or {name} = "..." in a file named by --config')
    return options
