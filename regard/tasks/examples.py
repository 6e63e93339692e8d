"""The examples of a training: those of train and dev, or of a part of train, and what looks wrong in them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from regard.data import Example, Source
from regard.data.bad import BadRecords
from regard.data.lazy import LazyExamples
from regard.data.parts import held_out
from regard.data.report import Report, look
from regard.data.share import share_of
from regard.errors import ConfigError
from regard.tasks.files import column_options, read
from regard.tasks.model import Model
from regard.training.learner import is_main_process

logger = logging.getLogger(__name__)


def read_both(
    model: Model, train: Source, dev: Source | float | None, left_out: dict[str, int]
) -> tuple[Sequence[Example], Sequence[Example] | None]:
    """The examples of train and dev, where that is a share of the former without them.

    Raises:
        ConfigError: a share, and a file of its targets.
    """
    config = model.config
    share = share_of(config.dev)
    if share is not None and getattr(config, "dev_target", None) is not None:
        raise ConfigError(f"dev_target: dev={config.dev} is a part of train and has its targets; leave it out")
    examples = _read_part(model, train, "train", left_out)
    if share is not None:
        return held_out(examples, share, goal=config.goal, seed=config.seed)
    if dev is None or isinstance(dev, int | float):
        return examples, None
    return examples, _read_part(model, dev, "dev", left_out)


def _read_part(model: Model, source: Source, part: str, left_out: dict[str, int]) -> Sequence[Example]:
    """The examples of train or dev; how many records were left out goes into ``left_out``."""
    bad = BadRecords(skip=model.config.bad_records == "skip")
    target = getattr(model.config, f"{part}_target", None)
    examples = read(model, source, format=model.config.format, target=target, bad=bad)
    left_out[part] = bad.count
    return examples


def report_on(model: Model, train: Sequence[Example], dev: Sequence[Example] | None, *, masks: bool = False) -> Report:
    """What there is in the data of a task; see :func:`regard.data.report.look`."""
    column, item_column = column_options(model.config)
    return look(train, dev, goal=model.config.goal, names=(item_column, column or ""), masks=masks)


def warn_of(model: Model, train: Sequence[Example], dev: Sequence[Example] | None) -> None:
    """Tells what looks wrong in the data.

    Masks are not unpacked for it, nor is raw text looked through that is not held in memory, which takes a pass.
    """
    if is_main_process() and not (model.config.goal == "nothing" and isinstance(train, LazyExamples)):
        for line in report_on(model, train, dev).warnings:
            logger.warning("%s", line)
