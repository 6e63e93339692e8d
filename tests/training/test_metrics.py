from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from sklearn.metrics import accuracy_score, f1_score

from regard.errors import DataError, RegardError
from regard.training.metrics import (
    bins_of,
    class_scores,
    edit_scores,
    equal_error_rate,
    label_scores,
    pair_scores,
    span_scores,
)

MARKS = {"BIO": "BI", "IOBES": "BIES"}


@given(st.lists(st.lists(st.tuples(*[st.sampled_from(["NOUN", "VERB", "ADJ", "X"])] * 2)), min_size=1).filter(any))
def test_labels_are_scored_as_scikit_learn_does(sequences):
    gold = [[true for true, _ in sequence] for sequence in sequences]
    predicted = [[guess for _, guess in sequence] for sequence in sequences]
    flat, guesses = list(chain.from_iterable(gold)), list(chain.from_iterable(predicted))
    assert label_scores(gold, predicted) == {
        "accuracy": pytest.approx(accuracy_score(flat, guesses)),
        "macro_f1": pytest.approx(f1_score(flat, guesses, average="macro", zero_division=0)),
    }


def test_spans_are_scored_as_seqeval_publishes():
    """The example of seqeval's README: a span that is one word too long is wrong, the other is right."""
    gold = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    predicted = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    assert label_scores(gold, predicted) == {"accuracy": 0.8, "precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_a_span_may_begin_with_i_as_conlleval_has_it():
    assert label_scores([["B-NP", "I-NP", "O"]], [["I-NP", "I-NP", "O"]])["f1"] == 1.0


def chunks(labels):
    """The spans of a sequence by the rules of the CoNLL shared tasks' conlleval (``startOfChunk``, ``endOfChunk``)."""
    spans, start = set(), None
    before, kind_before = "O", ""
    for place, label in enumerate([*labels, "O"]):
        mark, _, kind = label.partition("-")
        ends = before in ("E", "S") or (before in ("B", "I") and mark in ("B", "S", "O"))
        begins = mark in ("B", "S") or (mark in ("E", "I") and before in ("E", "S", "O"))
        changes = kind != kind_before
        if start is not None and (ends or (before != "O" and changes)):
            spans.add((kind_before, start, place))
            start = None
        if begins or (mark != "O" and changes):
            start = place
        before, kind_before = mark, kind
    return spans


@st.composite
def sequence_pairs(draw):
    marks = MARKS[draw(st.sampled_from(["BIO", "IOBES"]))]
    label = st.sampled_from(["O", *(f"{mark}-{kind}" for mark in marks for kind in ("A", "B"))])
    pairs = draw(st.lists(st.lists(st.tuples(label, label), max_size=12), min_size=1, max_size=4))
    return [[true for true, _ in pair] for pair in pairs], [[guess for _, guess in pair] for pair in pairs]


@given(sequence_pairs())
def test_any_labels_give_the_spans_of_conlleval(pairs):
    gold, predicted = pairs
    true = {(number, *span) for number, labels in enumerate(gold) for span in chunks(labels)}
    guessed = {(number, *span) for number, labels in enumerate(predicted) for span in chunks(labels)}
    right = len(true & guessed)
    precision, recall = right / max(1, len(guessed)), right / max(1, len(true))
    assert span_scores(gold, predicted) == {
        "precision": pytest.approx(precision),
        "recall": pytest.approx(recall),
        "f1": pytest.approx(2 * precision * recall / (precision + recall) if right else 0.0),
    }


@given(sequence_pairs())
def test_bio_spans_are_those_of_nervaluate(pairs):
    gold, predicted = (
        [[label.replace("E-", "I-").replace("S-", "B-") for label in row] for row in part] for part in pairs
    )
    strict = Evaluator(gold, predicted, tags=["A", "B"], loader="list").evaluate()["overall"]["strict"]
    expected = {"precision": strict.precision, "recall": strict.recall, "f1": strict.f1}
    assert span_scores(gold, predicted) == {name: pytest.approx(score) for name, score in expected.items()}


@pytest.mark.timeout(20)  # a tenth of a second; quadratic in the length, it would be many minutes
@pytest.mark.parametrize("labels", [["DET", "NOUN", "VERB", "X"], ["O", "B-A", "I-A", "B-B"]], ids=["labels", "spans"])
def test_a_long_sequence_is_scored_too(labels):
    gold = [labels * 3] * 2000 + [labels * 25_000]
    predicted = [np.random.default_rng(0).choice(labels, len(sequence)).tolist() for sequence in gold]
    assert 0 < label_scores(gold, predicted)["accuracy"] < 0.5


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(
        RegardError, match="as many predicted labels as true ones; got 1 labels in 1 sequences for 2 in 1"
    ):
        label_scores([["A", "B"]], [["A"]])
    with pytest.raises(DataError, match="at least one label to score"):
        label_scores([[]], [[]])


SIMILARITIES = st.lists(st.floats(-1, 1), min_size=1, max_size=30)


@given(SIMILARITIES, SIMILARITIES)
def test_at_the_equal_error_rate_as_many_of_either_kind_are_told_wrongly(same, different):
    """No threshold that is counted by hand has both errors below it, and both are below it at none."""
    rate = equal_error_rate(same, different)
    for threshold in (-2, *same, *different, 2):
        refused = np.mean([score < threshold for score in same])
        accepted = np.mean([score >= threshold for score in different])
        assert max(refused, accepted) >= rate - 1e-9
        assert min(refused, accepted) <= rate + 1e-9


@pytest.mark.parametrize(
    ("same", "different", "rate"),
    [
        ([0.9, 0.8], [0.1, 0.2], 0.0),
        ([0.1], [0.9], 1.0),
        ([0.5, 0.5], [0.5], 0.5),
        ([0.9, 0.8, 0.7, 0.2], [0.6, 0.3, 0.1, 0.0], 0.25),  # at 0.5: one of four refused, one of four accepted
    ],
)
def test_equal_error_rate_by_hand(same, different, rate):
    assert equal_error_rate(same, different) == rate


@pytest.mark.parametrize(("same", "different"), [([], [0.1]), ([0.1], []), ([float("nan")], [0.1])])
def test_an_equal_error_rate_needs_pairs_of_both_kinds(same, different):
    with pytest.raises(DataError, match="at least one pair that belongs together and one that does not"):
        equal_error_rate(same, different)


def test_pairs_of_vectors_are_compared_by_angle():
    vectors = np.array([[1, 0], [9, 1], [0, 2], [0.1, 1]])
    assert pair_scores(vectors, ["a", "a", "b", "b"]) == {"equal_error_rate": 0.0}
    assert pair_scores(vectors, ["a", "b", "a", "b"]) == {"equal_error_rate": 0.5}
    with pytest.raises(DataError, match="found 6 and 0"):
        pair_scores(vectors, ["a"] * 4)


def test_bins_of_probabilities_are_those_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    chances = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)).double().softmax(1)
    gold = [str(number % 3) for number in range(200)]
    best, columns = chances.max(1)
    right = [label == str(column) for label, column in zip(gold, columns.tolist(), strict=True)]
    counts, sure, shares = bins_of(gold, chances, ["0", "1", "2"])
    true, guessed = calibration_curve(right, best.numpy(), n_bins=10)
    assert counts.sum() == 200
    np.testing.assert_allclose(shares[counts > 0], true)
    np.testing.assert_allclose(sure[counts > 0], guessed)
    error = class_scores(gold, chances, ["0", "1", "2"])["calibration_error"]
    np.testing.assert_allclose(error, (counts[counts > 0] * abs(true - guessed)).sum() / 200, atol=1e-6)


def test_nothing_to_score_is_refused():
    with pytest.raises(DataError, match="expected at least one label to score, found none"):
        class_scores([], torch.zeros(0, 2), ["a", "b"])
    with pytest.raises(DataError, match="expected at least one text to score, found none"):
        edit_scores([], [])
