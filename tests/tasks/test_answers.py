"""One way to ask every task: answers, ready for JSON."""

import json

import numpy as np
import pytest

from regard import Classifier, ConfigError, Labeler, MaskedModel, Seq2Seq, Transcriber
from regard.data import Example, read

SMALL = {"dim": 16, "depth": 1, "heads": 2}
QUICK = {"epochs": 2, "average": 0}


@pytest.fixture(scope="module")
def models():
    sentences = [(["we", "fish"], ["PRON", "VERB"]), (["I", "saw", "it"], ["PRON", "VERB", "PRON"])] * 8
    films = [("a fine film", "good"), ("what a bore", "bad"), ("so so", "fair")] * 8
    return {
        "label": Labeler(**SMALL).fit(sentences, **QUICK),
        "classify": Classifier(**SMALL, front_end="characters").fit(films, **QUICK),
        "transduce": Seq2Seq(**SMALL, front_end="characters", target_units="characters").fit(films, **QUICK),
        "transcribe": Transcriber(**SMALL, front_end="characters").fit(films, **QUICK),
        "pretrain": MaskedModel(**SMALL, front_end="symbols").fit([text for text, _ in films], **QUICK),
    }


def test_labels_with_how_likely_each_is(models):
    examples = [Example(["we", "saw"]), Example([]), Example(["fish"])]
    answers = models["label"].answers(examples)
    assert json.loads(json.dumps(answers)) == answers
    assert [answer["labels"] for answer in answers] == models["label"].predict(examples)
    assert [len(answer["scores"]) for answer in answers] == [2, 0, 1]
    assert all(0 < score <= 1 for answer in answers for score in answer["scores"])


def test_a_label_with_the_probabilities_of_all(models):
    model = models["classify"]
    examples = read(["a film", "what"], goal="label", labelled=False)
    for answer, chances in zip(model.answers(examples), model.probabilities(examples), strict=True):
        assert json.loads(json.dumps(answer)) == answer
        assert answer["probabilities"] == pytest.approx(chances, abs=1e-6)
        assert answer["score"] == max(answer["probabilities"].values()) == answer["probabilities"][answer["label"]]
        np.testing.assert_allclose(sum(chances.values()), 1, atol=1e-6)


def test_the_best_of_all_tasks(models):
    """One verb: for each example so many of the best, the first of them what is predicted."""
    label, classify = models["label"], models["classify"]
    (items,) = label.candidates([["we", "saw"]], top=2)
    assert [some[0][0] for some in items] == label.predict([["we", "saw"]])[0]
    assert [len(some) for some in items] == [2, 2]
    assert all(some[0][1] >= some[1][1] for some in items)
    answer = label.answers([["we", "saw"]], top=2)[0]
    assert [[(one["label"], one["score"]) for one in some] for some in answer["candidates"]] == items
    assert label.answers([Example([]), Example(["we"])], top=1)[0] == {"labels": [], "scores": [], "candidates": []}
    (some,) = classify.candidates(["a film"], top=9)
    assert dict(some) == pytest.approx(classify.probabilities(["a film"])[0], abs=1e-6)
    assert [name for name, _ in some][:1] == classify.predict(["a film"])
    for name, inputs in (("transduce", "what"), ("transcribe", "what")):
        assert models[name].candidates([inputs], top=3)[0][0][0] == models[name].predict([inputs], beam=4)[0]
    (blanks,) = models["pretrain"].candidates(["a [MASK] [MASK]"], top=3)
    assert [len(blank) for blank in blanks] == [3, 3]
    for model in models.values():
        with pytest.raises(ConfigError, match="top"):
            model.candidates([["a"]] if model is label else ["a"], top=0)


def test_answers_of_whatever_is_predicted_from(models, tmp_path):
    (tmp_path / "new.txt").write_text("so what\nwe saw\n")
    for model in models.values():
        read_from_file = model.answers(str(tmp_path / "new.txt"))
        values = [["so", "what"], ["we", "saw"]] if model is models["label"] else ["so what", "we saw"]
        assert read_from_file == model.answers(values)
        assert len(read_from_file) == 2


def test_a_target_or_several(models):
    model, examples = models["transduce"], [Example("a film"), Example("what")]
    answers = model.answers(examples)
    assert [answer["target"] for answer in answers] == model.predict(examples)
    several = model.answers(examples, top=3)
    wanted = model.candidates(examples, beam=4, top=3)
    assert [[(one["target"], one["score"]) for one in answer["candidates"]] for answer in several] == wanted
    assert len(model.answers(examples, samples=2, top_k=3)[0]["candidates"]) == 2
    assert json.loads(json.dumps(several)) == several
    with pytest.raises(ConfigError, match="top_k: for outputs drawn at random"):
        model.answers(examples, top_k=3)
    with pytest.raises(ConfigError, match="top must be from 1 to beam, both at least 1; got top 1 and beam 0"):
        model.predict(examples, beam=0)


def test_a_transcript_with_the_times_of_its_symbols(models):
    model, examples = models["transcribe"], [Example("a film"), Example("what")]
    answers = model.answers(examples, beam=1)
    assert json.loads(json.dumps(answers)) == answers
    assert [answer["target"] for answer in answers] == model.predict(examples, beam=1)
    several = model.answers(examples, top=3)
    wanted = model.candidates(examples, beam=4, top=3)
    assert [[(one["target"], one["score"]) for one in answer["candidates"]] for answer in several] == wanted
    assert all(len(one["times"]) == len(one["target"]) for answer in several for one in answer["candidates"])


def test_a_text_with_its_blanks_filled(models):
    ((none, two), model) = [Example("so so"), Example("a [MASK] [MASK]")], models["pretrain"]
    answers = model.answers([none, two])
    assert answers[0] == {"target": "so so", "scores": []}
    assert answers[1]["target"] == model.predict(["a [MASK] [MASK]"])[0]
    assert len(answers[1]["scores"]) == 2
