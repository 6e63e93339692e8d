"""One label per sequence: trained small, on texts, words and vectors."""

import json
import logging

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

import regard
from regard import Classifier, ConfigError, DataError
from regard.training.metrics import class_scores, pair_scores

SMALL = {"dim": 32, "depth": 1, "heads": 2, "dropout": 0.1}
QUICK = {"epochs": 25, "batch_tokens": 120, "average": 0, "learning_rate": 4e-3}
GOOD = ["a fine film", "what a joy", "truly great fun", "great joy"]
BAD = ["a dull film", "what a bore", "truly awful mess", "awful bore"]
TEXTS = [(text, "good") for text in GOOD] + [(text, "bad") for text in BAD]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "films"
    Classifier(**SMALL, subwords=400).fit(TEXTS * 6, TEXTS, folder, **QUICK)
    return folder


@pytest.mark.parametrize("front_end", ["subwords", "characters", "symbols", "words"])
@pytest.mark.parametrize("pooling", ["query", "bert"])
def test_every_front_end_learns_texts(front_end, pooling):
    model = Classifier(front_end=front_end, pooling=pooling, **SMALL).fit(TEXTS * 6, **QUICK)
    assert model.evaluate(TEXTS)["accuracy"] == 1.0


@pytest.mark.parametrize("pooling", ["query", "mean", "max", "first"])
def test_every_pooling_learns_vectors(pooling):
    rng = np.random.default_rng(0)
    vectors = [(rng.normal(size=(length, 3)) + sign, str(sign)) for length in (1, 4, 9) for sign in (-1, 1)]
    model = Classifier(front_end="vectors", pooling=pooling, **SMALL).fit(vectors * 8, **QUICK)
    assert model.evaluate(vectors)["accuracy"] == 1.0
    assert set(model.scores["scores"]) == {
        "regard",
        "majority label",
        "fully connected network on the mean vector",
    }


def test_a_run_folder_can_be_opened_and_says_how_good_it_is(run):
    model = regard.load(run)
    assert isinstance(model, Classifier)
    assert model.evaluate(TEXTS)["accuracy"] == 1.0
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert set(scores) == {"regard", "majority label", "TF-IDF + logistic regression"}
    card = (run / "README.md").read_text()
    assert "one label per sequence" in card
    assert "TF-IDF" in card
    assert model.describe()["task"] == "classify"
    assert {path.name for path in run.iterdir()} >= {
        "confusion.png",
        "calibration.png",
        "config.toml",
        "model.safetensors",
    }


def test_predictions_keep_their_order_and_chances_sum_to_one(run):
    model = regard.load(run)
    texts = ["great fun " * 30, "awful", "a dull mess", ""]
    together = model.probabilities(texts)
    for text, chances in zip(texts, together, strict=True):
        (alone,) = model.probabilities([text])
        assert alone == pytest.approx(chances, abs=1e-5)
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    assert model.predict(texts)[:3] == ["good", "bad", "bad"]
    assert model.predict([]) == []


def test_vectors_of_texts_are_those_that_the_head_reads(run):
    model = regard.load(run)
    model.network.ngrams = None
    texts, labels = zip(*TEXTS, strict=True)
    vectors = model.encode([*texts, "great fun " * 40])
    assert vectors.shape == (len(texts) + 1, SMALL["dim"])
    np.testing.assert_allclose(vectors[2:3], model.encode([texts[2]]), atol=1e-5)
    logits = model.network.head(torch.from_numpy(vectors)).softmax(1)
    chances = model.probabilities([*texts, "great fun " * 40])
    np.testing.assert_allclose(logits.detach(), [list(row.values()) for row in chances], atol=1e-5)
    assert model.encode([]).shape == (0, SMALL["dim"])
    scores = model.evaluate(TEXTS, pairs=True)
    assert scores.items() > model.evaluate(TEXTS).items()
    assert scores["equal_error_rate"] == pair_scores(vectors[:-1], labels)["equal_error_rate"]


def test_a_long_text_is_read_in_windows_and_said_so(caplog):
    model = Classifier(front_end="words", **SMALL)
    with caplog.at_level(logging.WARNING):
        model.fit([*TEXTS * 6, ("great " * 50, "good")], longest=16, **QUICK)
    assert "1 of 49 sequences are longer than 16 items: they are read in overlapping windows" in caplog.text
    assert model.predict(["awful " * 200 + "mess"]) == ["bad"]
    parts = model.network.front_end.split(["great"] * 40, 16)
    (chances,) = model.probabilities(["great " * 40])
    logits = [torch.tensor(list(model.probabilities([part])[0].values())).log() for part in parts]
    mean = torch.stack(logits).mean(0).softmax(0)  # log-probabilities differ from logits by a constant for each window
    assert list(chances.values()) == pytest.approx(mean.tolist(), abs=1e-4)


def test_rare_classes_can_count_more():
    plain, balanced = Classifier(**SMALL), Classifier(**SMALL)
    skewed = TEXTS[:4] * 8 + TEXTS[4:5]
    plain.fit(skewed, epochs=1, batch_tokens=100)
    balanced.fit(skewed, epochs=1, batch_tokens=100, class_weights="balanced")
    assert balanced.labels == ["bad", "good"]
    assert balanced._weights.tolist() == pytest.approx([33 / 2 / 1, 33 / 2 / 32])
    rare = [model.probabilities(["a dull film"])[0]["bad"] for model in (plain, balanced)]
    assert rare[1] > rare[0]


def test_scores_are_those_of_scikit_learn():
    torch.manual_seed(0)
    labels = ["a", "b", "c"]
    gold = [labels[row] for row in torch.randint(3, (200,))]
    chances = torch.randn(200, 3).softmax(1)
    scores = class_scores(gold, chances, labels)
    guessed = [labels[row] for row in chances.argmax(1)]
    assert scores["accuracy"] == pytest.approx(accuracy_score(gold, guessed))
    assert scores["macro_f1"] == pytest.approx(f1_score(gold, guessed, average="macro"))
    assert "f1" not in scores


def test_attention_of_a_text(run):
    maps = regard.load(run).attention("a fine film")
    assert maps.items[0] == "[CLS]"
    assert maps[0].shape == (2, len(maps.items), len(maps.items))


def test_an_unknown_label_is_refused_with_its_place(run, tmp_path):
    path = tmp_path / "test.tsv"
    path.write_text("good\ta fine film\nodd\ta film\n")
    model = regard.load(run)
    with pytest.raises(DataError, match=r"test\.tsv:2: expected one of the 2 labels of the training data .* 'odd'"):
        model.evaluate(path)
    with pytest.raises(ConfigError, match="unknown option 'poling'; did you mean 'pooling'"):
        Classifier(poling="mean")
