"""`regard check`: what there is in data, and what looks wrong, before anything is trained."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from regard.cli.common import AsJson, Format
from regard.errors import ConfigError

if TYPE_CHECKING:
    from regard.tasks.checking import Checked

_reading = partial(typer.Option, show_default=False, rich_help_panel="Reading")


def check(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="[TASK] FILE",
            help="Training file, and before it, if need be, label, classify, transduce, transcribe or pretrain.",
            show_default=False,
        ),
    ],
    dev: Annotated[
        str | None, typer.Option(help="Dev file, or the share of FILE that is to be held out.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="By which a share is chosen; 1 if unset.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    column: Annotated[
        str | None, _reading("--column", "--target-column", help="Column or key of the label or target.")
    ] = None,
    item_column: Annotated[
        str | None,
        _reading(
            "--text-column",
            "--source-column",
            "--audio-column",
            "--image-column",
            help="Column or key of the text, recording or image.",
        ),
    ] = None,
    format: Format = "auto",
    front_end: Annotated[
        str | None, _reading(help="words, subwords, vectors, audio, patches, ...; told by the data if unset.")
    ] = None,
    train_target: Annotated[str | None, _reading(help="File of targets, where FILE is one of sources.")] = None,
    dev_target: Annotated[str | None, _reading(help="The same for dev.")] = None,
    delimiter: Annotated[
        str | None, _reading(metavar="C", help="What parts the cells of csv; told by the header if unset.")
    ] = None,
    encoding: Annotated[str | None, _reading(help="Encoding of files of text: utf-8 if unset, cp1252, ...")] = None,
    bad_records: Annotated[
        Literal["skip", "refuse"],
        _reading(help="What becomes of records that cannot be used: they are counted, or an error."),
    ] = "skip",
    largest_record: Annotated[int | None, _reading(metavar="N", help="MiB of one record; 16 if unset.")] = None,
    largest_unpacked: Annotated[int | None, _reading(metavar="N", help="MiB of a packed file; 1024 if unset.")] = None,
) -> None:
    """Report on data: lengths, labels, repetitions, what dev shares with train, and what looks wrong."""
    from regard.cli.report import print_checked, print_json
    from regard.tasks.checking import as_json as json_of
    from regard.tasks.checking import check as look

    if len(what) > 2:
        raise ConfigError(f"check takes a training file, and a task before it, got {shlex.join(what)}")
    task, file = what if len(what) == 2 else (None, what[0])
    checked: Checked = look(
        file,
        dev,
        task=task,
        column=column,
        item_column=item_column,
        **_given(format=format, front_end=front_end, train_target=train_target, dev_target=dev_target),
        **_given(delimiter=delimiter, encoding=encoding, bad_records=bad_records, seed=seed),
        **_given(largest_record=largest_record, largest_unpacked=largest_unpacked),
    )
    if as_json:
        print_json(json_of(checked))
    else:
        print_checked(checked, file, dev, guessed=task is None)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
