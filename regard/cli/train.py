"""`regard train label`: from flags and a TOML file to a run folder."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import typer

from regard.cli.report import INTERRUPTED, print_json, print_trained
from regard.errors import ConfigError
from regard.tasks import Labeler
from regard.tasks.run_folder import CONFIG
from regard.training.config import defaults, make_config
from regard.training.config_file import read_config


def train(flags: dict[str, Any], *, config: str | None, resume: bool, as_json: bool) -> None:
    """Trains as flags and file say, and tells how good the result is and where it stands."""
    options = gather(flags, config=config, resume=resume)
    of_network = inspect.signature(Labeler).parameters
    labeler = Labeler(**{name: value for name, value in options.items() if name in of_network})
    try:
        labeler.fit(**{name: value for name, value in options.items() if name not in of_network}, resume=resume)
    except KeyboardInterrupt:
        typer.echo(f"stopped; to go on: regard train label --resume --output {options['output']}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if not labeler.scores:  # under torchrun one process speaks
        return
    if as_json:
        print_json({"output": options["output"]} | labeler.scores)
    else:
        print_trained(labeler, options["output"], options["dev"])


def gather(flags: dict[str, Any], *, config: str | None, resume: bool) -> dict[str, Any]:
    """Every option of a training: from the flags, else from the file, else its default.

    To resume, the file is that of the run itself, unless another is given.
    """
    if config is None and resume and flags.get("output") is not None:
        own = Path(flags["output"]) / CONFIG
        config = str(own) if own.is_file() else None
    options = defaults() if config is None else read_config(config).model_dump()
    options = make_config(options | flags).model_dump()
    for name in ("train", "output"):
        if options[name] is None:
            raise ConfigError(f'{name}: required; give --{name}, or {name} = "..." in a file named by --config')
    return options
