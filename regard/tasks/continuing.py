"""Going on with a finished model, head and all, on other data or for more epochs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from regard.errors import ConfigError, DataError, ModelError
from regard.files import read_json, unsealed
from regard.tasks import MODEL, task_of
from regard.tasks.start import FREE, WINDOWS, Start, window_shapes_weights
from regard.training.checkpoint import WEIGHTS, check_beside
from regard.training.config import Config, make_config, panel_of
from regard.training.config_file import FILE as CONFIG
from regard.training.config_file import read_config

C = TypeVar("C", bound=Config)
OF_ONE_TRAINING = {  # options that do not go on
    *("train", "dev", "output", "train_target", "dev_target", "format", "mask_names", "feature_cache"),
    *("pretrained", "continue_from", "tokenizer", "device", "quiet", "sequence_parallel", "shard"),
}


def continued(config: C) -> tuple[C, Start]:
    """The options of a training that goes on with a run, as that had them unless they are given; and what it left.

    Raises:
        ConfigError: a run of another task, or an option that its weights do not allow.
        ModelError: no run folder, or a file in it is missing or damaged.
    """
    assert config.continue_from is not None
    folder = Path(config.continue_from)
    for name in ("pretrained", "tokenizer"):
        if (given := getattr(config, name)) is not None:
            flag = "--from" if name == "pretrained" else "--tokenizer"
            raise ConfigError(f"{name}: {folder} goes on with its own, got {given!r}; leave out {flag} or --continue")
    if not (folder / MODEL).is_file():
        raise ModelError(f"{folder}: no run folder of a finished training ({MODEL})")
    vocabulary = unsealed(read_json(folder / MODEL), folder / MODEL, required=False)
    if (task := task_of(folder)) != config.task:
        raise ConfigError(
            f"continue_from: {folder} is of the task {task}, not {config.task}; use `regard train {task}`"
        )
    old = read_config(folder / CONFIG, type(config), whole=True)
    check_beside(folder / WEIGHTS, config=old, vocabulary=vocabulary)
    free = FREE - WINDOWS if window_shapes_weights(old) else FREE
    for name in sorted(config.model_fields_set):
        given, own = getattr(config, name), getattr(old, name)
        if panel_of(type(config), name) == "Network" and name not in free | OF_ONE_TRAINING and given != own:
            raise ConfigError(f"{name}: {folder}, which goes on, has {own!r}, got {given!r}; leave it out")
    kept = {name: value for name, value in old.model_dump().items() if name not in OF_ONE_TRAINING}
    made = make_config(type(config), kept | config.model_dump(exclude_unset=True))
    return made, Start(vocabularies=vocabulary, whole=folder)


def check_no_new(found: list[str], known: list[str]) -> None:
    """Refuses labels that a head does not have.

    Raises:
        DataError: all of them, and what to do.
    """
    if new := sorted(set(found) - set(known)):
        shown = ", ".join(f"'{label}'" for label in new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
        expected = f"the {len(known)} labels of the model that goes on (to learn others, --from in place of --continue)"
        raise DataError(expected, f"{shown} in the training data")
