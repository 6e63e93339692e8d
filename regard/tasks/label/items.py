"""Labelling words and vectors: a label for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from torch import Tensor

from regard.data import Example, span_scheme
from regard.data.goals import check_known
from regard.tasks.candidates import as_pairs, best_of
from regard.tasks.label.baselines import simple_baselines
from regard.tasks.label.network import LabelBatch, Seen, rows_of
from regard.tasks.model import Details, Scores
from regard.tasks.wrong import place_of
from regard.training.metrics import label_scores, scores_by_label, spans_by_type

check_labels = check_known


def known_labels(examples: Sequence[Example]) -> list[str]:
    """Those of all items."""
    return sorted({label for example in examples for label in example.goal})


def collate(front_end: Any, examples: Sequence[Example], labels: Sequence[str]) -> LabelBatch:
    """Encoded sequences, and the row of each item's label."""
    inputs = front_end.encode([example.items for example in examples])
    return LabelBatch.of(inputs, rows_of((example.goal for example in examples), labels))


def answers_of(seen: Seen, *, frames: bool, top: int | None) -> list[dict[str, Any]]:
    """For each example ``labels``, and ``scores``, how likely each of them is."""
    answers: list[dict[str, Any]] = [{"labels": [], "scores": []} for _ in seen.examples]
    for number, logits in seen.logits:
        chances = logits.float().softmax(1)
        best = [round(chance, 6) for chance in chances.amax(1).tolist()]
        answers[number] = {"labels": _names(logits, seen.labels), "scores": best}
        if top is not None:
            answers[number]["candidates"] = best_of(chances, seen.labels, top)
    if top is not None:  # of an example without items there are none
        answers = [{**answer, "candidates": answer.get("candidates", [])} for answer in answers]
    return answers


def answered(answer: dict[str, Any]) -> list[str]:
    """The labels."""
    labels: list[str] = answer["labels"]
    return labels


def candidates(answer: dict[str, Any]) -> list[list[tuple[str, float]]]:
    """For each item the best labels with their probabilities."""
    return [as_pairs(some) for some in answer["candidates"]]


def scores_of(seen: Seen, *, final: bool, details: Details | None) -> dict[str, float]:
    """``accuracy``, and where labels are BIO or IOBES the spans' ``f1``."""
    predicted: list[list[str]] = [[] for _ in seen.examples]
    chances: list[list[float]] = [[] for _ in seen.examples]
    for number, logits in seen.logits:
        predicted[number] = _names(logits, seen.labels)
        if details is not None:
            chances[number] = logits.float().softmax(1).amax(1).tolist()
    gold = [example.goal for example in seen.examples]
    if details is not None:
        if span_scheme(gold) is not None:
            details.by_label = spans_by_type(gold, predicted)
        else:
            details.by_label = scores_by_label([*chain.from_iterable(gold)], [*chain.from_iterable(predicted)])
        details.wrong = _wrong(seen.examples, predicted, chances)
    return label_scores(gold, predicted)


def _wrong(
    examples: Sequence[Example], predicted: Sequence[Sequence[str]], chances: Sequence[Sequence[float]]
) -> Iterator[dict[str, Any]]:
    """A row for each item with a wrong label."""
    for example, labels, scores in zip(examples, predicted, chances, strict=True):
        for item, (gold, guess) in enumerate(zip(example.goal, labels, strict=True)):
            if gold != guess:
                word = {"word": example.items[item]} if isinstance(example.items, list) else {}
                told = {"gold": gold, "guess": guess, "score": round(scores[item], 6)}
                yield place_of(example, item) | word | told


def baselines(front_end: Any, train: Sequence[Example], scored: Sequence[Example], labels: Sequence[str]) -> Scores:
    """What counting scores."""
    return simple_baselines(train, scored)


def metric(train: Sequence[Example], dev: Sequence[Example]) -> str:
    """That of spans where there are some."""
    schemes = (span_scheme(example.goal for example in part) for part in (train, dev))
    return "f1" if None not in schemes else "accuracy"


def _names(logits: Tensor, labels: Sequence[str]) -> list[str]:
    return [labels[row] for row in logits.argmax(1).tolist()]
