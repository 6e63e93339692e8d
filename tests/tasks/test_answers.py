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
        assert answer["probabilities"] == chances
        assert answer["score"] == max(chances.values()) == chances[answer["label"]]
        np.testing.assert_allclose(sum(chances.values()), 1, atol=1e-6)


def test_a_target_or_several(models):
    model, examples = models["transduce"], [Example("a film"), Example("what")]
    answers = model.answers(examples)
    assert [answer["target"] for answer in answers] == model.predict(examples)
    several = model.answers(examples, n_best=3)
    wanted = model.candidates(examples, beam=4, n_best=3)
    assert [[(one["target"], one["score"]) for one in answer["candidates"]] for answer in several] == wanted
    assert len(model.answers(examples, samples=2, top_k=3)[0]["candidates"]) == 2
    assert json.loads(json.dumps(several)) == several
    with pytest.raises(ConfigError, match="top_k: for outputs drawn at random"):
        model.answers(examples, top_k=3)
    with pytest.raises(ConfigError, match="n_best must be from 1 to beam, both at least 1; got n_best 1 and beam 0"):
        model.predict(examples, beam=0)


def test_a_transcript_with_the_times_of_its_symbols(models):
    model, examples = models["transcribe"], [Example("a film"), Example("what")]
    answers = model.answers(examples, beam=1)
    assert json.loads(json.dumps(answers)) == answers
    assert [answer["target"] for answer in answers] == model.predict(examples, beam=1)
    several = model.answers(examples, n_best=3)
    wanted = model.candidates(examples, beam=4, n_best=3)
    assert [[(one["target"], one["score"]) for one in answer["candidates"]] for answer in several] == wanted
    assert all(len(one["times"]) == len(one["target"]) for answer in several for one in answer["candidates"])


def test_a_text_with_its_blanks_filled(models):
    ((none, two), model) = [Example("so so"), Example("a [MASK] [MASK]")], models["pretrain"]
    answers = model.answers([none, two])
    assert answers[0] == {"target": "so so", "scores": []}
    assert answers[1]["target"] == model.predict(["a [MASK] [MASK]"])[0]
    assert len(answers[1]["scores"]) == 2
