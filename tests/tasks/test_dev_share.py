"""A share of train as dev data: told in scores and card, the same when resumed, and of every kind of items."""

import json

import numpy as np
import pytest

from regard import Classifier, Labeler, MaskedModel, Seq2Seq, load
from regard.errors import ConfigError

SMALL = {"dim": 8, "depth": 1, "heads": 1}
QUICK = {"epochs": 1, "batch_tokens": 60, "baselines": "none"}
TEXTS = [(f"word {number} {'good' if number % 2 else 'bad'}", "-+"[number % 2]) for number in range(40)]


def test_scores_and_card_tell_of_the_share(tmp_path):
    model = Classifier(front_end="characters", **SMALL).fit(
        TEXTS, dev=0.1, output=tmp_path / "run", epochs=1, batch_tokens=100, seed=3
    )
    assert model.config.dev == "0.1"
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["measured_on"] == "10 % of train, seed 3"
    assert sum(row["support"] for row in scores["by_label"].values()) == 4
    assert "majority label" in scores["scores"]
    card = (tmp_path / "run" / "README.md").read_text()
    assert "Trained with regard on 36 sequences" in card
    assert "the best weights chosen on 4 sequences" in card
    assert "## Scores on 10 % of train, seed 3" in card
    assert load(tmp_path / "run").config.dev == "0.1"


def test_without_dev_the_card_says_that_scores_are_those_on_train(tmp_path):
    Classifier(front_end="characters", **SMALL).fit(TEXTS, output=tmp_path / "run", **QUICK)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "## Scores on train itself\n\nThere are no dev data: " in card


def test_a_resumed_training_has_the_same_part(tmp_path, monkeypatch):
    from regard.tasks import fitting

    def fit(output, **options):
        model = Classifier(front_end="characters", **SMALL)
        return model.fit(TEXTS, dev=0.2, output=output, epochs=2, batch_tokens=100, baselines="none", **options)

    whole = fit(tmp_path / "whole")
    with monkeypatch.context() as broken:
        broken.setattr(fitting, "write_scores", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(tmp_path / "run")
    again = fit(tmp_path / "run", resume=True)
    assert again.scores["scores"] == whole.scores["scores"]
    with pytest.raises(ConfigError, match=r"seed: .* was trained with 1, now 2"):
        fit(tmp_path / "run", resume=True, seed=2)


def test_shares_of_words_pairs_vectors_and_raw_text():
    words = [(["a", "b", str(number)], ["X", "Y", "Z"]) for number in range(20)]
    assert Labeler(**SMALL).fit(words, dev=0.2, **QUICK).scores["measured_on"] == "20 % of train, seed 1"
    pairs = [(f"ab {number}", f"A B {number}") for number in range(20)]
    model = Seq2Seq(front_end="characters", target_units="symbols", **SMALL).fit(pairs, dev=0.2, **QUICK)
    assert model.scores["measured_on"] == "20 % of train, seed 1"
    draw = np.random.default_rng(1)
    vectors = [(draw.normal(size=(4, 2)), "ab"[number % 2]) for number in range(20)]
    assert Classifier(front_end="vectors", **SMALL).fit(vectors, dev=0.2, **QUICK).scores["measured_on"] == (
        "20 % of train, seed 1"
    )
    raw = [text for text, _ in TEXTS]
    assert MaskedModel(front_end="symbols", **SMALL).fit(raw, dev=0.2, **QUICK).scores["measured_on"] == (
        "20 % of train, seed 1"
    )


def test_what_is_no_share():
    for dev in (1.5, 0, "2"):
        with pytest.raises(ConfigError, match="dev: a file, or a share of train between 0 and 1, got"):
            Classifier().fit(TEXTS, dev=dev)
    with pytest.raises(ConfigError, match=r"dev_target: dev=0\.1 is a part of train"):
        Seq2Seq().fit("train.de", dev=0.1, train_target="train.en", dev_target="dev.en")


def test_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0.1").mkdir()
    for label in "ab":
        (tmp_path / "0.1" / label).mkdir()
        (tmp_path / "0.1" / label / "1.txt").write_text("word")
    rows = [(f"word {number}", "ab"[number % 2]) for number in range(20)]
    model = Classifier(front_end="characters", **SMALL).fit(rows, dev="./0.1", **QUICK)
    assert model.scores["measured_on"] == "dev"
