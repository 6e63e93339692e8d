"""Pages of models: what they are told equals what the model gives by itself."""

import json

import numpy as np
import pytest
import torch

from regard import Classifier, ConfigError, DataError, Labeler, MaskedModel, RegardError, Seq2Seq, Transcriber
from regard.tasks.files import read
from regard.tasks.pages import MOST_ANSWERS, aggregate_page, page_of
from regard.viewer.page.pack import ROWS
from regard.viewer.telltales import telltales

SMALL = {"dim": 16, "depth": 2, "heads": 2, "dropout": 0.0}
TRAINING = {"epochs": 1, "average": 0, "baselines": "none", "quiet": True}
WORDS = ["we", "saw", "a", "saw"]
TAGS = ["PRON", "VERB", "DET", "NOUN"]
TEXTS = [("a good day", "+"), ("a bad night", "-")] * 4


@pytest.fixture(scope="module")
def labeler():
    return Labeler(**SMALL).fit([(WORDS, TAGS)] * 4, **TRAINING)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(front_end="characters", **SMALL).fit(TEXTS, **TRAINING)


@pytest.fixture(scope="module")
def pronouncer():
    model = Seq2Seq(front_end="characters", target_units="symbols", **SMALL)
    return model.fit([("ab", "A B"), ("ba", "B A")] * 4, **TRAINING)


def weights_of(page, stack, layer, head):
    """What the page shows: ``largest · (byte / 255)²``."""
    told = next(one for one in page.meta["stacks"] if one["id"] == stack)["layers"][layer]
    assert told["queries"] <= ROWS
    cells = np.frombuffer(page.block(f"weights/{stack}/{layer}/{head}/0/0"), np.uint8)
    return told["largest"][head] * (cells.reshape(told["queries"], -1) / 255) ** 2, told["largest"][head]


def test_the_page_of_a_labeler(labeler):
    page = page_of(labeler, WORDS)
    assert page.meta["title"] == "we saw a saw"
    axis = page.meta["axes"]["input"]
    assert (axis["names"], axis["labels"]) == (WORDS, labeler.predict([WORDS])[0])
    np.testing.assert_allclose(axis["scores"], labeler.answers([WORDS])[0]["scores"], atol=1e-4)
    maps = labeler.attention(WORDS)
    for layer in range(2):
        for head in range(2):
            shown, largest = weights_of(page, "encoder", layer, head)
            np.testing.assert_allclose(shown, maps[layer][head].numpy(), atol=0.004 * largest)
    assert page.meta["answers"] == [None]


def test_telltales_are_those_of_the_network(labeler):
    told = page_of(labeler, WORDS).meta["telltales"]
    found = telltales(labeler.watched(read(labeler, [WORDS], labelled=False)[0]))
    for name in ("log_probs", "rollout", "gradient", "drops"):
        np.testing.assert_allclose(told[name], getattr(found, name).numpy(), atol=1e-5)
    assert told["heads"] == [["encoder", layer, head] for layer in range(2) for head in range(2)]
    assert (told["query"], told["places"]) == ("input", [0, 1, 2, 3])
    assert "telltales" not in page_of(labeler, WORDS, tales=False).further


def test_what_is_true_stands_beside_what_was_predicted(labeler):
    (example,) = read(labeler, [(WORDS, TAGS)])
    assert page_of(labeler, example).meta["axes"]["input"]["gold"] == TAGS


def test_the_page_of_a_classifier(classifier):
    page = page_of(classifier, "a good night")
    assert [stack["id"] for stack in page.meta["stacks"]] == ["encoder", "pool"]
    assert page.meta["axes"]["input"]["names"] == classifier.network.front_end.names("a good night")
    (told,) = page.meta["answers"]
    chances = classifier.probabilities(["a good night"])[0]
    assert told["label"] == max(chances, key=chances.get)
    np.testing.assert_allclose(dict(map(tuple, told["candidates"]))[told["label"]], max(chances.values()), atol=1e-5)
    shown, largest = weights_of(page, "pool", 0, 1)
    np.testing.assert_allclose(shown[0], classifier.attention("a good night").pooling[1].numpy(), atol=0.004 * largest)
    assert page.meta["telltales"]["query"] is None
    assert page.meta["telltales"]["heads"][-1] == ["pool", 0, 1]


