"""What n-grams tell of a text, beside scikit-learn's own TF-IDF and logistic regression, and beside the network."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from torch.nn import functional as F

import regard
from regard.data import read
from regard.tasks.classify import ngrams
from regard.tasks.classify.ngrams import NGrams

GOOD, BAD = ["fine", "lovely", "bright", "warm", "moving"], ["dull", "tired", "cold", "flat", "noisy"]
SMALL = {"dim": 16, "depth": 1, "heads": 2, "subwords": 300}
TRAINING = {"epochs": 2, "batch_tokens": 100, "average": 0, "baselines": "none"}


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    """Some words of one kind, and one of the other now and then, among words that tell nothing."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        own, other = (GOOD, BAD) if number % 2 else (BAD, GOOD)
        words = draw.choices(own, k=2) + draw.choices(other, k=draw.random() < 0.3) + draw.choices("abcdefgh", k=4)
        draw.shuffle(words)
        made.append((" ".join(words), "good" if number % 2 else "bad"))
    return made


def three(count: int, seed: int) -> list[tuple[str, str]]:
    return [(text, label if number % 3 else "other") for number, (text, label) in enumerate(reviews(count, seed))]


def learned(pairs: list[tuple[str, str]], *, balanced: bool = False) -> tuple[NGrams, list[str]]:
    labels = sorted({label for _, label in pairs})
    own = NGrams(2**22 // len(labels), len(labels))
    rows = [labels.index(label) for _, label in pairs]
    own.learn(read(pairs, goal="label"), rows, balanced=balanced, seed=1)
    return own, labels


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("make", [reviews, three])
def test_it_is_the_logistic_regression_of_scikit_learn(make, balanced, monkeypatch):
    """With so many buckets hardly any n-gram shares one; both solvers end where they can go no further."""
    monkeypatch.setattr(ngrams, "STEPS", 2000)
    monkeypatch.setattr(ngrams, "PRECISION", 1e-8)
    train, other = make(200, 1), [text for text, _ in make(60, 2)] + ["words never seen", ""]
    own, labels = learned(train, balanced=balanced)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    given = LogisticRegression(
        C=ngrams.INVERSE_PENALTY, max_iter=2000, tol=1e-8, class_weight="balanced" if balanced else None
    )
    theirs = make_pipeline(make_union(words, characters), given)
    theirs.fit([text for text, _ in train], [label for _, label in train])
    assert list(given.classes_) == labels
    chances = own(other).softmax(1).numpy()
    assert np.allclose(chances, theirs.predict_proba(other), atol=0.005)
    assert (chances.argmax(1) == theirs.predict_proba(other).argmax(1)).mean() > 0.97


def test_words_of_scripts_whose_vowels_are_marks_stay_whole():
    assert ngrams.TOKEN.findall("मुझे फ़िल्म، 👍🏽! it's") == ["मुझे", "फ़िल्म", "،", "👍🏽", "!", "it", "'", "s"]


def test_words_are_read_as_the_text_that_they_make():
    own, _ = learned(reviews(60, 1))
    assert torch.equal(own(["lovely a dull film"]), own([["lovely", "a", "dull", "film"]]))
    assert own([]).shape == (0, 2)


def test_what_tells_nothing_is_not_believed():
    """Labels by lot: by the texts that are hidden from the fit, its share falls to next to nothing."""
    draw = random.Random(1)
    lots = [(text, draw.choice(["good", "bad"])) for text, _ in reviews(400, 1)]
    assert learned(lots)[0].shares[1] < 0.1
    assert learned(reviews(400, 1))[0].shares[1] > 0.5


def test_the_shares_are_those_that_another_search_finds():
    torch.manual_seed(1)
    rows = torch.randint(3, (200,))
    deep, wide = (torch.randn(200, 3) + strength * F.one_hot(rows, 3) for strength in (2.0, 0.5))

    def cost(at: np.ndarray) -> float:
        a, b = at
        fits = float(F.cross_entropy(a * deep + b * wide, rows, reduction="sum"))
        return fits + ngrams.CERTAINTY / 2 * float(((at - np.array(ngrams.USUAL)) ** 2).sum())

    own = NGrams(64, 3)
    own.believe(deep, wide, rows)
    found = minimize(cost, [1.0, 1.0], method="Nelder-Mead", bounds=[(0, None)] * 2, options={"xatol": 1e-5})
    assert np.allclose(own.shares.numpy(), found.x, atol=1e-3)
    assert torch.allclose(own.join(deep, wide), own.shares[0] * deep + own.shares[1] * wide)


def test_a_network_that_is_no_use_is_not_listened_to():
    rows = torch.arange(300) % 2
    wide, noise = 2.0 * F.one_hot(rows, 2), 5 * torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    own = NGrams(64, 2)
    own.believe(noise, wide, rows)
    assert own.shares[0] < 0.1 < own.shares[1]


def test_many_labels_have_fewer_buckets():
    assert NGrams(2**19, 2).weight.shape == (2**19, 2)
    assert NGrams(2**19, 100).weight.numel() <= ngrams.WEIGHTS


def test_of_many_texts_a_part_is_learned_from(monkeypatch):
    monkeypatch.setattr(ngrams, "ENTRIES", 1000)
    monkeypatch.setattr(ngrams, "CHUNK", 50)
    train = reviews(400, 1)
    own, labels = learned(train)
    texts, gold = zip(*reviews(100, 2), strict=True)
    guessed = [labels[row] for row in own(texts).argmax(1).tolist()]
    assert np.mean([a == b for a, b in zip(guessed, gold, strict=True)]) > 0.8
    assert float(own.idf.max()) < 1 + np.log(101 / 2) + 1e-4  # of at most 100 texts


def test_a_classifier_of_texts_has_them_and_keeps_them(tmp_path: Path):
    train, dev = reviews(80, 1), reviews(40, 2)
    model = regard.Classifier(**SMALL).fit(train, dev, tmp_path / "run", **TRAINING)
    texts = [text for text, _ in dev]
    again = regard.load(tmp_path / "run")
    assert again.probabilities(texts) == model.probabilities(texts)
    assert again.evaluate(dev)["accuracy"] == model.scores["scores"]["regard"]["accuracy"] > 0.9
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert torch.equal(kept["ngrams.shares"], model.network.ngrams.shares)
    assert model.network.ngrams.shares.tolist() != list(ngrams.USUAL)
    network, wide = (round(share, 3) for share in model.network.ngrams.shares.tolist())
    card = (tmp_path / "run" / "README.md").read_text()
    assert (
        f"1,048,576 weights of logistic regression; a label has the logit {network:g} · network + {wide:g} · n-grams"
        in card
    )
    assert "ngrams" not in model.describe()["parts"]
    plain = regard.Classifier(**SMALL, ngrams=0).fit(train, dev, **TRAINING)
    assert plain.network.ngrams is None
    for name, tensor in plain.network.state_dict().items():  # which learned by itself
        assert tensor.shape == kept[name].shape


def test_what_both_say_is_what_is_predicted():
    train, dev = reviews(60, 1), [text for text, _ in reviews(30, 2)]
    model = regard.Classifier(**SMALL).fit(train, **TRAINING)
    both = model.probabilities(dev)
    a, b = model.network.ngrams.shares.tolist()
    wide = model.network.ngrams(dev)
    model.network.ngrams = None
    deep = torch.tensor([list(row.values()) for row in model.probabilities(dev)]).log()
    together = (a * deep + b * wide).softmax(1)
    assert torch.allclose(together, torch.tensor([list(row.values()) for row in both]), atol=1e-5)


def test_the_same_seed_gives_the_same():
    train, dev = reviews(60, 1), reviews(30, 2)
    one, other = (regard.Classifier(**SMALL).fit(train, dev, **TRAINING).network.state_dict() for _ in range(2))
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_going_on_with_a_model_keeps_them(tmp_path: Path):
    model = regard.Classifier(**SMALL).fit(reviews(80, 1), None, tmp_path / "run", **TRAINING)
    on = regard.Classifier(continue_from=str(tmp_path / "run"))
    on.fit([("fine dull film", "good"), ("cold bright thing", "bad")] * 3, **TRAINING)
    assert torch.equal(on.network.ngrams.weight, model.network.ngrams.weight)


def test_one_label_and_other_items_have_none():
    alone = regard.Classifier(**SMALL).fit([("a text", "only")] * 4, **TRAINING)
    assert alone.predict(["another"]) == ["only"]
    vectors = regard.Classifier(front_end="vectors", dim=16, depth=1, heads=2)
    vectors.fit([(np.ones((3, 2)), "a"), (np.zeros((3, 2)), "b")], **TRAINING)
    assert vectors.network.ngrams is None
