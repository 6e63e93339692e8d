"""`regard predict`: labels as the input comes in, so that it works in a pipe and on files of any size."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TextIO, cast

from regard import data
from regard.cli.models import open_model
from regard.data import Example
from regard.files import atomic_write
from regard.tasks import Labeler

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
) -> None:
    """Reads, labels and writes; a file takes its place only when it is complete."""
    labeler = open_model(run, device)
    target = output_format or data.output_format(source, format)
    examples = data.iter_examples(source, format=format, labelled=False)
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        _label(labeler, examples, sys.stdout, format=target, column=column)
    else:
        with atomic_write(output) as file:
            _label(labeler, examples, cast(TextIO, file), format=target, column=column)


def _label(labeler: Labeler, examples: Iterator[Example], file: TextIO, *, format: str, column: str | None) -> None:
    for some in _growing(examples):
        data.write_predictions(some, labeler.predict(some), file, format=format, column=column or labeler.config.column)
        file.flush()


def _growing(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Lists of 1, 4, 16, ... examples: the first answers come at once, later ones in batches that are worth it."""
    rest, size = iter(examples), 1
    while some := list(islice(rest, size)):
        yield some
        size = min(4 * size, MOST)
