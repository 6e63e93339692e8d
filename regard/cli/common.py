"""What the commands share: arguments, opening a run folder on a device, which options its model takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

from regard.errors import ConfigError
from regard.tasks import load
from regard.training.config import make_config

INTERRUPTED = 130  # the exit code after Ctrl-C
BROKEN_PIPE = 141  # 128 + SIGPIPE
Run = Annotated[str, typer.Argument(help="Run folder of a trained model.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (JSON Lines of predictions), for machines.")]
Format = Annotated[str, typer.Option(help="auto, or one of those that training reads; auto goes by the file's name.")]
ReadFormat = Annotated[
    str, typer.Option(help="auto, text, or one of those that training reads; auto goes by the file's name.")
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
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]


def open_model(run: str, device: str = "cpu") -> Any:
    """The trained model, its network on ``device``.

    Raises:
        ModelError: no such run folder, or a damaged one.
        ConfigError: no such device.
    """
    from regard.training.learner import choose_device

    model = load(run)
    model.network.to(choose_device(device))
    return model


def change_options(model: Any, **options: Any) -> None:
    """Gives the model options of reading and scoring in the place of those of its training; None leaves those.

    Raises:
        ConfigError: a value that an option does not take.
    """
    given = {name: value for name, value in options.items() if value is not None}
    model.config = make_config(type(model.config), model.config.model_dump(exclude_unset=True) | given)


def refuse_unknown(options: Collection[str], function: Callable[..., Any], task: str) -> None:
    """Refuses options that a method of a task does not have.

    Raises:
        ConfigError: the first of them.
    """
    unknown = set(options) - inspect.signature(function).parameters.keys()
    if unknown:
        raise ConfigError(f"{min(unknown)}: a {task} model has no such option; leave it out")