def test_the_page_of_a_new_sequence(pronouncer):
    page = page_of(pronouncer, "abb")
    stacks = {stack["id"]: (stack["query"], stack["key"]) for stack in page.meta["stacks"]}
    assert stacks == {
        "encoder": ("input", "input"),
        "cross": ("output", "input"),
        "decoder": ("output", "before"),
    }
    assert page.meta["answers"][0]["text"] == pronouncer.predict(["abb"])[0]
    maps = pronouncer.attention("abb")
    shown, largest = weights_of(page, "cross", 1, 0)
    np.testing.assert_allclose(shown, maps.cross[1][0].numpy(), atol=0.004 * largest)
    assert page.meta["axes"]["output"]["names"] == maps.cross.items
    assert len(page.meta["telltales"]["heads"]) == 2 * (2 + 2 + 2)


def test_of_arrays_recordings_and_images():
    from regard.recording import Recording

    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=(9, 3)).astype(np.float32), "+-"[n % 2]) for n in range(8)]
    page = page_of(Classifier(front_end="vectors", **SMALL).fit(arrays, **TRAINING), arrays[0][0])
    assert (page.meta["axes"]["input"]["kind"], page.meta["axes"]["input"]["channels"]) == ("vectors", 3)

    sounds = [(Recording.from_samples(rng.normal(size=4000) * 0.1, 8000), "+-"[n % 2]) for n in range(8)]
    model = Classifier(front_end="audio", **SMALL).fit(sounds, **TRAINING)
    assert page_of(model, sounds[0][0].part(0.2, 0.4)).meta["axes"]["input"]["start"] == 0.2
    page = page_of(model, sounds[0][0])
    axis = page.meta["axes"]["input"]
    assert axis["start"] == 0.0
    assert (axis["kind"], axis["count"]) == ("audio", page.meta["stacks"][0]["layers"][0]["queries"])
    assert page.block("media/input")[:4] == b"RIFF"

    images = [(rng.integers(0, 255, (8, 8), np.uint8), "+-"[n % 2]) for n in range(8)]
    model = Classifier(front_end="patches", patch_size=4, **SMALL).fit(images, **TRAINING)
    page = page_of(model, images[0][0])
    assert page.meta["axes"]["input"]["grid"] == [2, 2]
    assert page.block("media/input")[1:4] == b"PNG"


def test_what_cannot_be_asked_says_why(monkeypatch):
    texts = ["one two three", "two three one"] * 4
    model = MaskedModel(front_end="symbols", **SMALL).fit(texts, **TRAINING)
    assert page_of(model, "one two three").meta["telltales"] == {"why": "the model gave no answer"}
    assert page_of(model, "one [MASK] three").meta["telltales"]["why"] == ""
    monkeypatch.setattr("regard.tasks.seen.MOST_POSITIONS", 2)
    assert "of at most 2 positions, and this has" in page_of(model, "one [MASK] three").meta["telltales"]["why"]


def test_of_many_answers_some_are_told(labeler):
    told = page_of(labeler, WORDS * 40).meta["telltales"]
    assert len(told["names"]) <= MOST_ANSWERS
    assert told["places"][1] == 3
    assert len(told["rollout"][0]) == 160


def test_a_transcriber(capsys):
    model = Transcriber(front_end="characters", target_units="symbols", **SMALL)
    model.fit([("ab", "A B"), ("ba", "B A")] * 20, **{**TRAINING, "epochs": 15})
    page = page_of(model, "ab")
    assert page.meta["answers"][0]["text"] == model.predict(["ab"])[0]


