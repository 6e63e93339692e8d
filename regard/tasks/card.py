"""What a run scored: as JSON, and in the model card, README.md of a run folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regard.data import Example
from regard.files import atomic_write, sealed, write_json
from regard.tasks import TASKS
from regard.tasks.files import item_kind
from regard.tasks.model import Model, Scores
from regard.tasks.run_folder import CARD, SCORES
from regard.training.config import Config, Window

SEEN = (
    "There are no dev data: these are scores on the training data itself, which the model has seen. They do not tell "
    "how well it does on others; `dev`, a file or a share of train, does."
)
MOST_LABELS = 40  # rows of a table of labels


def write_scores(model: Model, folder: Path, run: Path | None = None) -> None:
    """The scores, and the card, of a model that was trained; of one that will stand in ``run``, if that is given."""
    write_json(sealed(model.scores), folder / SCORES)
    with atomic_write(folder / CARD) as file:
        file.write("\n".join(_card(model, folder if run is None else run)))


def data_of(model: Model, **parts: Sequence[Example] | None) -> dict[str, dict[str, int]]:
    """How many sequences and items each part of the data has that there is."""
    return {
        name: {"sequences": len(examples), "items": sum(map(model.length, examples))}
        for name, examples in parts.items()
        if examples is not None
    }


def _card(model: Model, run: Path) -> list[str]:
    """What was trained, on how much, how well it does beside its baselines, and how to use it."""
    config, facts = model.config, model.describe()
    errors = errors_of(model.scores["scores"])
    return [
        f"# {run.resolve().name}: {TASKS[facts['task']].title}",
        "",
        f"Trained with regard{told_data(model.scores)}.",
        "",
        f"- network: {told_network(config)}, {facts['parameters']:,} parameters",
        *(f"- {line}" for line in told_ngrams(facts)),
        *_begun(config),
        f"- attention: {config.score} scores, {config.normalizer}, {_windows(config)}, positions {config.positions}",
        *_speed(model.scores, config.seed),
        *([f"- labels: {facts['labels']}"] if "labels" in facts else []),
        *([_left_out(model.scores["bad_records"])] if "bad_records" in model.scores else []),
        "",
        f"## Scores on {measured_on(model)}",
        "",
        *([SEEN, ""] if model.scores["measured_on"] == "train" else []),
        *score_table(model.scores["scores"], model.scores.get("spread")),
        *([] if not errors else ["", f"Lower is better: {', '.join(errors)}."]),
        *fold_table(model.scores.get("folds", [])),
        *label_table(model.scores.get("by_label", {})),
        "",
        "## Use",
        "",
        "```sh",
        *commands(model, run),
        "```",
        "",
    ]


def told_data(scores: dict[str, Any]) -> str:
    """How much data it was trained and chosen on; nothing of an old run, which does not know."""
    parts = scores.get("data")
    if parts is None:
        return ""
    told = {name: f"{own['sequences']:,} sequences ({own['items']:,} items)" for name, own in parts.items()}
    dev = f"the best weights chosen on {told['dev']}" if "dev" in told else "no dev data"
    return f" on {told['train']}; {dev}"


def told_network(config: Config) -> str:
    """Its parts and sizes."""
    sizes = f"depth {config.depth}, dim {config.dim}, {config.heads} heads"
    return f"{config.front_end} front end, {config.encoder} encoder, {sizes}"


def told_ngrams(facts: dict[str, Any]) -> list[str]:
    """How far n-grams are believed, of a model that has them."""
    if (own := facts.get("ngrams")) is None:
        return []
    return [
        f"n-grams beside the network: {own['weights']:,} weights of logistic regression; "
        f"a label has the logit {own['share_of_network']:g} · network + {own['share']:g} · n-grams"
    ]


def _speed(scores: dict[str, Any], seed: int) -> list[str]:
    if (own := scores.get("training")) is None:
        return []
    return [f"- training: {own['seconds']:.0f} s, {own['tokens_per_second']:,.0f} items/s, seed {seed}"]


def measured_on(model: Model) -> str:
    """What the scores of a run are those of."""
    told: str = model.scores["measured_on"]
    return "train itself" if told == "train" else told


def commands(model: Model, run: Path, dev: str | None = None) -> list[str]:
    """What to type next: scores on labelled data, then predictions, where there are any."""
    config, name = model.config, shlex.quote(str(run))
    target = ""
    if getattr(config, "train_target", None) is not None:
        known = getattr(config, "dev_target", None) if dev is not None else None
        target = f" --target {shlex.quote(known) if known is not None else 'TARGET'}"
    lines = [f"regard evaluate {name} {'FILE' if dev is None else shlex.quote(dev)}{target}"]
    if config.predicts_from is None or item_kind(config) not in ("vectors", "recordings"):
        lines.append(f"regard predict {name} INPUT")
    return lines


def score_table(scores: Scores, spread: Scores | None = None) -> list[str]:
    """The model and its baselines as a Markdown table, in per cent."""
    metrics = list(dict.fromkeys(metric for row in scores.values() for metric in row))
    rows = {name: " | ".join(score_cells(scores, spread, name, metrics)) for name in scores}
    return [
        "| | " + " | ".join(metrics) + " |",
        "|---|" + "---:|" * len(metrics),
        *(f"| {name} | {row} |" for name, row in rows.items()),
    ]


def score_cells(scores: Scores, spread: Scores | None, name: str, metrics: Iterable[str]) -> list[str]:
    """A row of a table of scores; with their spread, if there is one.

    >>> score_cells({"regard": {"f1": 0.5}}, {"regard": {"f1": 0.01}}, "regard", ["f1", "accuracy"])
    ['50.00 ± 1.00 %', '']
    """
    row = scores[name]
    wide = {} if spread is None else {metric: f" ± {100 * value:.2f}" for metric, value in spread[name].items()}
    return [f"{100 * row[metric]:.2f}{wide.get(metric, '')} %" if metric in row else "" for metric in metrics]


def fold_table(folds: Sequence[dict[str, Any]]) -> list[str]:
    """What the scores on folds are, and the model's on each, as a section of Markdown."""
    if not folds:
        return []
    rows = {f"fold {number}": fold["scores"]["regard"] for number, fold in enumerate(folds, 1)}
    return [
        "",
        f"Mean ± standard deviation of {len(folds)} networks, each trained in the same way without one of so many "
        "parts of train, and scored on that part. The model of this run was trained on all of train. Each fold:",
        "",
        *score_table(rows),
    ]


