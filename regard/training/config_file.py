"""Options as a TOML file that people read and edit: one line each, under its help line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import tomli_w

from regard.errors import ConfigError, ModelError
from regard.files import atomic_write
from regard.training.config import C, Config, describe, make_config

VERSION_KEY, VERSION = "config_version", 1
TASK_KEY = "task"
HEAD = "# Options of a training. To train with them again: regard train {task} --config FILE --output FOLDER"


def write_config(config: Config, path: str | Path) -> None:
    """Writes every option under its help line; one that is not set stands there as a comment."""
    task = config.task
    lines = [HEAD.format(task=task), f"{VERSION_KEY} = {VERSION}", f"{TASK_KEY} = {_toml(task)}", ""]
    for name, value in config.model_dump().items():
        lines += [
            f"# {describe(type(config), name)}{_choices(type(config), name)}",
            f"# {name} =" if value is None else f"{name} = {_toml(value)}",
            "",
        ]
    with atomic_write(path) as file:
        file.write("\n".join(lines))


def read_config(path: str | Path, kind: type[C]) -> C:
    """Reads a file of options of one task; those that it leaves out have their defaults.

    In a window ``(left, right)`` the text "all" stands for a side without a limit.

    Raises:
        ModelError: no such file, or it is from a newer version of regard.
        ConfigError: not TOML, of another task, an option that does not exist, or a value that one does not take, with
            the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        options = tomllib.loads(text)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read, {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:  # neither UTF-8 nor TOML
        raise ConfigError(f"{path}: not a TOML file, {str(error)[0].lower()}{str(error)[1:]}") from None
    version = options.pop(VERSION_KEY, VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise ModelError(f"{path}: {VERSION_KEY} is {version!r}, this regard reads up to {VERSION}; update regard")
    task = options.pop(TASK_KEY, kind.task)
    if task != kind.task:
        place = _place(path, text, f"{TASK_KEY}:")
        raise ConfigError(f"{place}: the options are those of '{task}', not of '{kind.task}'")
    if isinstance(options.get("window"), list):
        options["window"] = tuple(None if side == "all" else side for side in options["window"])
    try:
        return make_config(kind, options)
    except ConfigError as error:
        raise ConfigError(f"{_place(path, text, str(error))}: {error}") from None


def _choices(kind: type[Config], name: str) -> str:
    values = kind.model_fields[name].annotation
    return f" One of: {', '.join(get_args(values))}." if get_origin(values) is Literal else ""


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml("all" if part is None else part) for part in value) + "]"
    return tomli_w.dumps({"_": value}).removeprefix("_ = ").rstrip("\n")


def _place(path: str | Path, text: str, message: str) -> str:
    """The file, and the line of the option that a message is about, if it can be found."""
    for number, line in enumerate(text.splitlines(), start=1):
        key = re.match(r"""\s*["']?([^"'=\s]+)["']?\s*=""", line)
        if key and re.search(rf"(^|'){re.escape(key[1])}('|:)", message.split(";")[0]):
            return f"{path}:{number}"
    return str(path)
