"""Scores of predicted labels against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from regard.data.goals import span_scheme
from regard.errors import DataError, RegardError

Labels = Sequence[Sequence[str]]


def label_scores(gold: Labels, predicted: Labels, *, spans: bool = True) -> dict[str, float]:
    """How well labels were predicted, each from 0 to 1: ``accuracy``, and ``macro_f1``, the mean of every label's F1.

    Where the true labels are BIO or IOBES, instead of the latter the ``precision``, ``recall`` and ``f1`` of spans: a
    span is right when start, end and type are (the rule of CoNLL 2003). Without ``spans`` labels are taken for none.

    >>> label_scores([["DET", "NOUN"]], [["DET", "VERB"]])
    {'accuracy': 0.5, 'macro_f1': 0.3333333333333333}
    >>> label_scores([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "O"]])
    {'accuracy': 0.75, 'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666}

    Raises:
        RegardError: a sequence has fewer or more predicted labels than true ones.
        DataError: there is no label to score, or two span schemes are mixed.
    """
    sizes, predicted_sizes = [len(labels) for labels in gold], [len(labels) for labels in predicted]
    if sizes != predicted_sizes:
        raise RegardError(
            f"every sequence must have as many predicted labels as true ones; got {sum(predicted_sizes)} labels in "
            f"{len(predicted)} sequences for {sum(sizes)} in {len(gold)}"
        )
    if not any(sizes):
        raise DataError("at least one label to score", "none")
    true, guessed = _as_numbers(gold, predicted)
    scores = {"accuracy": float((true == guessed).mean())}
    if spans and span_scheme(gold) is not None:
        return scores | span_scores(gold, predicted)
    from sklearn.metrics import f1_score

    return scores | {"macro_f1": float(f1_score(true, guessed, average="macro", zero_division=0))}


def scores_by_label(
    gold: Sequence[Any], predicted: Sequence[Any], weights: ArrayLike | None = None
) -> dict[Any, dict[str, float]]:
    """``precision``, ``recall``, ``f1`` and ``support``, how often it is true, of each label; frequent ones first.

    Arguments:
        weights: how much each prediction counts, if not 1.

    >>> scores_by_label(["ham", "ham", "spam"], ["ham", "spam", "spam"])["spam"]
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'support': 1}
    """
    from sklearn.metrics import precision_recall_fscore_support

    names = sorted({*gold, *predicted})
    options = {"labels": names, "average": None, "sample_weight": weights, "zero_division": 0}
    columns = precision_recall_fscore_support(gold, predicted, **options)
    return _frequent_first(dict(zip(names, zip(*columns, strict=True), strict=True)))


def spans_by_type(gold: Labels, predicted: Labels) -> dict[str, dict[str, float]]:
    """The same of the spans of each type, as :func:`span_scores` counts them."""
    counts: dict[str, list[int]] = {}  # of each type: right, found, wanted
    for true, guessed in zip(gold, predicted, strict=True):
        true_spans, guessed_spans = set(find_spans(true)), set(find_spans(guessed))
        for place, spans in enumerate((true_spans & guessed_spans, guessed_spans, true_spans)):
            for kind, _, _ in spans:
                counts.setdefault(kind, [0, 0, 0])[place] += 1
    return _frequent_first({kind: (*_of_counts(*numbers), numbers[2]) for kind, numbers in sorted(counts.items())})


def _frequent_first(rows: dict[Any, tuple[Any, ...]]) -> dict[Any, dict[str, float]]:
    """Rows of precision, recall, F1 and support, named."""
    ordered = sorted(rows.items(), key=lambda row: -row[1][3])
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(support)}
        for name, (p, r, f, support) in ordered
    }


def class_scores(gold: Sequence[str], chances: Tensor, labels: Sequence[str]) -> dict[str, float]:
    """How well whole sequences were classified, each from 0 to 1.

    ``accuracy`` (which is micro F1 too, with one label each), ``macro_f1``, the ``f1`` of the second label in the
    alphabet where there are two, and ``calibration_error``, lower is better: how far the probability of the predicted
    label is from the share of these that is right, on average, in 10 bins (Guo et al. 2017, "On Calibration of Modern
    Neural Networks").

    Arguments:
        gold: the true labels; one that is not among ``labels`` counts as wrong.
        chances: ``[N, L]``, rows sum to 1.
        labels: of the columns.

    >>> import torch
    >>> class_scores(["ham", "spam"], torch.tensor([[0.9, 0.1], [0.2, 0.8]]), ["ham", "spam"])
    {'accuracy': 1.0, 'macro_f1': 1.0, 'f1': 1.0, 'calibration_error': 0.15}

    Raises:
        DataError: there is nothing to score.
    """
    if not gold:
        raise DataError("at least one label to score", "none")
    from sklearn.metrics import f1_score

    guessed = [labels[column] for column in chances.argmax(1).tolist()]
    scores = {
        "accuracy": sum(true == guess for true, guess in zip(gold, guessed, strict=True)) / len(gold),
        "macro_f1": float(f1_score(gold, guessed, average="macro", zero_division=0)),
    }
    if len(labels) == 2:
        true, found = ([label == labels[1] for label in column] for column in (gold, guessed))
        scores["f1"] = float(f1_score(true, found, zero_division=0))
    counts, sure, shares = bins_of(gold, chances, labels)
    return scores | {"calibration_error": round(float(counts @ abs(sure - shares)) / len(gold), 6)}


def bins_of(
    gold: Sequence[str], chances: Tensor, labels: Sequence[str], bins: int = 10
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Predictions by the probability of the predicted label, in so many bins of one width from 0 to 1.

    Of each bin, ``[bins]``: how many there are, their mean probability, and the share that is right; 0 where there are
    none.
    """
    best, columns = (x.numpy() for x in chances.double().max(1))
    right = np.array([true == labels[column] for true, column in zip(gold, columns, strict=True)])
    places = np.minimum((best * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    sums = (np.bincount(places, weights=of, minlength=bins) for of in (best, right))
    sure, shares = (each / np.maximum(1, counts) for each in sums)
    return counts, sure, shares


def equal_error_rate(same: ArrayLike, different: ArrayLike) -> float:
    """The share of pairs told wrongly, from 0 to 1, by the threshold at which both kinds are told wrongly as often.

    Arguments:
        same: how alike those are that belong together; more is more alike.
        different: how alike those are that do not.

    >>> equal_error_rate([0.9, 0.8, 0.4], [0.6, 0.3, 0.2, 0.1])
    0.25

    Raises:
        DataError: there is no pair of one kind, or a score that is not finite.
    """
    scores = [np.asarray(part, np.float64).ravel() for part in (same, different)]
    if not all(map(len, scores)) or not all(np.isfinite(part).all() for part in scores):
        found = f"{len(scores[0])} and {len(scores[1])}"
        raise DataError("finite scores of at least one pair that belongs together and one that does not", found)
    from sklearn.metrics import roc_curve

    accepted, right, _ = roc_curve(np.repeat([1, 0], [*map(len, scores)]), np.concatenate(scores))
    return float(np.interp(0.0, accepted - (1 - right), accepted))


def pair_scores(vectors: NDArray[Any], labels: Sequence[str]) -> dict[str, float]:
    """``equal_error_rate`` of all pairs of vectors: how well their cosine tells whether their labels are the same.

    Arguments:
        vectors: ``[N, D]``; the cosines of all N² pairs are held at once.
        labels: N of them, of any kind.

    Raises:
        DataError: all labels are the same, or no two of them are.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    first, second = np.triu_indices(len(labels), 1)
    alike, names = (units @ units.T)[first, second], np.asarray(labels)
    same = names[first] == names[second]
    return {"equal_error_rate": equal_error_rate(alike[same], alike[~same])}


def transcript_scores(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """How good transcripts are: ``accuracy``, 1 less the symbol error, which is below 0 where too much was written, and
    those of :func:`edit_scores`.

    >>> transcript_scores(["3 1 4"], ["3 4"])["accuracy"]
    0.6666666666666667
    """
    edits = edit_scores(gold, predicted)
    return {"accuracy": 1 - edits["symbol_error"], **edits}


def edit_scores(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """How far texts are from the true ones, as `jiwer` counts it.

    ``exact``, the share of texts that are right as a whole; and, lower is better, ``symbol_error`` and
    ``character_error``: edits for each true symbol (what stands between blanks: a word, a phoneme) or character.

    Raises:
        DataError: there is no text to score.
    """
    if not gold:
        raise DataError("at least one text to score", "none")
    import jiwer

    return {
        "exact": sum(true == found for true, found in zip(gold, predicted, strict=True)) / len(gold),
        "symbol_error": float(jiwer.wer(list(gold), list(predicted))),
        "character_error": float(jiwer.cer(list(gold), list(predicted))),
    }


def span_scores(gold: Labels, predicted: Labels) -> dict[str, float]:
    """Precision, recall and F1 of whole spans in BIO or IOBES."""
    right = found = wanted = 0
    for true, guessed in zip(gold, predicted, strict=True):
        true_spans, guessed_spans = set(find_spans(true)), set(find_spans(guessed))
        right += len(true_spans & guessed_spans)
        found += len(guessed_spans)
        wanted += len(true_spans)
    return dict(zip(("precision", "recall", "f1"), _of_counts(right, found, wanted), strict=True))


def _of_counts(right: int, found: int, wanted: int) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    return right / max(1, found), right / max(1, wanted), 2 * right / max(1, found + wanted)


def find_spans(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """The spans of a sequence in BIO or IOBES: type, first item, and the item after the last.

    Ill-formed labels are read as CoNLL's conlleval reads them: ``I-X`` or ``E-X`` may begin a span.

    >>> find_spans(["B-PER", "I-PER", "O", "I-LOC", "S-LOC"])
    [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5)]
    """
    spans: list[tuple[str, int, int]] = []
    kind, start, ended = None, 0, True
    for place, label in enumerate([*labels, "O"]):
        mark, inside = (label[0], label[2:]) if label[1:2] == "-" and label[0] in "BIES" else ("O", None)
        if ended or mark in "BSO" or inside != kind:
            if kind is not None:
                spans.append((kind, start, place))
            kind, start = inside, place
        ended = mark in "ES"
    return spans


def _as_numbers(*labels: Labels) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Labels as small whole numbers, which compare faster than texts."""
    rows: dict[str, int] = {}
    return [np.array([rows.setdefault(label, len(rows)) for label in chain.from_iterable(part)]) for part in labels]