def _begun(config: Config) -> list[str]:
    """Whose weights it began with."""
    if config.continue_from is not None:
        return [f"- it goes on with all of `{config.continue_from}`"]
    return [] if config.pretrained is None else [f"- its encoder began as that of `{config.pretrained}`"]


def _left_out(counts: dict[str, int]) -> str:
    told = ", ".join(f"{count:,} of {part}" for part, count in counts.items())
    return f"- bad records left out: {told} (`bad_records=skip`)"


def errors_of(scores: Scores) -> list[str]:
    """The metrics in a table of scores of which less is better."""
    metrics = dict.fromkeys(metric for row in scores.values() for metric in row)
    return [metric for metric in metrics if metric.endswith(("_error", "_rate"))]


def label_table(scores: Scores) -> list[str]:
    """The scores of each label, or type of span, as a section of Markdown; the most frequent where there are many."""
    if not scores:
        return []
    shown = list(scores.items())[:MOST_LABELS]
    more = f"; the {MOST_LABELS} most frequent of {len(scores)}, `{SCORES}` has all"
    return [
        "",
        f"By label{more if len(scores) > MOST_LABELS else ''}:",
        "",
        "| | precision | recall | f1 | support |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {_cell(name)} | {100 * row['precision']:.2f} % | {100 * row['recall']:.2f} % | {100 * row['f1']:.2f} % "
            f"| {row['support']:,} |"
            for name, row in shown
        ),
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _windows(config: Config) -> str:
    if config.windows is None:
        return f"window {_window(config.window)}"
    return f"windows {'; '.join(map(_window, config.windows))}"


def _window(window: Window) -> str:
    if window is None:
        return "none"
    sides = (window, window) if isinstance(window, int) else window
    names = ("left", "right") if len(sides) == 2 else ("up", "down", "left", "right")
    return ", ".join(f"{'all' if side is None else side} {name}" for side, name in zip(sides, names, strict=True))
