"""Between a model and files: examples, read as its options say, and the run folder that it is kept in."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from regard.data import Example, Source, reading
from regard.data.bad import BadRecords
from regard.data.chosen import undamaged
from regard.data.formats import ending, find_format
from regard.data.goals import FILE_NAMES, GOALS
from regard.data.items import identity_of
from regard.data.lines import STDIN, show
from regard.errors import ConfigError, DataError, ModelError
from regard.files import LOCK, only_writer, parts_in, read_json, sealed, unsealed, write_json
from regard.front_ends import items_of, restore_front_end
from regard.front_ends.stored import are_names
from regard.image import Image
from regard.tasks import MODEL
from regard.tasks.model import Model
from regard.training.checkpoint import (
    BOARD,
    CURVES,
    JOURNAL,
    WEIGHTS,
    check_beside,
    check_weights,
    is_interrupted,
    load_weights,
    read_weights,
    save_weights,
)
from regard.training.checkpoint import FOLDER as RESUME
from regard.training.config import Config, make_config
from regard.training.config_file import FILE as CONFIG
from regard.training.config_file import read_config, write_config
from regard.training.learner import is_main_process

SCORES, CARD, CONFUSION, CALIBRATION = "scores.json", "README.md", "confusion.png", "calibration.png"
FOLDS, FOLD = "folds.json", "fold"  # the scores of each fold that is done, and the run of the one that is not
ON_THE_WAY = {
    LOCK,
    RESUME,
    CONFIG,
    MODEL,
    WEIGHTS,
    JOURNAL,
    CURVES,
    BOARD,
    FOLDS,
    FOLD,
}  # files of a training that goes on
AT_THE_END = {SCORES, CARD, CONFUSION, CALIBRATION}
DATA = "data"  # where a demo puts what it then trains on
MOST_BYTES = 12  # of a character, once it is normalized
M = TypeVar("M", bound=Model)


def read(
    model: Model, source: Source, *, labelled: bool = True, bad: BadRecords | None = None, **how: Any
) -> Sequence[Example]:
    """The examples of a file or an iterable as the model's options say, unless ``how`` says otherwise.

    Arguments:
        bad: counts records that are left out, where the options say so.
        how: options of reading, for this once; and what :func:`regard.data.read` takes, by its names.

    Raises:
        DataError: a record that cannot be read, or that this front end does not take.
        ConfigError: an option that does not exist, or a value that it does not take.
    """
    config, given = _how(model, source, labelled=labelled, **how)
    if bad is None:
        bad = BadRecords(skip=labelled and config.bad_records == "skip")
    examples = reading.read(source, **given, bad=bad)
    if bad.skip and given["items"] in FILE_NAMES:
        examples = undamaged(examples, bad)
    bad.warn(show(source) if isinstance(source, str | Path) else "examples")
    return examples


def iter_read(model: Model, source: Source, *, labelled: bool = False, **how: Any) -> Iterator[Example]:
    """The same one by one, as they come in, none of which is left out."""
    return reading.iter_read(source, **_how(model, source, labelled=labelled, **how)[1])


def _how(
    model: Model, source: Source, *, labelled: bool, format: str = "auto", **how: Any
) -> tuple[Config, dict[str, Any]]:
    """The options, and what they say of reading a source."""
    given = {name: value for name, value in how.items() if value is not None}
    if not labelled and given.get("bad_records") == "skip":
        raise ConfigError("bad_records: predictions are as many as their input, in its order; leave it out")
    options = {name: given.pop(name) for name in given.keys() - {"column", "item_column", "items", "target"}}
    model = copy(model)
    model.config = make_config(type(model.config), model.config.model_dump(exclude_unset=True) | options)
    config = model.config
    if format == "auto" and config.format != "auto" and isinstance(source, str | Path):
        format = _format_of(source, config, labelled=labelled)
    kind = item_kind(config)
    if not labelled and config.predicts_from is not None and kind == "words":
        kind = config.predicts_from
    same = ("delimiter", "encoding", "largest_record", "largest_unpacked")
    how = {"goal": config.goal, "items": kind, "labelled": labelled, "format": format}
    return config, how | {name: getattr(config, name) for name in same} | columns_of(model, kind) | given


def columns_of(model: Model, kind: str) -> dict[str, Any]:
    """What the options call goal and items; what they call a goal by default is that of texts, words and vectors."""
    columns, config = dict(model.columns()), model.config
    if kind in FILE_NAMES:
        defaults = {
            type(config).model_fields[name].default for name in ("column", "target_column") if hasattr(config, name)
        }
        columns["item_column"] = config.audio_column if kind == "recordings" else config.image_column
        columns["column"] = None if columns["column"] in defaults else columns["column"]
    return columns


def column_options(config: Config) -> tuple[str | None, str]:
    """The options that name the column of the goal, if there is one, and that of the items."""
    names = type(config).model_fields
    goal = next((name for name in ("column", "target_column") if name in names), None)
    of_files = {"recordings": "audio_column", "images": "image_column"}.get(item_kind(config))
    return goal, next(name for name in (of_files, "source_column", "text_column") if name in names)


def item_kind(config: Config) -> str:
    """What kind of items the network is given: "text", "words", "vectors", "recordings" or "images"."""
    return items_of(config.front_end, per_item=GOALS[config.goal].per_item)


def _format_of(source: str | Path, config: Any, *, labelled: bool) -> str:
    """A file that ends as that of training did is in its format; another in the one that its name tells, if any."""
    if str(source) != STDIN and config.train is not None and ending(source) == ending(config.train):
        return str(config.format)
    try:
        return find_format(source, goal=config.goal, labelled=labelled).name
    except DataError:
        return str(config.format)


class Values:
    """The items, or goals, of examples one after another, as often as they are asked for, not held in memory."""

    def __init__(self, examples: Sequence[Example], *names: str) -> None:
        self.examples, self.names = examples, names

    def __iter__(self) -> Iterator[Any]:
        return (getattr(example, name) for name in self.names for example in self.examples)


def check_length(
    config: Config,
    example: Example,
    length: int,
    *,
    what: str = "sequence",
    windowed: bool | None = None,
    places: int | None = None,
) -> None:
    """Refuses what cannot be taken whole: more than learned positions tell apart, or more than ``longest``.

    Arguments:
        length: of the example, as the network counts it; ``places``: positions that it takes, if not as many.
        what: it is called.
        windowed: whether attention has a window, so that the cost grows with the length alone; None: it can have none.

    Raises:
        DataError: with its place, what to do.
    """
    reach = config.position_reach
    if config.positions == "learned" and (length if places is None else places) > reach:
        raise example.place.error(
            f"a {what} of at most {reach} items, where learned positions end (split it, or train with a larger "
            "`position_reach`, or with positions that have no end: relative, sinusoidal)",
            f"one of {length}",
        )
    if windowed:
        check_windowed(config, example, length)
    elif length > config.longest:
        window = "" if windowed is None else ", or with a `window`, as without one the cost is the square"
        raise example.place.error(
            f"a {what} of at most {config.longest} items (split it, or train with a larger `longest`{window})",
            f"one of {length}",
        )


def check_windowed(config: Config, example: Example, length: int) -> None:
    """Refuses what would take too much memory, though it is read in windows, or with one.

    Raises:
        DataError: with its place, what to do.
    """
    if length > config.longest_windowed:
        raise example.place.error(
            f"a sequence of at most {config.longest_windowed} items, all in memory at once (split it, or set a larger "
            "`longest_windowed`)",
            f"one of {length}",
        )


def may_be_longer(example: Example, longest: int) -> bool:
    """Whether there can be more items than that, told without cutting anything: a token has a byte at least."""
    items = example.items
    size = len(items) + (sum(map(len, items)) if isinstance(items, list) else 0)
    return 2 + size * MOST_BYTES > longest


def longest_window(config: Config) -> int:
    """How many items are read at once of a sequence that may be cut."""
    return min(config.longest, config.position_reach) if config.positions == "learned" else config.longest


@contextmanager
def taken(output: Path, *, resume: bool) -> Iterator[None]:
    """A run folder for one training alone, which may be of several processes.

    Raises:
        ConfigError: what stands there, or who writes it, and what to do.
    """
    if not is_main_process():
        yield
        return
    _check_own(output)
    with only_writer(output):
        _check_free(output, resume=resume)
        yield


def _check_own(output: Path) -> None:
    """Refuses a folder in which something stands that is no run."""
    for place in (output, *output.parents):
        if place.is_file():
            raise ConfigError(f"output: {place} is a file; name a folder to write the run into")
    if not output.is_dir():
        return
    for folder in (output, output / RESUME, output / FOLD):
        for entry in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
            if entry.is_symlink():
                raise ConfigError(
                    f"output: {entry} is a link, which a training would write through; remove it or name another folder"
                )
    if others := _others(output):
        hint = "move them elsewhere, or " if is_interrupted(output) else ""
        raise ConfigError(f"output: {output} holds other things than a run ('{others[0]}'); {hint}name a new folder")


def _others(output: Path) -> list[str]:
    """What no training left in a folder, but would write over; where there is no model yet, whatever else is in it."""
    names = {path.name for path in output.iterdir()} - {part.name for part in parts_in(output)}
    if is_interrupted(output):
        return sorted(names & AT_THE_END)
    if {WEIGHTS, MODEL} <= names or (LOCK in names and RESUME not in names and names & {WEIGHTS, MODEL}):
        return []
    if LOCK not in names or not names & {RESUME, FOLDS}:
        own = {LOCK, DATA} if LOCK in names else set()  # a lock is hidden, and left where the rest was deleted
        return sorted(names - own)
    unknown = set((output / RESUME).glob("*")) - set(parts_in(output / RESUME))
    return sorted(names - ON_THE_WAY - {DATA}) + sorted(f"{RESUME}/{path.name}" for path in unknown)


def check_output(path: str | Path, option: str = "output") -> None:
    """Refuses to write anything in the place of a file of a run folder.

    Raises:
        ConfigError: with the ``option`` that names it.
    """
    target = Path(os.path.realpath(path))
    for folder in target.parents:
        own = target.relative_to(folder).parts[0] in ON_THE_WAY | AT_THE_END
        signs = ((WEIGHTS, MODEL), (LOCK, RESUME), (LOCK, FOLDS))  # of a run that has a model, or is on the way to one
        if own and any(all(os.path.exists(folder / name) for name in pair) for pair in signs):
            raise ConfigError(f"{option}: {path} is a file of the run folder {folder}; name another place")


def _check_free(output: Path, *, resume: bool) -> None:
    """Refuses a folder with a run that would be lost."""
    if resume:
        return
    how = f"resume it ({how_to_resume(output)})"
    if is_on_the_way(output):
        raise ConfigError(f"output: {output} holds an interrupted training; {how}, delete it or name another one")
    if (output / WEIGHTS).is_file() or (output / MODEL).is_file():
        raise ConfigError(f"output: {output} already holds a run; choose another folder, delete it, or {how}")


def is_on_the_way(output: Path) -> bool:
    """Whether a folder holds a training that can go on, of its folds too."""
    return is_interrupted(output) or ((output / FOLDS).is_file() and not (output / WEIGHTS).is_file())


def how_to_resume(output: Path) -> str:
    """The command that goes on with the training in a folder; where its data came from no file, the call."""
    text = (output / CONFIG).read_text(errors="replace") if (output / CONFIG).is_file() else ""
    task, is_of_file = re.search(r'(?m)^task = "(\w+)"', text), re.search(r"(?m)^train = ", text)
    if task is None or is_of_file is None:
        return "fit(..., resume=True)"
    return f"regard train {task[1]} --resume --output {shlex.quote(str(output))}"


def save_run(model: Model, network: nn.Module, folder: Path) -> None:
    """Weights, vocabularies and options, from which :func:`open_run` makes the model again."""
    save_weights(network, folder / WEIGHTS, config=model.config, vocabulary=_vocabulary(model))
    _save_beside(model, folder)


def restore_run(model: Model, folder: Path) -> None:
    """Makes whole again what :func:`save_run` wrote in an earlier sitting, as a resumed training may keep nothing else.

    Raises:
        ModelError: the weights are missing, damaged, or those of another training.
    """
    check_beside(folder / WEIGHTS, config=model.config, vocabulary=_vocabulary(model))
    read_weights(folder / WEIGHTS)
    _save_beside(model, folder)


def _save_beside(model: Model, folder: Path) -> None:
    write_json(sealed(_vocabulary(model)), folder / MODEL)
    write_config(model.config, folder / CONFIG)


def _vocabulary(model: Model) -> dict[str, Any]:
    return {"task": model.config.task, **model.vocabulary()}


def open_run(model: M, folder: Path) -> M:
    """Fills a new model with what a training left in a folder.

    Raises:
        ModelError: a file is missing, damaged, or from a newer version.
    """
    vocabulary = unsealed(read_json(folder / MODEL), folder / MODEL, required=False)
    model.config = read_config(folder / CONFIG, type(model.config), whole=True)
    is_sealed = check_beside(folder / WEIGHTS, config=model.config, vocabulary=vocabulary)
    try:
        model.restore(vocabulary)
        with torch.device("meta"):  # without memory: options that were altered may ask for any amount
            front_ends = _front_ends(model, vocabulary)
    except ModelError as error:
        raise ModelError(f"{folder / MODEL}: a part is missing or altered: {error}; copy it again") from None
    try:
        with torch.device("meta"):
            check_weights(model.build(front_ends), folder / WEIGHTS)
        model.network = model.build(_front_ends(model, vocabulary))
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from None
    load_weights(model.network, folder / WEIGHTS)
    if (folder / SCORES).is_file():
        model.scores = _read_scores(folder / SCORES, sealed=is_sealed)
    return model


def _front_ends(model: Model, vocabulary: dict[str, Any]) -> dict[str, Any]:
    kinds = model.front_ends().items()
    return {part: restore_front_end(kind, vocabulary.get(part), model.config.of_part(part)) for part, kind in kinds}


def checked_labels(vocabulary: dict[str, Any]) -> list[str]:
    """The labels of a run folder.

    Raises:
        ModelError: they are not texts, or not all different.
    """
    labels: Any = vocabulary.get("labels")
    if not are_names(labels):
        raise ModelError("labels must be a list of different texts")
    return list(labels)


def _read_scores(path: Path, *, sealed: bool) -> dict[str, Any]:
    scores = unsealed(read_json(path), path, required=sealed)
    rows: Any = scores.get("scores")
    numbers = [number for row in rows.values() for number in row.values()] if _is_table(rows) else [None]
    if not isinstance(scores.get("measured_on"), str) or not all(map(_is_score, numbers)):
        raise ModelError(f"{path}: must tell what was measured_on, and scores by name; copy it again, or delete it")
    return scores


def _is_score(number: Any) -> bool:
    return type(number) in (int, float) and not abs(number) > 1e9  # which NaN is not


def _is_table(rows: Any) -> bool:
    return isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values())


def digest(examples: Iterable[Example], vocabulary: object = None) -> str:
    """Tells one set of examples, and what was learned from it, from another."""
    whole = hashlib.sha256(json.dumps(vocabulary).encode())
    for example in examples:
        goal = example.goal
        whole.update(identity_of(example.items))
        whole.update(identity_of(goal) if isinstance(goal, Image) else repr(goal).encode())
    return whole.hexdigest()
