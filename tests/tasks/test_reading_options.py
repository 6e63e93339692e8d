"""Options of reading that evaluation and prediction take in the place of those of training."""

import json
import logging

import pytest

import regard
from regard import Classifier, ConfigError, Labeler, Seq2Seq

SMALL = {"dim": 16, "depth": 1, "heads": 2, "dropout": 0.1, "front_end": "characters"}
QUICK = {"epochs": 1, "average": 0, "baselines": "none"}
ROWS = [("a fine film", "good"), ("a dull film", "bad")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    (folder / "train.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS * 4))
    (folder / "other.csv").write_text(
        "id;review;stars\n" + "".join(f"1;{text} à;{label}\n" for text, label in ROWS * 4), encoding="cp1252"
    )
    (folder / "bad.csv").write_text("text,label\na fine film,good\n,good\na dull film\na dull film,bad\n")
    Classifier(**SMALL).fit(folder / "train.csv", output=folder / "run", **QUICK)
    return folder


def test_columns_and_encodings_of_another_file(folder):
    model = regard.load(folder / "run")
    other = {"text_column": "review", "encoding": "cp1252", "delimiter": ";"}
    texts = [text + " à" for text, _ in ROWS * 4]
    assert model.predict(folder / "other.csv", **other) == model.predict(texts)
    assert model.probabilities(folder / "other.csv", **other) == model.probabilities(texts)
    scores = model.evaluate(folder / "other.csv", column="stars", **other)
    assert scores == model.evaluate([(f"{text} à", label) for text, label in ROWS * 4])
    assert model.config.text_column == "text"
    with pytest.raises(ConfigError, match="unknown option 'text_colum'; did you mean 'text_column'"):
        model.predict(folder / "other.csv", text_colum="review")


def test_bad_records_are_left_out_of_scores_and_never_of_predictions(folder, caplog):
    model = regard.load(folder / "run")
    assert model.evaluate(folder / "bad.csv", bad_records="skip") == model.evaluate(ROWS)
    assert "bad.csv: 2 bad records left out" in caplog.text
    assert "bad.csv:3: expected a text of at least one character" in caplog.text
    with pytest.raises(ConfigError, match="bad_records: predictions are as many as their input"):
        model.predict(folder / "bad.csv", bad_records="skip")


def test_a_training_tells_how_many_it_left_out(folder, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    model = Classifier(**SMALL).fit(
        folder / "bad.csv", folder / "train.csv", tmp_path / "run", bad_records="skip", **QUICK
    )
    assert model.scores["bad_records"] == {"train": 2, "dev": 0}
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["bad_records"] == {"train": 2, "dev": 0}
    card = (tmp_path / "run" / "README.md").read_text()
    assert "- bad records left out: 2 of train, 0 of dev (`bad_records=skip`)" in card
    assert len(regard.load(tmp_path / "run").predict(["a"])) == 1


def test_other_tasks_take_them_too(tmp_path):
    (tmp_path / "a.csv").write_text("Wort;Art\nder Hund;DET NOUN\n")
    tagger = Labeler(dim=16, depth=1, heads=2).fit([(["der", "Hund"], ["DET", "NOUN"])] * 3, **QUICK)
    assert tagger.evaluate(tmp_path / "a.csv", column="Art", text_column="Wort")["accuracy"] >= 0
    assert len(tagger.predict(tmp_path / "a.csv", text_column="Wort")[0]) == 2
    copier = Seq2Seq(**SMALL, target_units="characters").fit([("ab", "ba")] * 3, **QUICK)
    (tmp_path / "b.csv").write_text("von|nach\nab|ba\n")
    assert set(copier.evaluate(tmp_path / "b.csv", source_column="von", target_column="nach")) >= {"exact"}
    assert len(copier.predict(tmp_path / "b.csv", source_column="von", beam=1)) == 1


def test_the_command_line_takes_them(folder, tmp_path, capsys):
    from regard.cli import run

    flags = ["--encoding", "cp1252", "--text-column", "review"]
    run(["evaluate", str(folder / "run"), str(folder / "other.csv"), "--column", "stars", "--json", *flags])
    scores = json.loads(capsys.readouterr().out)
    assert (
        scores["accuracy"] == regard.load(folder / "run").evaluate([(f"{t} à", label) for t, label in ROWS])["accuracy"]
    )
    assert run(["predict", str(folder / "run"), str(folder / "other.csv"), *flags]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "id;review;stars;label;score"
    assert run(["evaluate", str(folder / "run"), str(folder / "bad.csv"), "--bad-records", "skip", "--json"]) == 0
