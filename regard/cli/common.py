"""What the commands share: arguments, opening a run folder on a device, which options its model takes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from regard.errors import ConfigError
from regard.files import IMAGE_ENDINGS, SOUND_ENDINGS
from regard.machine import processes
from regard.tasks import load
from regard.training.config import AUTO, BatchTokens, ImageSize, Window, Windows, make_config

INTERRUPTED = 130  # the exit code after Ctrl-C
BROKEN_PIPE = 141  # 128 + SIGPIPE
Run = Annotated[str, typer.Argument(help="Run folder of a trained model.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (JSON Lines of predictions), for machines.")]
Format = Annotated[str, typer.Option(help="auto, or one of those that training reads; auto goes by the file's name.")]
ReadFormat = Annotated[
    str, typer.Option(help="auto, text, or one of those that training reads; auto goes by the file's name.")
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        metavar="C",
        help="What parts the cells of csv (a character, tab, semicolon, ...); as in training if unset.",
        show_default=False,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(help="Encoding of files of text (cp1252, utf-16, ...); as in training if unset.", show_default=False),
]
ItemColumn = Annotated[
    str | None,
    typer.Option(
        "--text-column",
        "--source-column",
        "--audio-column",
        "--image-column",
        help="Column or key of the text, recording or image; that of training if unset.",
        show_default=False,
    ),
]
LargestRecord = Annotated[
    int | None,
    typer.Option(metavar="N", help="MiB of one record, as in training if unset.", show_default=False),
]
LargestUnpacked = Annotated[
    int | None,
    typer.Option(metavar="N", help="MiB of a packed file, as in training if unset.", show_default=False),
]
Smooth = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Seconds over which the most frequent label is taken (recordings); as in training if unset.",
        show_default=False,
    ),
]
Shortest = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Seconds below which a segment, or a pause, goes to its neighbours; as in training if unset.",
        show_default=False,
    ),
]
OtherWindow = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="W", help="Attend in another window than in training, or in none.", show_default=False
    ),
]
OtherWindows = Annotated[
    str | None,
    typer.Option("--windows", metavar="W/W/...", help="The same for each layer of the encoder.", show_default=False),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]


def parse_window(text: str) -> Window:
    """A window as it is typed.

    >>> parse_window("64"), parse_window("8,0"), parse_window("all,0"), parse_window("none")
    (64, (8, 0), (None, 0), None)
    """
    if text == "none":
        return None
    try:
        sides = [None if side.strip() == "all" else int(side) for side in text.split(",")]
    except ValueError:
        sides = []
    if len(sides) == 2:
        return (sides[0], sides[1])
    if len(sides) == 4:
        return (sides[0], sides[1], sides[2], sides[3])
    if len(sides) == 1 and sides[0] is not None:
        return sides[0]
    raise typer.BadParameter(
        f"a window is W, or LEFT,RIGHT with 'all' for no limit (of images VERTICAL,HORIZONTAL, or UP,DOWN,LEFT,RIGHT), "
        f"or none; got '{text}'"
    )


def parse_windows(text: str) -> Windows:
    """A window for each layer as they are typed.

    >>> parse_windows("64,16/64,0/none")
    ((64, 16), (64, 0), None)
    """
    return tuple(parse_window(part) for part in text.split("/"))


def parse_batch_tokens(text: str) -> BatchTokens:
    """A number as it is typed, or auto.

    >>> parse_batch_tokens("4000"), parse_batch_tokens("auto")
    (4000, 'auto')
    """
    if text == AUTO:
        return AUTO
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"a number of items, or {AUTO}; got '{text}'") from None


def parse_size(text: str) -> ImageSize:
    """Rows and columns as they are typed.

    >>> parse_size("224"), parse_size("32,256")
    (224, (32, 256))
    """
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) == 2:
        return (sizes[0], sizes[1])
    if len(sizes) == 1:
        return sizes[0]
    raise typer.BadParameter(f"a size is N, or ROWS,COLUMNS, in pixels; got '{text}'")


def open_model(run: str, device: str = "cpu") -> Any:
    """The trained model, its network on ``device``; under ``torchrun`` this process joins the others.

    Raises:
        ModelError: no such run folder, or a damaged one.
        ConfigError: no such device.
    """
    from regard.training.learner import choose_device, start_processes

    model = load(run)
    model.network.to(start_processes(device)[1] if processes() > 1 else choose_device(device))
    return model


def check_apart(output: str, *given: str | None, option: str = "output") -> None:
    """Refuses to write in the place of what is read, be it through links, or of a recording or image in its folder.

    Arguments:
        given: paths, or texts that are none.

    Raises:
        ConfigError: with the ``option`` that names the output.
    """
    if not os.path.isfile(output):
        return
    for read in given:
        try:
            is_same = read is not None and os.path.samefile(read, output)
        except (OSError, ValueError):  # no such file, or a text
            continue
        is_media = Path(output).suffix.lower() in SOUND_ENDINGS + IMAGE_ENDINGS
        if is_same or (read and is_media and Path(os.path.realpath(read)) in Path(os.path.realpath(output)).parents):
            raise ConfigError(f"{option}: {output} is read, and would be written over; name another place")


def change_options(model: Any, **options: Any) -> None:
    """Gives the model options of reading and scoring in the place of those of its training; None leaves those.

    Raises:
        ConfigError: a value that an option does not take.
    """
    given = {name: value for name, value in options.items() if value is not None}
    model.config = make_config(type(model.config), model.config.model_dump(exclude_unset=True) | given)


def change_columns(model: Any, column: str | None, item_column: str | None) -> None:
    """Gives the model names of goal and items in the place of those of its training; None leaves those."""
    from regard.tasks.files import column_options

    goal, items = column_options(model.config)
    change_options(model, **({items: item_column} if goal is None else {goal: column, items: item_column}))
    if goal is None and column is not None:
        raise ConfigError(f"column: a {model.config.task} model has no such option; leave it out")


def change_window(model: Any, window: str | None, windows: str | None) -> None:
    """Lets the encoder attend within windows that were typed, in the place of those of its training; None leaves those.

    Raises:
        ConfigError: an encoder that does not attend, or windows that are none.
    """
    from regard.tasks import fitting

    if window is not None or windows is not None:
        one = None if window is None else parse_window(window)
        fitting.change_window(model, window=one, windows=None if windows is None else parse_windows(windows))


def refuse_unknown(options: Collection[str], function: Callable[..., Any], task: str) -> None:
    """Refuses options that a method of a task does not have.

    Raises:
        ConfigError: the first of them.
    """
    unknown = set(options) - inspect.signature(function).parameters.keys()
    if unknown:
        raise ConfigError(f"{min(unknown)}: a {task} model has no such option; leave it out")
