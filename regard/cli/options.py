"""One flag for every option of :class:`regard.training.config.Config`: its name, help line, choices and default."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

from regard.training.config import Config, Window, describe, panel_of

METAVARS = {int: "N", float: "X", bool: ""}


def with_config_flags(kind: type[Config]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command with the flags of a task beside its own parameters; its ``flags`` receives those that were typed."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [part for part in inspect.signature(command, eval_str=True).parameters.values() if part.name != "flags"]

        def with_flags(context: typer.Context, **values: Any) -> None:
            typed = {name: values[name] for name in kind.model_fields if _is_typed(context, name)}
            command(**{part.name: values[part.name] for part in own}, flags=typed)

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        flags = [_flag(kind, name) for name in kind.model_fields]
        with_flags.__doc__ = command.__doc__
        with_flags.__signature__ = inspect.Signature([context, *own, *flags])  # type: ignore[attr-defined]
        return with_flags

    return decorate


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flag(kind: type[Config], name: str) -> inspect.Parameter:
    field = kind.model_fields[name]
    kinds = get_args(field.annotation) or (field.annotation,)
    choices = [choice for choice in kinds if isinstance(choice, str)]
    is_window = field.annotation == Window
    option = typer.Option(
        *(("--from", "--pretrained") if name == "pretrained" else ()),
        help=f"{describe(kind, name)[:-1]} ({', '.join(choices)})." if choices else describe(kind, name),
        rich_help_panel=panel_of(kind, name),
        parser=parse_window if is_window else None,
        metavar="W" if is_window else METAVARS.get(kinds[0], "TEXT"),
        show_default="none" if is_window else True,
    )
    annotation: Any = Any if is_window else field.annotation
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[annotation, option]
    )


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
    if len(sides) == 1 and sides[0] is not None:
        return sides[0]
    raise typer.BadParameter(f"a window is W, or LEFT,RIGHT with 'all' for no limit, or none; got '{text}'")
