"""`regard predict`: labels as the input comes in, so that it works in a pipe and on files of any size."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TextIO, cast

from regard import data
from regard.cli.models import open_model
from regard.data import Example
from regard.errors import ConfigError
from regard.files import atomic_write

MOST = 1024  # sequences predicted at once


def predict(
    run: str,
    source: str,
    *,
    output: str | None,
    format: str,
    output_format: str | None,
    column: str | None,
    device: str,
    decoding: dict[str, Any],
) -> None:
    """Reads, predicts and writes; a file takes its place only when it is complete.

    Raises:
        ConfigError: an option of ``decoding`` for a task without, or one that needs another.
    """
    model = open_model(run, device)
    task = model.config.task
    if decoding and task != "transduce":
        raise ConfigError(f"{min(decoding)}: a {task} model has no such option; leave it out")
    more = {"decoding": decoding} if task == "transduce" else {}
    plan = PLANS[task](model, source, format, output_format, column, **more)
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        _write(plan, sys.stdout)
    else:
        with atomic_write(output) as file:
            _write(plan, cast(TextIO, file))


Plan = tuple[Iterator[Example], Callable[[list[Example], TextIO, bool], None]]  # what is read, how some are written


def _write(plan: Plan, file: TextIO) -> None:
    examples, write = plan
    first = True
    for some in _growing(examples):
        write(some, file, first)
        file.flush()
        first = False


def _label(model: Any, source: str, format: str, output_format: str | None, column: str | None) -> Plan:
    target = output_format or data.output_format(source, format)

    def write(some: list[Example], file: TextIO, first: bool) -> None:
        data.write_predictions(some, model.predict(some), file, format=target, column=column or model.config.column)

    return data.iter_examples(source, format=format, labelled=False), write


def _classify(model: Any, source: str, format: str, output_format: str | None, column: str | None) -> Plan:
    target = output_format or data.classified_output_format(source, format)
    names = {"column": column or model.config.column, "text_column": model.config.text_column}

    def write(some: list[Example], file: TextIO, first: bool) -> None:
        chances = model.probabilities(some)
        labels = [max(row, key=row.__getitem__) for row in chances]
        best = [max(row.values()) for row in chances]
        data.write_classified(some, labels, file, format=target, scores=best, header=first, **names)

    return data.iter_classified(source, format=format, labelled=False, **names), write


def _transduce(
    model: Any, source: str, format: str, output_format: str | None, column: str | None, decoding: dict[str, Any]
) -> Plan:
    target = output_format or data.pair_output_format(source, format)
    find = _finder(model, **decoding)
    several = max(decoding.get("n_best", 1), decoding.get("samples", 1)) > 1

    def write(some: list[Example], file: TextIO, first: bool) -> None:
        found = find(some)
        if several:
            data.write_candidates(some, found, file, format=target)
        else:
            data.write_transduced(some, [best for [(best, _)] in found], file, format=target)

    names = {"source_column": column or model.config.source_column}
    return data.iter_pairs(source, format=format, labelled=False, **names), write


def _finder(
    model: Any,
    *,
    beam: int | None = None,
    n_best: int | None = None,
    samples: int | None = None,
    seed: int | None = None,
    **drawing: Any,
) -> Callable[[list[Example]], list[list[tuple[str, float]]]]:
    """Beam search or drawing, as the options ask."""
    if samples is None:
        if seed is not None or drawing:
            raise ConfigError(f"{min(drawing, default='seed')}: for outputs drawn at random; add --samples 1")
        if n_best is not None and beam is None:
            beam = max(n_best, model.config.beam)
        return partial(model.candidates, beam=beam, n_best=n_best or 1)
    if beam is not None or n_best is not None:
        raise ConfigError("samples: outputs are found by a beam or drawn; leave out --samples, or --beam and --n-best")
    import torch

    torch.seed() if seed is None else torch.manual_seed(seed)  # once: each batch goes on with it
    return partial(model.sample, samples=samples, **drawing)


def _pretrain(model: Any, source: str, format: str, output_format: str | None, column: str | None) -> Plan:
    target = output_format or data.pair_output_format(source, format)

    def write(some: list[Example], file: TextIO, first: bool) -> None:
        data.write_transduced(some, model.predict(some), file, format=target)

    return data.iter_pairs(source, format=format, labelled=False), write


PLANS: dict[str, Callable[..., Plan]] = {
    "pretrain": _pretrain,
    "label": _label,
    "classify": _classify,
    "transduce": _transduce,
}


def _growing(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Lists of 1, 4, 16, ... examples: the first answers come at once, later ones in batches that are worth it."""
    rest, size = iter(examples), 1
    while some := list(islice(rest, size)):
        yield some
        size = min(4 * size, MOST)
