"""The command line: training, with a flag for every option; the other commands, a file each; running one of them.

Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import gc
import inspect
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from regard.cli.check import check
from regard.cli.common import (
    BROKEN_PIPE,
    INTERRUPTED,
    AsJson,
    parse_batch_tokens,
    parse_size,
    parse_window,
    parse_windows,
)
from regard.cli.demo import demo
from regard.cli.evaluate import evaluate
from regard.cli.export import export
from regard.cli.info import info
from regard.cli.predict import predict
from regard.cli.report import print_json, print_trained
from regard.cli.stream import stream
from regard.cli.view import view
from regard.errors import ConfigError, RegardError, is_out_of_memory
from regard.machine import processes, rank
from regard.streams import OutputLost
from regard.tasks import TASKS, Task
from regard.training.config import (
    BatchTokens,
    Config,
    ImageSize,
    Window,
    Windows,
    describe,
    make_config,
    panel_of,
)
from regard.training.config_file import FILE, read_config

ConfigFile = Annotated[
    str | None, typer.Option(help="TOML file of the options below; a flag wins over it.", show_default=False)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output where it stopped.")]
FLAGS = {"pretrained": ("--from", "--pretrained"), "continue_from": ("--continue", "--continue-from")}
METAVARS: dict[Any, str] = {
    int: "N",
    float: "X",
    bool: "",
    Window: "W",
    Windows: "W/W/...",
    ImageSize: "N",
    BatchTokens: "N",
}
PARSERS: dict[Any, Callable[[str], Any]] = {
    BatchTokens: parse_batch_tokens,
    Window: parse_window,
    Windows: parse_windows,
    ImageSize: parse_size,
}


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
    parser = PARSERS.get(field.annotation)
    option = typer.Option(
        *FLAGS.get(name, ()),
        help=f"{describe(kind, name)[:-1]} ({', '.join(choices)})." if choices else describe(kind, name),
        rich_help_panel=panel_of(kind, name),
        parser=parser,
        metavar=METAVARS.get(kinds[0] if parser is None else field.annotation, "TEXT"),
        show_default="none" if parser is parse_window else True,
    )
    annotation: Any = field.annotation if parser is None else Any
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[annotation, option]
    )


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
    model, quiet = task.new(), bool(options.get("quiet"))
    if quiet:
        logger = logging.getLogger("regard")
        logger.setLevel(max(logging.WARNING, logger.level))
    from regard.training.progress import own_process

    try:
        with own_process():
            model.fit(**options, resume=resume)
    except KeyboardInterrupt:
        typer.echo(_stopped("stopped", Path(options["output"])), err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (RuntimeError, RegardError) as error:
        if not _lost_another(error):
            raise
        raise RegardError(_stopped("another process of this training ended", Path(options["output"]))) from error
    if not model.scores:  # under torchrun one process speaks
        return
    if as_json:
        print_json({"output": options["output"]} | model.scores)
    elif not quiet:
        print_trained(model, options["output"], options.get("dev"))


def _lost_another(error: Exception) -> bool:
    """Whether what a process of a launch met is the end of another."""
    from regard.parallel.group import is_of_another

    return is_of_another(error) or is_of_another(error.__cause__)


def _stopped(why: str, output: Path) -> str:
    """What to type to go on, where there is something to go on from."""
    from regard.tasks.run_folder import how_to_resume, is_on_the_way
    from regard.training.checkpoint import WEIGHTS

    if not is_on_the_way(output) and not (output / WEIGHTS).is_file():
        return f"{why} before the first checkpoint; nothing is kept"
    how = ", with as many processes" if processes() > 1 else ""
    return f"{why}; to go on{how}: {how_to_resume(output)}"


def gather(kind: type[Config], flags: dict[str, Any], *, config: str | None, resume: bool) -> dict[str, Any]:
    """The options of a training that were given: by the flags, else by the file.

    To resume, the file is that of the run itself, unless another is given.
    """
    own = config is None and resume and flags.get("output") is not None
    if own and (Path(flags["output"]) / FILE).is_file():
        config = str(Path(flags["output"]) / FILE)
    options = {} if config is None else read_config(config, kind, whole=own).model_dump(exclude_unset=True)
    options = make_config(kind, options | flags).model_dump(exclude_unset=True)
    for name in ("train", "output"):
        if options.get(name) is None:
            raise ConfigError(f'{name}: required; give --{name}, or {name} = "..." in a file named by --config')
    return options


app = typer.Typer(
    help="Self-attention that you can train, see and scale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train_app = typer.Typer(help="Train a model from files, labelled ones or (pretrain) raw ones.", no_args_is_help=True)
app.add_typer(train_app, name="train")
for _task in TASKS.values():
    train_app.command(_task.name)(training_of(_task))
for _command in (check, evaluate, predict, stream, info, view, export, demo):
    app.command()(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from regard import __version__

        typer.echo(f"regard {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the log, and the traceback of an error; works after any command too.")
    ] = False,
) -> None:
    pass


@cache
def _commands() -> Callable[..., object]:
    """All commands with their options, made once: each has dozens."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Runs one command.

    The exit code is 0, or 1 after an error in data, files or the machine, 2 where the command itself was wrong,
    130 after Ctrl-C, and 141, without a word, where whoever reads the output has left, as `head` does: a shell says
    so of every tool that SIGPIPE ends. A training saves all that it has first.
    """
    gc.set_threshold(100_000)  # imports make many objects and no garbage; looking for it takes time
    debug = "--debug" in arguments
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.addLevelName(level, logging.getLevelName(level).lower())
    logging.basicConfig(format=f"%(levelname)s: {'%(name)s: ' if debug else ''}%(message)s", level=logging.WARNING)
    told = logging.INFO if rank() == 0 else logging.ERROR  # by one process of a launch
    logging.getLogger("regard").setLevel(logging.DEBUG if debug else told)
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        try:
            given = [part for part in arguments if part != "--debug"]
            code = _commands()(given, prog_name="regard", standalone_mode=False)
            sys.stdout.flush()
        except typer.TyperException as error:
            if message := _usage(error):
                _complain(message)
            return error.exit_code
        except OutputLost as error:
            if error.reader_left:
                return BROKEN_PIPE
            _complain(str(error))
            return 1
        except Exception as error:
            if debug:
                raise
            _complain(_reason(error))
            return 1
    return code if isinstance(code, int) else 0


def _reason(error: Exception) -> str:
    """What went wrong, and what to do."""
    if isinstance(error, RegardError):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{(error.strerror or str(error)).lower()}"
    if is_out_of_memory(error):
        modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        if any(name.startswith("regard.data") for name in modules):
            return "out of memory while data were read; unpack or split the file, or give a smaller one"
        return "out of memory; a window, a smaller --batch-tokens or shorter sequences need less"
    return f"unexpected {type(error).__name__}: {error}; --debug shows where; please report it"


def _complain(message: str) -> None:
    typer.echo(f"regard: {' '.join(message.split())}", err=True)


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the command; nothing where its help was shown instead."""
    message = error.format_message().rstrip(".")
    near = getattr(error, "possibilities", None)
    if near:
        message = f"{error.message}; did you mean {near[0]}?"
    context = getattr(error, "ctx", None)
    return f"{message} (see: {context.command_path} --help)" if message and context is not None else message
