"""Options as a TOML file that people read and edit: one line each, under its help line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import tomli_w

from regard.errors import ConfigError, ModelError
from regard.files import atomic_write
from regard.training.config import C, Config, describe, extra_of, make_config

FILE = "config.toml"  # of a run folder
VERSION_KEY, VERSION = "config_version", 1
COUNT_KEY = "options"
TASK_KEY = "task"
HEAD = "# Options of a training. To train with them again: regard train {task} --config FILE --output FOLDER"


def write_config(config: Config, path: str | Path) -> None:
    """Writes every option under its help line; one that is not set stands there as a comment."""
    task = config.task
    lines = [HEAD.format(task=task), f"{VERSION_KEY} = {VERSION}", f"{TASK_KEY} = {_toml(task)}"]
    options = config.model_dump()
    lines += [f"{COUNT_KEY} = {len(options)}  # so many follow, set or not", ""]
    for name, value in options.items():
        lines += [
            f"# {describe(type(config), name)}{_choices(type(config), name)}",
            f"# {name} =" if value is None else f"{name} = {_toml(value)}",
            "",
        ]
    with atomic_write(path) as file:
        file.write("\n".join(lines))


def read_config(path: str | Path, kind: type[C], *, whole: bool = False) -> C:
    """Reads a file of options of one task; those that it leaves out have their defaults.

    In a window ``(left, right)`` the text "all" stands for a side without a limit, among windows for a layer without.

    Arguments:
        whole: the file must hold all that :func:`write_config` wrote into it, as that of a run folder does.

    Raises:
        ModelError: no such file, it is from a newer version of regard, or not whole.
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
    except RecursionError:
        raise ConfigError(f"{path}: not a TOML file of options, lists or tables nested too deeply") from None
    except ValueError as error:  # neither UTF-8 nor TOML
        raise ConfigError(f"{path}: not a TOML file, {str(error)[0].lower()}{str(error)[1:]}") from None
    version = options.pop(VERSION_KEY, VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise ModelError(f"{path}: {VERSION_KEY} is {version!r}, this regard reads up to {VERSION}; update regard")
    task = options.pop(TASK_KEY, kind.task)
    if task != kind.task:
        place = _place(path, text, f"{TASK_KEY}:")
        raise ConfigError(f"{place}: the options are those of '{task}', not of '{kind.task}'")
    count = options.pop(COUNT_KEY, 0)
    if whole:
        missing = _missing(path, kind, {*options, *re.findall(r"(?m)^# *(\w+) *=", text)}, count)
        options |= {name: extra_of(kind, name)["before"] for name in missing}
    for name in ("window", "windows"):
        if isinstance(options.get(name), list):
            options[name] = _without_all(options[name])
    try:
        return make_config(kind, options)
    except ConfigError as error:
        raise ConfigError(f"{_place(path, text, str(error))}: {error}") from None


def _missing(path: str | Path, kind: type[Config], found: set[str], count: Any) -> list[str]:
    """The options that there were not yet when a run folder was written."""
    missing = [name for name in kind.model_fields if name not in found]
    if isinstance(count, int) and len(kind.model_fields) - len(missing) < count:
        raise ModelError(f"{path}: no longer holds {', '.join(missing)}; put that back, or copy the file again")
    return missing


def _choices(kind: type[Config], name: str) -> str:
    values = kind.model_fields[name].annotation
    return f" One of: {', '.join(get_args(values))}." if get_origin(values) is Literal else ""


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml("all" if part is None else part) for part in value) + "]"
    return tomli_w.dumps({"_": value}).removeprefix("_ = ").rstrip("\n")


def _without_all(value: Any) -> Any:
    """What :func:`_toml` wrote of a window, or of windows."""
    if isinstance(value, list):
        return tuple(_without_all(part) for part in value)
    return None if value == "all" else value


def _place(path: str | Path, text: str, message: str) -> str:
    """The file, and the line of the option that a message is about, if it can be found."""
    for number, line in enumerate(text.splitlines(), start=1):
        key = re.match(r"""\s*["']?([^"'=\s]+)["']?\s*=""", line)
        if key and re.search(rf"(^|'){re.escape(key[1])}('|:)", message.split(";")[0]):
            return f"{path}:{number}"
    return str(path)
