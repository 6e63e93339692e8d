import json

import numpy as np
import pytest
import torch

import regard
from regard import ConfigError, DataError, Labeler, ModelError

SAW = (["I", "saw", "a", "saw"], ["PRON", "VERB", "DET", "NOUN"])
FISH = (["We", "fish", "for", "fish"], ["PRON", "VERB", "ADP", "NOUN"])
SMALL = {"dim": 32, "depth": 1, "heads": 2, "dropout": 0.1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "pos"
    Labeler(**SMALL).fit([SAW, FISH] * 8, dev=[SAW, FISH], output=folder, epochs=10, batch_tokens=16, average=0.5)
    return folder


def test_context_decides_between_two_labels_of_one_word(run):
    assert regard.load(run).predict([SAW[0], FISH[0]]) == [SAW[1], FISH[1]]


def test_a_pointwise_encoder_gives_one_word_one_label_everywhere():
    tagger = Labeler(**SMALL, encoder="pointwise", positions="none").fit([SAW] * 8, epochs=20, average=0)
    labels = tagger.predict([SAW[0]])[0]
    assert labels[1] == labels[3]
    assert tagger.evaluate([SAW])["accuracy"] <= 0.75


def test_predictions_keep_the_order_and_the_empty_sentences(run):
    tagger = regard.load(run)
    sentences = [["fish"], [], FISH[0] * 3, SAW[0]]
    together = tagger.predict(sentences)
    assert [len(labels) for labels in together] == [1, 0, 12, 4]
    assert together == [tagger.predict([sentence])[0] for sentence in sentences]
    assert tagger.predict([]) == []


def test_a_run_folder_holds_what_a_newcomer_looks_for(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "model.safetensors", "model.json", "metrics.jsonl", "README.md", "scores.json"} <= names
    assert "resume" not in names
    card = (run / "README.md").read_text()
    assert "majority label" in card
    assert "most frequent label per word" in card
    scores = json.loads((run / "scores.json").read_text())["scores"]
    assert scores["regard"]["accuracy"] == 1.0
    assert scores["most frequent label per word"]["accuracy"] == 0.75


def test_the_loaded_model_is_the_saved_one(run):
    tagger = regard.load(run)
    assert tagger.config.dim == 32
    assert tagger.evaluate([SAW, FISH])["accuracy"] == 1.0


def test_attention_maps_are_those_of_the_sequence(run, tmp_path):
    maps = regard.load(run).attention(SAW[0])
    assert len(maps) == 1
    assert maps[0].shape == (2, 4, 4)
    torch.testing.assert_close(maps[0].sum(-1), torch.ones(2, 4))
    for name in ("maps.png", "maps.svg", "page.html"):
        assert maps.save(tmp_path / name).stat().st_size > 1000
    with pytest.raises(regard.RegardError, match=r"\.png, \.svg, \.pdf or \.html"):
        maps.save(tmp_path / "maps.gif")


def test_vectors_are_labelled_too():
    rng = np.random.default_rng(0)
    examples = []
    for length in (7, 1, 12, 30):
        array = rng.normal(size=(length, 3)).astype(np.float32)
        examples.append((array, ["up" if row[0] > 0 else "down" for row in array]))
    labeler = Labeler(**SMALL, front_end="vectors").fit(examples * 4, epochs=15, batch_tokens=40, average=0)
    assert labeler.evaluate(examples)["accuracy"] > 0.9
    assert [len(labels) for labels in labeler.predict([array for array, _ in examples])] == [7, 1, 12, 30]


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_damaged_weights_are_refused(run, tmp_path, damage):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    weights = bytearray((copy / "model.safetensors").read_bytes())
    if damage == "truncated":
        weights = weights[: len(weights) // 2]
    else:
        weights[-5] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        regard.load(copy)


def test_a_label_that_training_never_had_is_named(run):
    stranger = (["I", "saw"], ["PRON", "NUM"])
    with pytest.raises(DataError, match="'NUM' at item 2"):
        regard.load(run).evaluate([stranger])
    with pytest.raises(DataError, match="'NUM' at item 2"):
        Labeler(**SMALL).fit([SAW], dev=[stranger], epochs=1)
    counted = Labeler(**SMALL).fit([SAW], dev=[stranger], epochs=1, unseen_labels="count-wrong")
    assert counted.evaluate([stranger])["accuracy"] <= 0.5


def test_a_sequence_beyond_the_longest_needs_a_window():
    endless = (["word"] * 300, ["X"] * 300)
    with pytest.raises(DataError, match="at most 200 items"):
        Labeler(**SMALL).fit([endless], epochs=1, longest=200)
    Labeler(**SMALL, window=4).fit([endless], epochs=1, longest=200)


def test_a_finished_run_is_never_overwritten(run):
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="already holds a run"):
        Labeler(**SMALL).fit([SAW], output=run, epochs=1)
    assert (run / "model.safetensors").read_bytes() == before


def test_unknown_values_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"dim: .*got 0"):
        Labeler(dim=0)
    with pytest.raises(regard.RegardError, match="no network yet"):
        Labeler().predict([["a"]])


def test_whatever_becomes_of_the_baselines_the_run_is_whole(tmp_path):
    class Unlucky(Labeler):
        def baselines(self, train, scored):
            raise MemoryError("no room for another encoder")

    with pytest.raises(MemoryError):
        Unlucky(**SMALL).fit([SAW, FISH] * 4, output=tmp_path / "run", epochs=2)
    assert (tmp_path / "run" / "README.md").is_file()
    assert list(json.loads((tmp_path / "run" / "scores.json").read_text())["scores"]) == ["regard"]
    assert len(regard.load(tmp_path / "run").predict([SAW[0]])[0]) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "output: required with several processes"), ({"output": "run", "baselines": "all"}, "baselines: all trains")],
)
def test_what_one_process_alone_can_do_is_refused_to_several(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=message):
        Labeler(**SMALL).fit(tmp_path / "nowhere.conllu", **options)
    assert not list(tmp_path.iterdir())
