"""What the commands print: tables for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

Scores = dict[str, dict[str, float]]
MOST_NAMES = 40  # labels that are told by name
WIDE = 200  # columns of a table where no terminal is too narrow for it


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(title: str, scores: Scores) -> None:
    """One row for the model and each of its baselines, one column for each metric, in per cent."""
    from rich.table import Table

    from regard.tasks.card import errors_of

    metrics = list(dict.fromkeys(metric for row in scores.values() for metric in row))
    table = Table("")
    for metric in metrics:
        table.add_column(metric, justify="right", overflow="fold")
    for name, row in scores.items():
        cells = [f"{100 * row[metric]:.2f} %" if metric in row else "" for metric in metrics]
        table.add_row(name, *cells, style="bold" if name == "regard" else None)
    typer.echo(title)
    _print(table)
    if errors := errors_of(scores):
        typer.echo(f"lower is better: {', '.join(errors)}")


def print_by_label(scores: Scores) -> None:
    """A row for each label, or type of span: the most frequent ones, where there are very many."""
    from rich.table import Table

    from regard.tasks.card import MOST_LABELS

    if not scores:
        return
    table = Table("")
    for metric in next(iter(scores.values())):
        table.add_column(metric, justify="right")
    for name, row in list(scores.items())[:MOST_LABELS]:
        cells = [f"{row[metric]:,}" if metric == "support" else f"{100 * row[metric]:.2f} %" for metric in row]
        table.add_row(name, *cells)
    _print(table)
    if len(scores) > MOST_LABELS:
        typer.echo(f"the {MOST_LABELS} most frequent of {len(scores)} labels; --json tells all")


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False)  # names of runs and labels stay as they are
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def print_trained(model: Any, output: Path, dev: str | None) -> None:
    """The model beside its baselines, where it is, and what to type next."""
    from regard.tasks.card import commands
    from regard.tasks.start import advice

    training = model.scores["training"]
    print_table(f"scores on {model.scores['measured_on']}", model.scores["scores"])
    if (line := advice(model)) is not None:
        typer.echo(line)
    typer.echo(f"{training['seconds']:.0f} s of training, {training['tokens_per_second']:,.0f} items/s")
    typer.echo(f"{output} holds the model and its card")
    typer.echo("next:")
    for command in commands(model, output, dev):
        typer.echo(f"  {command}")


def print_info(model: Any, run: str, *, every: bool) -> None:
    """What was learned of which data, the network and how far it sees, options, scores.

    Arguments:
        every: whether all options are shown, or those that are not the defaults.
    """
    from regard.tasks.card import told_data, told_network
    from regard.tasks.reach import reach_of, told

    facts = model.describe()
    labels = f", {facts['labels']} labels: {told_names(model.labels)}" if "labels" in facts else ""
    typer.echo(f"{run}: {facts['task']}{labels}")
    if data := told_data(model.scores):
        typer.echo(f"trained{data}")
    typer.echo(told_network(model.config))
    parts = ", ".join(f"{name} {count:,}" for name, count in facts["parts"].items())
    typer.echo(f"{facts['parameters']:,} parameters: {parts}")
    typer.echo(told(reach_of(model.network), timed=hasattr(model.network.front_end, "seconds")))
    usual, own = type(model.config)().model_dump(), model.config.model_dump()
    typer.echo("options:" if every else "options that are not the defaults (--all for every one):")
    for name, value in own.items():
        if every or value != usual[name]:
            typer.echo(f"  {name} = {'unset' if value is None else value}")
    if model.scores:
        print_table(f"scores on {model.scores['measured_on']}", model.scores["scores"])


def told_names(names: Sequence[str]) -> str:
    """The names of labels, the first where there are many.

    >>> told_names(["ham", "spam"])
    'ham spam'
    """
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return " ".join(names[:MOST_NAMES]) + more
