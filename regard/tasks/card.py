"""The model card: README.md of a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regard.data import Example
from regard.files import atomic_write

if TYPE_CHECKING:
    from regard.tasks.fitting import Model

TITLES = {
    "label": "one label per item",
    "classify": "one label per sequence",
    "transduce": "a new sequence",
    "pretrain": "hidden parts guessed",
}


def write_card(model: Model, path: Path, train: Sequence[Example], dev: Sequence[Example] | None) -> None:
    """What was trained, on how much, how well it does beside its baselines, and how to use it."""
    config, facts = model.config, model.describe()
    training = model.scores["training"]
    lines = [
        f"# {path.resolve().parent.name}: {TITLES[facts['task']]}",
        "",
        f"Trained with regard on {_count(model, train)}"
        + (f"; the best weights chosen on {_count(model, dev)}." if dev is not None else "; no dev data."),
        "",
        f"- network: {config.front_end} front end, {config.encoder} encoder, depth {config.depth}, dim {config.dim}, "
        f"{config.heads} heads, {facts['parameters']:,} parameters",
        f"- attention: {config.score} scores, {config.normalizer}, window {_window(config.window)}, "
        f"positions {config.positions}",
        f"- training: {training['seconds']:.0f} s, {training['tokens_per_second']:,.0f} items/s, seed {config.seed}",
        *([f"- labels: {facts['labels']}"] if "labels" in facts else []),
        "",
        f"## Scores on {model.scores['measured_on']}",
        "",
        *score_table(model.scores["scores"]),
        "",
        "## Use",
        "",
        "```sh",
        f"regard predict {path.parent} INPUT",
        f"regard evaluate {path.parent} FILE",
        "```",
        "",
    ]
    with atomic_write(path) as file:
        file.write("\n".join(lines))


def score_table(scores: dict[str, dict[str, float]]) -> list[str]:
    """The model and its baselines as a Markdown table, in per cent."""
    metrics = list(dict.fromkeys(metric for row in scores.values() for metric in row))
    return [
        "| | " + " | ".join(metrics) + " |",
        "|---|" + "---:|" * len(metrics),
        *(
            f"| {name} | " + " | ".join(f"{100 * row[m]:.2f} %" if m in row else "" for m in metrics) + " |"
            for name, row in scores.items()
        ),
    ]


def _count(model: Model, examples: Sequence[Example]) -> str:
    return f"{len(examples):,} sequences ({sum(map(model._length, examples)):,} items)"


def _window(window: int | tuple[int | None, int | None] | None) -> str:
    if window is None:
        return "none"
    left, right = (window, window) if isinstance(window, int) else window
    return f"{'all' if left is None else left} left, {'all' if right is None else right} right"
