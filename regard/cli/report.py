"""What the commands print: tables for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from regard.data.report import Report
    from regard.tasks.checking import Checked

Scores = dict[str, dict[str, float]]
MOST_SHOWN, WIDEST_LABEL = 20, 40  # labels in a table of data, and characters of one
MOST_NAMES = 40  # labels that are told by name
WIDE = 200  # columns of a table where no terminal is too narrow for it


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(title: str, scores: Scores, spread: Scores | None = None) -> None:
    """One row for the model and each of its baselines, one column for each metric, in per cent."""
    from rich.table import Table

    from regard.tasks.card import errors_of, score_cells

    metrics = list(dict.fromkeys(metric for row in scores.values() for metric in row))
    table = Table("")
    for metric in metrics:
        table.add_column(metric, justify="right", overflow="fold")
    for name in scores:
        table.add_row(name, *score_cells(scores, spread, name, metrics), style="bold" if name == "regard" else None)
    typer.echo(title)
    _print(table)
    if spread is not None:
        typer.echo("mean ± standard deviation; the model itself was trained on all of train")
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


def print_checked(checked: Checked, file: str, dev: str | None, *, guessed: bool) -> None:
    """What there is in train and dev, side by side; what looks wrong, a line each; what to type next."""
    from rich.table import Table

    from regard.tasks.checking import command

    task, report = checked.model.config.task, checked.report
    how = "; if that is not meant: regard check TASK FILE" if guessed else ""
    typer.echo(f"{file} as `regard train {task}` reads it{how}")
    parts = {"train": report.train} | ({} if report.dev is None else {"dev": report.dev})
    table = Table("", *(part for part in parts))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cells in _facts(report, checked.left_out).items():
        table.add_row(name, *cells)
    _print(table)
    if len(report.train.labels) > MOST_SHOWN:
        typer.echo(f"the {MOST_SHOWN} most frequent labels are shown; --json tells all")
    for warning in report.warnings:
        typer.echo(f"warning: {warning}")
    if not report.warnings:
        typer.echo("nothing looks wrong")
    typer.echo("next:")
    typer.echo(f"  {command(checked, file, dev)}")


def _facts(report: Report, left_out: dict[str, int]) -> dict[str, list[str]]:
    """The rows of a table: of train, and of dev where there is one."""
    parts = [report.train] if report.dev is None else [report.train, report.dev]
    rows = {"examples": [f"{part.examples:,}" for part in parts]}
    for name in report.train.lengths:
        cells = [part.lengths.get(name) for part in parts]
        rows[f"{name}: least / median / 95 % / most"] = [
            "" if cell is None else " / ".join(f"{value:,}" for value in astuple(cell)) for cell in cells
        ]
    if report.train.labels:
        rows["different labels"] = [f"{len(part.labels):,}" for part in parts]
    for label in list(report.train.labels)[:MOST_SHOWN]:
        name = label if label == label.strip() else repr(label)
        rows[f"  {shorten(name, WIDEST_LABEL, placeholder=' ...')}"] = [_share(part.labels, label) for part in parts]
    rows["repeated"] = [f"{report.repeated:,}"]
    rows["repeated with another goal"] = [f"{report.contradicted:,}"]
    if report.dev is not None:
        rows["also in train"] = ["", f"{report.shared:,}"]
    if any(left_out.values()):
        rows["cannot be used"] = [f"{count:,}" for count in left_out.values()]
    return rows


def _share(counts: dict[str, int], label: str) -> str:
    count = counts.get(label, 0)
    return f"{count:,} ({100 * count / max(1, sum(counts.values())):.1f} %)"


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False)  # names of runs and labels stay as they are
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def print_trained(model: Any, output: Path, dev: str | None) -> None:
    """The model beside its baselines, where it is, and what to type next."""
    from regard.data.share import share_of
    from regard.tasks.card import commands, measured_on
    from regard.tasks.start import advice

    training = model.scores["training"]
    print_table(f"scores on {measured_on(model)}", model.scores["scores"], model.scores.get("spread"))
    if model.scores["measured_on"] == "train":
        typer.echo("the model has seen these data: --dev FILE, or --dev 0.1, tells how well it does on others")
    if (line := advice(model)) is not None:
        typer.echo(line)
    typer.echo(f"{training['seconds']:.0f} s of training, {training['tokens_per_second']:,.0f} items/s")
    typer.echo(f"{output} holds the model and its card")
    typer.echo("next:")
    for command in commands(model, output, None if share_of(dev) is not None else dev):
        typer.echo(f"  {command}")


def print_info(model: Any, run: str, *, every: bool) -> None:
    """What was learned of which data, the network and how far it sees, options, scores.

    Arguments:
        every: whether all options are shown, or those that are not the defaults.
    """
    from regard.tasks.card import measured_on, told_data, told_network, told_ngrams
    from regard.tasks.reach import reach_of, told

    facts = model.describe()
    labels = f", {facts['labels']} labels: {told_names(model.labels)}" if "labels" in facts else ""
    typer.echo(f"{run}: {facts['task']}{labels}")
    if data := told_data(model.scores):
        typer.echo(f"trained{data}")
    typer.echo(told_network(model.config))
    parts = ", ".join(f"{name} {count:,}" for name, count in facts["parts"].items())
    typer.echo(f"{facts['parameters']:,} parameters: {parts}")
    for line in told_ngrams(facts):
        typer.echo(line)
    typer.echo(told(reach_of(model.network), timed=hasattr(model.network.front_end, "seconds")))
    usual, own = type(model.config)().model_dump(), model.config.model_dump()
    typer.echo("options:" if every else "options that are not the defaults (--all for every one):")
    for name, value in own.items():
        if every or value != usual[name]:
            typer.echo(f"  {name} = {'unset' if value is None else value}")
    if model.scores:
        print_table(f"scores on {measured_on(model)}", model.scores["scores"], model.scores.get("spread"))


def told_names(names: Sequence[str]) -> str:
    """The names of labels, the first where there are many.

    >>> told_names(["ham", "spam"])
    'ham spam'
    """
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return " ".join(names[:MOST_NAMES]) + more
