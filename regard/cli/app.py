"""The command line: its commands, a file each, and running one of them.

Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from regard.cli.demo import demo
from regard.cli.evaluate import evaluate
from regard.cli.export import export
from regard.cli.info import info
from regard.cli.predict import predict
from regard.cli.train import training_of
from regard.cli.view import view
from regard.errors import RegardError
from regard.tasks import TASKS

app = typer.Typer(
    help="Self-attention that you can train, see and scale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train_app = typer.Typer(help="Train a model from labelled files.", no_args_is_help=True)
app.add_typer(train_app, name="train")
for _task in TASKS.values():
    train_app.command(_task.name)(training_of(_task))
for _command in (evaluate, predict, info, view, export, demo):
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


def run(arguments: Sequence[str]) -> int:
    """Runs one command.

    The exit code is 0, or 1 after an error in data, files or the machine, 2 where the command itself was wrong,
    130 after Ctrl-C.
    """
    gc.set_threshold(100_000)  # imports make many objects and no garbage; looking for it takes time
    debug = "--debug" in arguments
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("regard").setLevel(logging.DEBUG if debug else logging.INFO)
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        try:
            code = app([part for part in arguments if part != "--debug"], prog_name="regard", standalone_mode=False)
            sys.stdout.flush()
        except typer.TyperException as error:
            if message := _usage(error):
                _complain(message)
            return error.exit_code
        except Exception as error:
            if debug:
                raise
            _complain(_reason(error))
            _drop_output()
            return 1
    return code if isinstance(code, int) else 0


def _reason(error: Exception) -> str:
    """What went wrong, and what to do."""
    if isinstance(error, RegardError):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{(error.strerror or str(error)).lower()}"
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return "out of memory; a window, a smaller --batch-tokens or shorter sequences need less"
    return f"unexpected {type(error).__name__}: {error}; --debug shows where; please report it"


def _drop_output() -> None:
    """What could not be written must not be tried again, and fail again, when Python exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    typer.echo(f"regard: {' '.join(message.split())}", err=True)


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the command; nothing where its help was shown instead."""
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    near = getattr(error, "possibilities", None)
    if near:
        message = f"{error.message}; did you mean {near[0]}?"
    context = getattr(error, "ctx", None)
    return f"{message} (see: {context.command_path} --help)" if message and context is not None else message