def test_two_models_each_tell_their_own(labeler):
    other = Labeler(**SMALL, seed=2).fit([(WORDS, TAGS[::-1])] * 4, **TRAINING)
    (example,) = read(labeler, [(WORDS, TAGS)])
    page = page_of(labeler, example, other=other, names=["a", "b"])
    assert [(one["id"], one["model"], one["query"]) for one in page.meta["stacks"]] == [
        ("encoder", 0, "input"),
        ("encoder-2", 1, "input-2"),
    ]
    axes = page.meta["axes"]
    assert (axes["input"]["labels"], axes["input-2"]["labels"]) == (
        labeler.predict([WORDS])[0],
        other.predict([WORDS])[0],
    )
    assert axes["input"]["labels"] != axes["input-2"]["labels"]
    assert axes["input"]["gold"] == axes["input-2"]["gold"] == TAGS
    assert [model["name"] for model in page.meta["models"]] == ["a", "b"]
    shown, largest = weights_of(page, "encoder-2", 1, 1)
    np.testing.assert_allclose(shown, other.attention(WORDS)[1][1].numpy(), atol=0.004 * largest)
    subwords = Labeler(front_end="subwords", **SMALL).fit([(WORDS, TAGS)] * 4, **TRAINING)
    assert {*page_of(labeler, WORDS, other=subwords).meta["axes"]} == {"input", "input-2"}


def test_two_models_share_what_they_read_alike(classifier):
    other = Classifier(front_end="characters", **SMALL, seed=2).fit(TEXTS, **TRAINING)
    page = page_of(classifier, "a good night", other=other)
    assert {*page.meta["axes"]} == {"input", "answer"}
    told = [
        (one["name"], answer["score"]) for one, answer in zip(page.meta["models"], page.meta["answers"], strict=True)
    ]
    assert [name for name, _ in told] == ["first", "second"]
    for model, (_, score) in zip((classifier, other), told, strict=True):
        assert score == pytest.approx(max(model.probabilities(["a good night"])[0].values()), abs=1e-5)
    assert told[0][1] != told[1][1]


@pytest.mark.parametrize("given", ["text", "words"])
def test_each_of_two_models_reads_the_input_in_its_own_way(labeler, classifier, given):
    """Characters of a text, and words of a sentence."""
    models, items = (classifier, labeler), " ".join(WORDS)
    if given == "words":
        models, items = models[::-1], WORDS
    page = page_of(models[0], items, other=models[1])
    names = [page.meta["axes"][name]["names"] for name in ("input", "input-2")]
    assert sorted(names, key=len) == [WORDS, classifier.network.front_end.names(" ".join(WORDS))]


def test_two_models_that_share_no_input(classifier):
    image = np.zeros((8, 8), np.uint8)
    other = Classifier(front_end="patches", patch_size=4, **SMALL).fit([(image, "+"), (image, "-")] * 2, **TRAINING)
    for models, items, kinds in (
        ((classifier, other), "a good night", "a reads text, and b reads images"),
        ((other, classifier), image, "a reads images, and b reads text"),
    ):
        with pytest.raises(ConfigError, match=f"compare: {kinds}, so that no input is for both; name a model that"):
            page_of(models[0], items, other=models[1], names=["a", "b"])


def test_an_encoder_that_does_not_attend():
    model = Labeler(encoder="pointwise", **SMALL).fit([(WORDS, TAGS)] * 4, **TRAINING)
    with pytest.raises(RegardError, match="does not attend, so there is nothing to show; see the option `encoder`"):
        page_of(model, WORDS)
    with pytest.raises(RegardError, match="nothing to show"):
        aggregate_page(model, [WORDS])


def test_what_a_model_does_not_take(classifier):
    with pytest.raises(DataError):
        page_of(classifier, np.zeros((3, 4), np.float32))


