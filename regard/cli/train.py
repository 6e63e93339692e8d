"""`regard train`: a flag for every option of a task; from flags and a TOML file to a run folder."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from regard.cli.common import INTERRUPTED, AsJson
from regard.cli.report import print_json, print_trained
from regard.errors import ConfigError
from regard.tasks import Task
from regard.training.config import FILE, Config, Window, describe, make_config, panel_of, read_config

ConfigFile = Annotated[
    str | None, typer.Option(help="TOML file of the options below; a flag wins over it.", show_default=False)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output where it stopped.")]
METAVARS = {int: "N", float: "X", bool: ""}


def with_config_flags(kind: type[Config]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command with the flags of a task beside its own parameters; its ``flags`` receives those that were typed."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [part for part in inspect.signature(command, eval_str=True).parameters.values() if part.name != "flags"]

        def with_flags(context: typer.Context, **values: Any) -> None:
            typed = {name: values[name] for name in kind.model_fields if _is_typed(context, name)}
            command(**{part.name: values[part.name] for part in own}, flags=typed)

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        flags = [_flag(kind, name) for name in kind.model_fields]
        with_flags.__doc__ = command.__doc__
        with_flags.__signature__ = inspect.Signature([context, *own, *flags])  # type: ignore[attr-defined]
        return with_flags

    return decorate


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flag(kind: type[Config], name: str) -> inspect.Parameter:
    field = kind.model_fields[name]
    kinds = get_args(field.annotation) or (field.annotation,)
    choices = [choice for choice in kinds if isinstance(choice, str)]
    is_window = field.annotation == Window
    option = typer.Option(
        *(("--from", "--pretrained") if name == "pretrained" else ()),
        help=f"{describe(kind, name)[:-1]} ({', '.join(choices)})." if choices else describe(kind, name),
        rich_help_panel=panel_of(kind, name),
        parser=parse_window if is_window else None,
        metavar="W" if is_window else METAVARS.get(kinds[0], "TEXT"),
        show_default="none" if is_window else True,
    )
    annotation: Any = Any if is_window else field.annotation
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[annotation, option]
    )


def parse_window(text: str) -> Window:
    """A window as it is typed.

    >>> parse_window("64"), parse_window("8,0"), parse_window("all,0"), parse_window("none")
    (64, (8, 0), (None, 0), None)
    """
    if text == "none":
        return None
    try:
        sides = [None if side.strip() == "all" else int(side) for side in text.split(",")]
    except ValueError:
        sides = []
    if len(sides) == 2:
        return (sides[0], sides[1])
    if len(sides) == 1 and sides[0] is not None:
        return sides[0]
    raise typer.BadParameter(f"a window is W, or LEFT,RIGHT with 'all' for no limit, or none; got '{text}'")


def training_of(task: Task) -> Callable[..., None]:
    """The command that trains a task, with a flag for each of its options."""

    @with_config_flags(task.config)
    def command(
        *, config: ConfigFile = None, resume: Resume = False, as_json: AsJson = False, flags: dict[str, Any]
    ) -> None:
        train(task, flags, config=config, resume=resume, as_json=as_json)

    command.__doc__ = task.help
    return command


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
