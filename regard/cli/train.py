"""`regard train`: from flags and a TOML file to a run folder."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import typer

from regard.cli.report import INTERRUPTED, print_json, print_trained
from regard.errors import ConfigError
from regard.tasks import Task
from regard.training.config import FILE, Config, make_config, read_config


def train(task: Task, flags: dict[str, Any], *, config: str | None, resume: bool, as_json: bool) -> None:
    """Trains as flags and file say, and tells how good the result is and where it stands."""
    options = gather(task.config, flags, config=config, resume=resume)
    model = task.new()
    try:
        model.fit(**options, resume=resume)
    except KeyboardInterrupt:
        typer.echo(_stopped(task, Path(options["output"])), err=True)
        raise typer.Exit(INTERRUPTED) from None
    if not model.scores:  # under torchrun one process speaks
        return
    if as_json:
        print_json({"output": options["output"]} | model.scores)
    else:
        print_trained(model, options["output"], options.get("dev"))


def _stopped(task: Task, output: Path) -> str:
    """What to type to go on, where there is something to go on from."""
    from regard.training.checkpoint import is_interrupted

    if not is_interrupted(output):
        return "stopped before the first checkpoint; nothing is kept"
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    how = ", with as many processes" if launched else ""
    return f"stopped; to go on{how}: regard train {task.name} --resume --output {shlex.quote(str(output))}"


def gather(kind: type[Config], flags: dict[str, Any], *, config: str | None, resume: bool) -> dict[str, Any]:
    """The options of a training that were given: by the flags, else by the file.

    To resume, the file is that of the run itself, unless another is given.
    """
    if config is None and resume and flags.get("output") is not None:
        own = Path(flags["output"]) / FILE
        config = str(own) if own.is_file() else None
    options = {} if config is None else read_config(config, kind).model_dump(exclude_unset=True)
    options = make_config(kind, options | flags).model_dump(exclude_unset=True)
    for name in ("train", "output"):
        if options.get(name) is None:
            raise ConfigError(f'{name}: required; give --{name}, or {name} = "..." in a file named by --config')
    return options
