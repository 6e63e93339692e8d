"""Folds: a network is trained without each part of train and scored on that, then one on all of it, which is kept.

The scores of those that are done stand in ``folds.json`` of the run folder; the one that is not is a run in ``fold``.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regard.data import Example
from regard.data.parts import folds, without
from regard.errors import ConfigError
from regard.files import check_held, read_json, sealed, unsealed, write_json
from regard.tasks import fitting
from regard.tasks.card import data_of, write_scores
from regard.tasks.files import digest
from regard.tasks.model import Model, Scores
from regard.tasks.run_folder import FOLD, FOLDS
from regard.tasks.start import Start
from regard.tasks.stored_scores import StoredFolds, checked
from regard.training.checkpoint import FREE, WEIGHTS, Identity, is_interrupted
from regard.training.config_file import FILE as CONFIG
from regard.training.config_file import write_config
from regard.training.progress import say

Cut = Callable[[Sequence[Example]], Sequence[Example]]


def train_on_folds(
    model: Model,
    train: Sequence[Example],
    output: Path,
    start: Start,
    *,
    resume: bool,
    about: dict[str, Any],
    cut: Cut,
    warn: Callable[[], None],
) -> None:
    """Trains on each rest of train, and on all of it; the model is the latter, its scores are those of the folds.

    No weights are chosen by the part that is scored: those of the last epoch are, in each fold as in the model.

    Arguments:
        about: what the scores tell beside themselves.
        cut: makes shorter examples of those of training.
        warn: called before training, once everything is checked.
    """
    config = model.config
    done = _of_each_fold(model, train, output, start, resume=resume, cut=cut, warn=warn)
    say(f"all {config.folds} folds are done: training on all {len(train):,} examples", not config.quiet)
    examples = cut(train)
    training = fitting.learn(model, examples, None, output, start, resume=resume)
    told = {"measured_on": f"{config.folds} folds of train, seed {config.seed}", "training": training, **about}
    told["data"] = data_of(model, train=examples)
    model.scores = told | mean_and_spread([fold["scores"] for fold in done]) | {"folds": done}
    write_scores(model, output)


def mean_and_spread(folds: Sequence[Scores]) -> dict[str, Scores]:
    """The mean of each score over the folds that have it, and its standard deviation from one fold to another.

    >>> mean_and_spread([{"regard": {"accuracy": 0.5}}, {"regard": {"accuracy": 1.0}}])
    {'scores': {'regard': {'accuracy': 0.75}}, 'spread': {'regard': {'accuracy': 0.3535533905932738}}}
    """
    means: Scores = {}
    spreads: Scores = {}
    for name in dict.fromkeys(name for scores in folds for name in scores):
        rows = [scores[name] for scores in folds if name in scores]
        found = {
            metric: [row[metric] for row in rows if metric in row]
            for metric in dict.fromkeys(metric for row in rows for metric in row)
        }
        means[name] = {metric: statistics.fmean(values) for metric, values in found.items()}
        spreads[name] = {
            metric: statistics.stdev(values) if len(values) > 1 else 0.0 for metric, values in found.items()
        }
    return {"scores": means, "spread": spreads}


def _of_each_fold(
    model: Model,
    train: Sequence[Example],
    output: Path,
    start: Start,
    *,
    resume: bool,
    cut: Cut,
    warn: Callable[[], None],
) -> list[dict[str, Any]]:
    """How many examples each fold has, and the scores on them; those of folds that were done before are read."""
    config = model.config
    parts = folds(train, config.folds, goal=config.goal, seed=config.seed)
    identity = Identity(config.model_dump(mode="json", exclude=FREE - {"baselines"}), digest(train), processes=1)
    done = _read_done(output, identity) if resume else []

    def begin() -> None:
        """From now on it can be gone on with."""
        warn()
        write_config(config, output / CONFIG)
        _write_done(output, identity, done)

    for number in range(len(done), len(parts)):
        rest, part = without(train, parts[number])
        say(
            f"fold {number + 1} of {len(parts)}: {len(rest):,} examples to learn from, {len(part):,} to score",
            not config.quiet,
        )
        folder = _run_of(output, number)
        scores = _scores_without(model, rest, part, folder, start, cut, begin if not done else lambda: None)
        done.append({"examples": len(part), "scores": scores})
        _write_done(output, identity, done)
    shutil.rmtree(output / FOLD, ignore_errors=True)
    return done


def _run_of(output: Path, number: int) -> Path:
    """The run of a fold, which may have begun; that of the one before, whose scores are kept, is removed."""
    folder = output / FOLD / str(number + 1)
    for other in (output / FOLD).glob("*"):
        if other != folder:
            check_held(output)
            shutil.rmtree(other)
    return folder


def _scores_without(
    model: Model,
    rest: Sequence[Example],
    part: Sequence[Example],
    folder: Path,
    start: Start,
    cut: Cut,
    begin: Callable[[], None],
) -> Scores:
    """What a network that is trained on the rest scores on a part, beside its baselines; its folder is left there."""
    options: dict[str, Any] = {"folds": None, "output": str(folder)}
    if "unseen_labels" in type(model.config).model_fields:
        options["unseen_labels"] = "count-wrong"  # a label of which all examples are in one fold
    other: Any = type(model)()
    other.config = model.config.model_copy(update=options)
    examples = cut(rest)
    fitting.learn(other, examples, None, folder, start, resume=folder.is_dir(), scored=part, warn=begin)
    scores: Scores = {"regard": other.score(other.network, part)}
    if other.config.baselines != "none":
        scores |= fitting.baselines_of(other, examples, None, part)
    return scores


def _read_done(output: Path, identity: Identity) -> list[dict[str, Any]]:
    """The folds that are done; none where the training has not come that far.

    Raises:
        ConfigError: what stands there is another training.
    """
    if not (output / FOLDS).is_file():
        if is_interrupted(output) or (output / WEIGHTS).is_file():
            raise ConfigError(
                f"folds: {output} was trained without, now with some; leave them out or name another output"
            )
        return []
    found = unsealed(read_json(output / FOLDS), output / FOLDS)
    identity.check(found.get("identity"), output)
    checked(found, StoredFolds, output / FOLDS)
    done: list[dict[str, Any]] = found["folds"]
    return done


def _write_done(output: Path, identity: Identity, done: list[dict[str, Any]]) -> None:
    write_json(sealed({"identity": asdict(identity), "folds": done}), output / FOLDS)
