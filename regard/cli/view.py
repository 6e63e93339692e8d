"""`regard view`: who attends to whom in one sequence, as a page or a picture."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.cli.common import Run, open_model
from regard.errors import ConfigError, DataError

if TYPE_CHECKING:
    from regard.data import Example


def view(
    run: Run,
    given: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A text (a tagger's words are separated by spaces), a recording, an image; a file; or images' folder.",
        ),
    ],
    number: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="INPUT is a file of sequences: draw the N-th; the first if unset.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="ROW,COLUMN",
            help="Of an image: the patch whose maps are drawn, from 1,1; the middle one if unset.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0.0, help="Of a recording: draw the part from this second on.", show_default=False
        ),
    ] = None,
    end: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.0, help="Of a recording: draw what is heard up to here.", show_default=False),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Page or picture: .html, .png, .svg, .pdf.")
    ] = "page.html",
) -> None:
    """Draw who attends to whom in one sequence: a heat map for every layer and head; of an image, over it.

    Of a folder of images: how far each head looks, on average over them.
    """
    from regard.tasks.files import item_kind
    from regard.tasks.run_folder import check_output

    check_output(output)
    place = None if at is None else parse_place(at)
    model = open_model(run)
    kind = item_kind(model.config)
    if place is not None and kind != "images":
        raise ConfigError(f"at: a patch of an image, and {run} reads {kind}; leave it out")
    times = {name: time for name, time in (("start", start), ("end", end)) if time is not None}
    if times and kind != "recordings":
        raise ConfigError(f"{min(times)}: a time in a recording, and {run} reads {kind}; leave it out")
    if number is None and kind == "images" and Path(given).is_dir():
        if place is not None:
            raise ConfigError(f"at: a patch of one image, and {given} is a folder; leave it out, or name an image")
        from regard.tasks.maps import attention_distances

        typer.echo(f"{attention_distances(model, given).save(output)}")
        return
    maps = _maps(model, _found(model, kind, run, given, number), times)
    typer.echo(f"{maps.save(output) if place is None else maps.save(output, at=place)}")


def _maps(model: Any, example: Example, times: dict[str, float]) -> Any:
    """Those of a sequence, of a recording the part between two times."""
    from regard.data.recordings import as_recording
    from regard.tasks.maps import check_drawn

    if times:
        example = replace(example, items=as_recording(example.items, example.place, times))
    check_drawn(model, example)
    return model.attention(example)


def _found(model: Any, kind: str, run: str, given: str, number: int | None) -> Example:
    """The sequence that was typed, or that of a number in a file."""
    from regard.data.goals import GOALS
    from regard.tasks.files import iter_read, read

    if number is None and kind not in ("recordings", "images") and is_file(given):
        typer.echo(f"the first sequence of {given}; --number N draws another", err=True)
        number = 1
    if number is not None:
        examples = iter_read(model, given, items=kind, labelled=model.config.goal == "nothing")
        example = next(islice(examples, number - 1, None), None)
        if example is None:
            raise DataError(f"at least {number} sequences (--number {number})", "fewer", path=given)
        return example
    if kind == "vectors":
        raise ConfigError(f"{run} reads vectors, which are in a file, and there is no file '{given}'")
    typed = given.split() if kind == "words" and GOALS[model.config.goal].per_item else given
    return read(model, [typed], labelled=False, items=kind)[0]


def is_file(given: str) -> bool:
    """Whether it is the path of a file, and not a text, which may be longer than any path."""
    try:
        return Path(given).is_file()
    except (OSError, ValueError):
        return False


def parse_place(text: str) -> tuple[int, int]:
    """A patch as it is typed, counted from 1, as it is counted from 0.

    >>> parse_place("3,1")
    (2, 0)
    """
    try:
        row, column = (int(number) - 1 for number in text.split(","))
    except ValueError:
        row = column = -1
    if row < 0 or column < 0:
        raise typer.BadParameter(f"a patch is ROW,COLUMN, from 1,1; got '{text}'")
    return row, column
