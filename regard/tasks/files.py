"""Examples of a file or an iterable, read and checked as the options of a model say."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from regard.data import Example, Source, reading
from regard.data.bad import BadRecords
from regard.data.chosen import undamaged
from regard.data.formats import ending, find_format
from regard.data.goals import FILE_NAMES, GOALS
from regard.data.items import identity_of
from regard.data.lines import STDIN, show
from regard.data.records import NoGoal
from regard.errors import ConfigError, DataError, RegardError
from regard.front_ends import items_of
from regard.image import Image
from regard.tasks.model import Model
from regard.training.config import Config, make_config

MOST_BYTES = 12  # of a character, once it is normalized


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


def read_partly(model: Model, source: Source, **how: Any) -> Sequence[Example]:
    """All examples, each with its goal if it has one.

    Raises:
        DataError: a goal that is wrong; and what :func:`read` raises without goals.
    """
    if isinstance(source, Iterator):
        source = list(source)  # which is read twice
    bad = BadRecords(skip=True, shown=sys.maxsize)
    labelled: Sequence[Example] = []
    try:
        labelled = reading.read(source, **_how(model, source, labelled=True, **how)[1], bad=bad)
    except RegardError as error:
        of_a_file = isinstance(source, str | Path) and getattr(error, "line", None) is None and not bad.count
        if not (isinstance(error, NoGoal) or of_a_file):  # such as a folder, of which no record tells a goal
            raise
    wrong = [error for error in bad.first if not isinstance(error, NoGoal)]
    if wrong and model.config.bad_records == "refuse":
        raise wrong[0]
    if labelled and not bad.count:
        return labelled
    known = {(example.place.line, example.place.number): example for example in labelled}
    every = read(model, source, labelled=False, **how)
    return [known.get((example.place.line, example.place.number), example) for example in every]


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


def digest(examples: Iterable[Example], vocabulary: object = None) -> str:
    """Tells one set of examples, and what was learned from it, from another."""
    whole = hashlib.sha256(json.dumps(vocabulary).encode())
    for example in examples:
        goal = example.goal
        whole.update(identity_of(example.items))
        whole.update(identity_of(goal) if isinstance(goal, Image) else repr(goal).encode())
    return whole.hexdigest()