@pytest.mark.parametrize("labelled", [True, False])
def test_many_examples(labeler, labelled):
    examples = [(WORDS, TAGS), (WORDS[:3], TAGS[:3])] * 3
    told = aggregate_page(labeler, examples if labelled else [words for words, _ in examples]).meta["aggregate"]
    assert (told["examples"], told["of"]) == (6, 6)
    assert set(told["labels"]) <= set(TAGS)
    head = told["layers"][1]["found"][0]
    expected = np.mean([w for words, _ in examples for w in np.diag(labeler.attention(words)[1][0].numpy())])
    assert head["relative"][32] == pytest.approx(expected, abs=1e-5)
    assert json.dumps(told)


def test_a_head_is_certain_among_what_it_may_see():
    model = Labeler(causal=True, **SMALL).fit([(WORDS, TAGS)] * 4, **TRAINING)
    found = aggregate_page(model, [(WORDS, TAGS)]).meta["aggregate"]["layers"][1]["found"][0]
    rows = [row[: place + 1].double() for place, row in enumerate(model.attention(WORDS)[1][0])][2:]
    expected = np.mean([float(-(row * row.log()).sum() / np.log(len(row))) for row in rows])
    assert found["certain"][0]["entropy"] == pytest.approx(expected, abs=1e-6)
    assert found["certain"][0]["link"][0] in WORDS[2:]
    assert found["relative"][33:] == [None] * 32


def test_many_examples_with_a_label_for_each(classifier):
    told = aggregate_page(classifier, TEXTS, most=4).meta["aggregate"]
    assert (told["examples"], told["of"]) == (4, 8)
    assert set(told["layers"][0]["found"][0]["wholes"]) == {"+"}  # every second


def test_of_many_examples_each_has_its_own_label_or_the_predicted_one(classifier, tmp_path):
    path = tmp_path / "part.csv"
    path.write_text("text,label\na good day,rare\na bad night,\n")
    page = aggregate_page(classifier, path)
    assert page.title == f"{path}: 2 examples, labels of 1 predicted"
    wholes = page.meta["aggregate"]["layers"][0]["found"][0]["wholes"]
    assert {name: one["examples"] for name, one in wholes.items()} == {
        "rare": 1,
        classifier.predict(["a bad night"])[0]: 1,
    }
    path.write_text("text\na good day\na bad night\n")
    assert aggregate_page(classifier, path).title == f"{path}: 2 examples, labels predicted"
    assert aggregate_page(classifier, iter(TEXTS[:2])).title == "examples: 2 examples"
    assert aggregate_page(classifier, ["a good day"]).title == "examples: 1 example, labels predicted"


def test_of_many_images_labels_are_predicted_too():
    images = [(np.full((8, 8), 30 * n, np.uint8), "ab"[n % 2]) for n in range(6)]
    model = Classifier(front_end="patches", patch_size=4, **SMALL).fit(images, **TRAINING)
    page = aggregate_page(model, [(images[0][0], "rare"), (images[1][0], None)])
    assert page.title == "examples: 2 examples, labels of 1 predicted"
    wholes = page.meta["aggregate"]["layers"][0]["found"][0]["wholes"]
    assert {*wholes} == {"rare", model.predict([images[1][0]])[0]}


def test_a_wrong_label_is_no_missing_one(labeler, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"words": ["we"]}\n{"words": ["we", "saw"], "upos": ["PRON"]}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: expected as many labels as items \(2\), found 1 labels"):
        aggregate_page(labeler, path)
    with pytest.raises(DataError, match="expected span labels B-X, I-X, O"):
        aggregate_page(labeler, [(["we", "saw"], ["B-X", "Q"]), (["we"], ["O"])])


def test_no_example_is_changed(labeler):
    (example,) = read(labeler, [WORDS], labelled=False)
    page_of(labeler, example)
    assert (example.items, example.goal) == (WORDS, None)
    assert not labeler.network.training
    assert torch.is_grad_enabled()
