"""Running a command line: every error is one clear line on stderr, and an exit code."""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Sequence

import typer

from regard.cli.app import app
from regard.errors import RegardError


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
