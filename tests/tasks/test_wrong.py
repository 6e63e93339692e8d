"""Scores of every label, and the predictions that are wrong, in a file."""

import csv
import json
from itertools import chain

import numpy as np
import pytest
from sklearn.metrics import classification_report

from regard import Classifier, ConfigError, Labeler, Seq2Seq
from regard.tasks.wrong import write_wrong

SMALL = {"dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 1, "average": 0, "baselines": "none"}
FILMS = [("a fine film", "good"), ("a dull film", "bad"), ("so so", "fair")] * 4


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "films"
    return Classifier(**SMALL, front_end="characters", ngrams=0).fit(FILMS, output=run, **QUICK), run  # errs


def test_every_label_is_scored_as_scikit_learn_does(classifier):
    model, run = classifier
    found = model.evaluate(FILMS, by_label=True)
    assert found.keys() - model.evaluate(FILMS).keys() == {"by_label"}
    report = classification_report(
        [label for _, label in FILMS], model.predict(FILMS), output_dict=True, zero_division=0
    )
    for label, scores in found["by_label"].items():
        wanted = {"f1" if name == "f1-score" else name: value for name, value in report[label].items()}
        assert scores == pytest.approx(wanted)
    assert json.loads((run / "scores.json").read_text())["by_label"].keys() == {"good", "bad", "fair"}
    assert "| good |" in (run / "README.md").read_text()


def test_wrong_labels_with_their_place(classifier, tmp_path):
    model, _ = classifier
    lines = "".join(f"{label},{text}\n" for text, label in FILMS)
    (tmp_path / "films.csv").write_text("label,text\n" + lines)
    for ending in ("tsv", "csv", "jsonl"):
        accuracy = model.evaluate(tmp_path / "films.csv", errors=tmp_path / f"wrong.{ending}")["accuracy"]
    guesses = model.predict([text for text, _ in FILMS])
    wanted = {
        (str(line), label, guess)
        for line, ((_, label), guess) in enumerate(zip(FILMS, guesses, strict=True), 2)
        if label != guess
    }
    with open(tmp_path / "wrong.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["line"], row["gold"], row["guess"]) for row in rows} == wanted
    assert len(rows) == round((1 - accuracy) * len(FILMS)) > 0
    assert {row["file"] for row in rows} == {str(tmp_path / "films.csv")}
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    told = [json.loads(line) for line in (tmp_path / "wrong.jsonl").read_text().splitlines()]
    assert [{name: str(value) for name, value in row.items()} for row in told] == rows
    header, *lines = (tmp_path / "wrong.tsv").read_text().splitlines()
    assert [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines] == rows


def test_wrong_words_stand_on_their_lines(tmp_path):
    sentences = [(["we", "saw"], ["PRON", "VERB"]), (["fish"], ["NOUN"])] * 4
    model = Labeler(**SMALL).fit(sentences, **QUICK)
    (tmp_path / "gold.tsv").write_text("we\tVERB\nsaw\tPRON\n\nfish\tVERB\n")
    found = model.evaluate(tmp_path / "gold.tsv", errors=tmp_path / "wrong.jsonl", by_label=True)
    rows = [json.loads(line) for line in (tmp_path / "wrong.jsonl").read_text().splitlines()]
    said = dict(zip(("we", "saw", "fish"), chain(*model.predict([["we", "saw"], ["fish"]])), strict=True))
    assert all(said[row["word"]] == row["guess"] != row["gold"] for row in rows)
    lines = {"we": (1, 1), "saw": (2, 2), "fish": (4, 1)}
    assert all((row["line"], row["item"]) == lines[row["word"]] for row in rows)
    assert len(rows) == round(3 * (1 - found["accuracy"])) > 0
    assert sum(row["support"] for row in found["by_label"].values()) == 3


def test_types_of_spans():
    tags = [(["anna", "saw", "rome"], ["B-PER", "O", "B-LOC"])] * 8
    by_label = Labeler(**SMALL).fit(tags, **QUICK).evaluate(tags, by_label=True)["by_label"]
    assert by_label.keys() <= {"PER", "LOC"}
    assert by_label["LOC"]["support"] == 8


def test_wrong_pixels(tmp_path):
    images = [(np.full((4, 4), number, np.uint8), np.full((4, 4), number % 2, np.uint8)) for number in range(8)]
    model = Labeler(**SMALL, front_end="pixels", positions="sinusoidal").fit(images, **QUICK)
    found = model.evaluate(images, by_label=True, errors=tmp_path / "wrong.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "wrong.jsonl").read_text().splitlines()]
    assert sum(row["pixels"] for row in rows) == round((1 - found["accuracy"]) * 8 * 16)
    assert sum(row["support"] for row in found["by_label"].values()) == 8 * 16


def test_wrong_texts_with_the_number_of_edits(tmp_path):
    pairs = [("ab", "A B"), ("ba", "B A")] * 4
    model = Seq2Seq(**SMALL, front_end="characters", target_units="symbols").fit(pairs, **QUICK)
    exact = model.evaluate(pairs, errors=tmp_path / "wrong.jsonl")["exact"]
    rows = [json.loads(line) for line in (tmp_path / "wrong.jsonl").read_text().splitlines()]
    assert len(rows) == round(8 * (1 - exact)) > 0
    assert all(row["errors"] >= 1 and row["gold"] != row["guess"] and row["number"] for row in rows)


def test_nothing_wrong_leaves_a_header(tmp_path):
    write_wrong([], tmp_path / "wrong.tsv")
    assert (tmp_path / "wrong.tsv").read_text() == "gold\tguess\tscore\n"


def test_a_file_of_another_name_is_refused(classifier, tmp_path):
    with pytest.raises(ConfigError, match=r"errors: a name that ends in .tsv, .csv or .jsonl, got '.*wrong.xls'"):
        classifier[0].evaluate(FILMS, errors=tmp_path / "wrong.xls")
