"""Looking at data before a training: read as a task reads it, which is guessed where nobody says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from regard.data.formats import find_format
from regard.data.lines import check_file, show
from regard.data.report import Report
from regard.errors import ConfigError, DataError, RegardError
from regard.tasks import TASKS, Task, files
from regard.tasks.examples import read_both, report_on
from regard.tasks.model import Model
from regard.training.config import make_config

LOOKED_AT = 20  # examples from which the task is guessed
GUESSES = (  # in this order, a task and a front end that takes each kind of items
    *(("label", kind) for kind in ("words", "audio", "patches", "vectors")),
    *(("classify", kind) for kind in ("subwords", "audio", "patches", "vectors")),
    *(("transduce", kind) for kind in ("subwords", "patches", "vectors")),
    *(("transcribe", kind) for kind in ("audio", "patches", "vectors", "subwords")),
    *(("pretrain", kind) for kind in ("subwords", "audio", "patches", "vectors")),
)


@dataclass(frozen=True)
class Checked:
    """What was found in data, and how they were read.

    Arguments:
        left_out: how many records of train, and of dev, cannot be used.
    """

    model: Model
    report: Report
    left_out: dict[str, int]


def check(
    train: str | Path,
    dev: str | Path | float | None = None,
    *,
    task: str | None = None,
    column: str | None = None,
    item_column: str | None = None,
    **options: Any,
) -> Checked:
    """Looks at a training file, and at a dev file beside it, or at a share of train as dev data.

    Arguments:
        task: a name of :data:`regard.tasks.TASKS`; None guesses it, by what the file holds.
        column, item_column: what goal and items are called; the usual names if unset.
        options: those of the task, ``front_end`` and how to read, say; records that cannot be used are left out and
            counted, unless ``bad_records`` is "refuse".

    Raises:
        DataError: a file that cannot be read, or of which the task cannot be told.
        ConfigError: an option that the task does not have, or a value that it does not take.
    """
    given = {
        "bad_records": "skip",
        "dev": str(dev) if isinstance(dev, Path) else dev,
        **{name: value for name, value in options.items() if value is not None},
    }
    names = {"column": column, "item_column": item_column}
    if task is not None and task not in TASKS:
        raise ConfigError(f"task: one of {', '.join(TASKS)}, got '{task}'")
    model = _guessed(train, task, given, names)
    left_out: dict[str, int] = {}
    examples, dev_examples = read_both(model, train, dev, left_out)
    report = report_on(model, examples, dev_examples, masks=True)
    if any(left_out.values()):
        counts = ", ".join(f"{count:,} of {part}" for part, count in left_out.items())
        bad = f"records that cannot be used: {counts}; training stops at the first, unless bad_records=skip"
        report = replace(report, warnings=[*report.warnings, bad])
    return Checked(model, report, left_out)


def as_json(checked: Checked) -> dict[str, Any]:
    """The same, ready for JSON."""
    config = checked.model.config
    read = {"task": config.task, "front_end": config.front_end}
    return read | asdict(checked.report) | {"left_out": checked.left_out}


def command(checked: Checked, train: str, dev: str | None) -> str:
    """What trains on these data, as it is typed."""
    config = checked.model.config
    options = {"train": train, "dev": dev}
    defaults = type(config).model_fields
    for name in config.model_fields_set - options.keys() - {"bad_records"}:
        value = getattr(config, name)
        if value != defaults[name].default:
            options[name] = value
    if any(checked.left_out.values()):
        options["bad_records"] = "skip"
    typed = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items() if value is not None
    ]
    return " ".join([f"regard train {config.task}", *typed, "--output RUN"])


def _model(task: Task, options: Mapping[str, Any], names: Mapping[str, str | None]) -> Model:
    """A model with these options; names of columns are those that the task has for them."""
    model: Model = task.new()
    model.config = make_config(task.config, dict(options))
    goal, items = files.column_options(model.config)
    own = {goal: names["column"], items: names["item_column"]}
    if goal is None and names["column"] is not None:
        raise ConfigError(f"column: {task.name} has no such option; leave it out")
    named = {option: name for option, name in own.items() if option is not None and name is not None}
    model.config = make_config(task.config, {**options, **named})
    return model


def _guessed(
    source: str | Path, task: str | None, options: Mapping[str, Any], names: Mapping[str, str | None]
) -> Model:
    """The first task and front end that read what the file begins with, or else those that read most of it."""
    if not Path(source).is_dir():
        check_file(source)
    best, most, reasons = None, 0, dict[str, RegardError | None]()
    for name, front_end in GUESSES:
        if task not in (None, name) or options.get("front_end", front_end) != front_end:
            continue
        try:
            model = _model(TASKS[name], {**options, "front_end": front_end}, names)
            count, error = _read_of(model, source, any_text=task is not None)
        except RegardError as refused:
            count, error = 0, refused
        if count and error is None:
            return model
        if count > most:
            best, most = model, count
        reasons.setdefault(name, error)
    if best is not None:
        return best
    if task is not None:
        return _model(TASKS[task], options, names)  # which tells what is wrong
    how = f"say what is to be learned, as in `regard check classify {show(source)}`"
    why = f"; as classify it is refused: {error}" if (error := reasons.get("classify")) is not None else ""
    raise DataError(f"data that tell their task ({', '.join(TASKS)}); {how}", f"none that fits{why}", path=show(source))


def _read_of(model: Model, source: str | Path, *, any_text: bool) -> tuple[int, RegardError | None]:
    """How many of the first examples a task reads, if they are likely meant for it, and what stopped it, if anything.

    Arguments:
        any_text: whether a table may be meant of which nothing is to be learned but its texts.

    Raises:
        RegardError: the file is none for it.
    """
    config = model.config
    target = getattr(config, "train_target", None)
    format = find_format(source, config.format, goal=config.goal, beside=target).name
    if config.goal == "nothing" and format != "text" and not any_text:
        return 0, None  # any table has some
    examples, count = files.iter_read(model, source, labelled=True, target=target), 0
    try:
        for _ in islice(examples, LOOKED_AT):
            count += 1
    except RegardError as error:
        return count, error
    is_one = config.goal == "labels" and format == "tsv" and count == 1  # no empty line: rows that are no words
    return (0 if is_one else count), None
