"""The run folder: taken by one training, written, and opened again."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from regard.errors import ConfigError, ModelError
from regard.files import LOCK, only_writer, parts_in, read_json, sealed, unsealed, write_json
from regard.front_ends import restore_front_end
from regard.front_ends.stored import are_names
from regard.nn.undrawn import undrawn
from regard.tasks import MODEL
from regard.tasks.model import Model
from regard.tasks.stored_scores import read_scores
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
from regard.training.config_file import FILE as CONFIG
from regard.training.config_file import read_config, write_config
from regard.training.learner import is_main_process

SCORES, CARD, CONFUSION, CALIBRATION = "scores.json", "README.md", "confusion.png", "calibration.png"
FOLDS, FOLD = "folds.json", "fold"  # the scores of each fold that is done, and the run of the one that is not
# Files of a training that goes on.
ON_THE_WAY = {LOCK, RESUME, CONFIG, MODEL, WEIGHTS, JOURNAL, CURVES, BOARD, FOLDS, FOLD}
AT_THE_END = {SCORES, CARD, CONFUSION, CALIBRATION}
DATA = "data"  # where a demo puts what it then trains on
M = TypeVar("M", bound=Model)


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
        if output.is_symlink() or os.path.exists(os.path.realpath(output)):  # as missing/.. is, once missing is made
            raise ConfigError(f"output: {output} leads through a folder that does not exist; name it without a detour")
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
        try:
            model.restore(vocabulary)
            with undrawn("meta"):  # without memory: options that were altered may ask for any amount
                front_ends = _front_ends(model, vocabulary)
        except ModelError as error:
            raise ModelError(f"{folder / MODEL}: a part is missing or altered: {error}; copy it again") from None
        with undrawn("meta"):
            check_weights(model.build(front_ends), folder / WEIGHTS)
        with undrawn():
            model.network = model.build(_front_ends(model, vocabulary))
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from None
    load_weights(model.network, folder / WEIGHTS)
    if (folder / SCORES).is_file():
        model.scores = read_scores(folder / SCORES, sealed=is_sealed)
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
