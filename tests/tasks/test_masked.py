"""Pretraining: what is hidden is guessed, and other tasks start from it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import regard
from regard import (
    Classifier,
    ConfigError,
    DataError,
    Labeler,
    MaskedModel,
    ModelError,
    RegardError,
    Seq2Seq,
    UnsupportedError,
)
from regard.data import Example, read
from regard.training.optimizer import make_optimizer

SMALL = {"dim": 32, "depth": 2, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 30, "batch_tokens": 300, "average": 0, "learning_rate": 4e-3}
TEXTS = ["one two three four five", "five four three two one", "three four five six seven"]
BERT = {"norm": "post", "positions": "learned", "position_reach": 64, "embedding_norm": True, "activation": "gelu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "counting"
    MaskedModel(**SMALL, **BERT, subwords=300, subword_model="wordpiece").fit(TEXTS * 30, TEXTS * 10, folder, **QUICK)
    return folder


@pytest.mark.parametrize("front_end", ["subwords", "characters", "symbols", "words"])
def test_every_front_end_learns_to_guess(front_end):
    model = MaskedModel(front_end=front_end, **SMALL).fit(TEXTS * 30, **QUICK)
    scores = model.scores["scores"]
    assert scores["regard"]["accuracy"] > scores["most frequent"]["accuracy"] + 0.2
    assert 0 < scores["regard"]["likelihood"] < 1
    assert model.evaluate(TEXTS * 5) == model.evaluate(TEXTS * 5)


@pytest.mark.parametrize("front_end", ["subwords", "words", "vectors"])
def test_vectors_may_be_narrower_than_the_layers(front_end, tmp_path):
    """And what starts from such a network has them too."""
    waves = [np.sin(np.arange(20)[:, None] + start) for start in range(6)]
    raw = waves if front_end == "vectors" else TEXTS
    options = QUICK | {"epochs": 1}
    MaskedModel(front_end=front_end, **SMALL, embedding_dim=8).fit(raw * 4, output=tmp_path / "run", **options)
    labelled = [(items, number % 2) for number, items in enumerate(raw)]
    sorter = Classifier(pretrained=str(tmp_path / "run")).fit(labelled * 4, output=tmp_path / "next", **options)
    assert sorter.network.encoder.embedding_norm[0].weight.shape == (32, 8)
    assert regard.load(tmp_path / "next").predict(raw) == sorter.predict(raw)


def test_vectors_are_guessed_from_their_neighbours():
    waves = [np.stack([np.sin(np.arange(20) + start), np.cos(np.arange(20) + start)], 1) for start in range(12)]
    model = MaskedModel(front_end="vectors", **SMALL).fit(waves * 4, **QUICK)
    assert model.scores["scores"]["regard"]["explained"] > 0.7
    with pytest.raises(UnsupportedError, match="a model with front_end=vectors reads no text with blanks to fill"):
        model.predict(waves)


def test_blanks_are_filled(run):
    model = regard.load(run)
    assert isinstance(model, MaskedModel)
    assert model.predict(["one two [MASK] four five"]) == ["one two three four five"]
    ((best, chance), *others) = model.candidates(["one [MASK] three four five"], top=3)[0][0]
    assert best == "two"
    assert chance > max(other for _, other in others)
    assert model.predict(["one two"]) == ["one two"]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_a_filled_blank_has_one_space_before_it(kind):
    model = MaskedModel(**SMALL, subwords=300, subword_model=kind).fit(TEXTS * 30, **QUICK)
    text = "one two three four five"
    assert model.network.front_end.count(text.replace("three", "[MASK]")) == model.network.front_end.count(text)
    assert model.predict(["one two [MASK] four five"]) == [text]


def test_blanks_among_words_are_filled_and_nothing_else_changes():
    model = MaskedModel(front_end="words", **SMALL).fit(TEXTS * 30, **QUICK)
    assert model.predict(["one  two [MASK] four five"]) == ["one  two three four five"]
    assert model.predict(["[MASK] four three two [MASK]"]) == ["five four three two one"]
    assert [best for (best, _), *_ in model.candidates(["one two three [MASK] five"])[0]] == ["four"]
    assert model.predict(["one two"]) == ["one two"]


def test_the_pieces_of_a_word_are_hidden_together():
    model = MaskedModel(front_end="characters", whole_words=True, **SMALL)
    model.fit(TEXTS, epochs=1)
    batch = model.collate([Example("on to"), Example("b fu")])  # the blank goes with the word before; b is unknown
    assert batch.groups.tolist() == [-1, 0, 0, 0, 1, 1, -1, -1, -1, 2, 3, 3, -1]


def test_long_lines_are_read_in_windows(tmp_path):
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS * 3 + ["one two three " * 30]) + "\n")
    model = MaskedModel(front_end="symbols", **SMALL).fit(tmp_path / "raw.txt", longest=16, epochs=1)
    batch = model.collate(read(tmp_path / "raw.txt", goal="nothing")[-1:])
    assert batch.inputs.offsets.diff().max() <= 16
    assert len(batch.inputs.offsets) > 6


@pytest.mark.parametrize("task", [Labeler, Classifier, Seq2Seq])
def test_other_tasks_start_from_its_encoder(run, task):
    examples = {
        Labeler: [(["one", "two"], ["ODD", "EVEN"])],
        Classifier: [("one two three", "up"), ("three two one", "down")],
        Seq2Seq: [("one two", "two one")],
    }[task]
    before = regard.load(run).network
    model = task(pretrained=str(run)).fit(examples * 4, epochs=1, learning_rate=1e-9, weight_decay=0, average=0)
    assert (model.config.dim, model.config.norm, model.config.position_reach) == (32, "post", 64)
    assert model.network.front_end.vocabulary() == before.front_end.vocabulary()
    for part in ("front_end", "encoder"):
        own, theirs = (getattr(network, part).state_dict() for network in (model.network, before))
        for name in own:
            torch.testing.assert_close(own[name], theirs[name], atol=1e-6, rtol=0)


def test_layers_learn_more_slowly_the_lower_they_are(run):
    network = regard.load(run).network
    scales = {}
    for group in make_optimizer(network, 0.01, 0.5).param_groups:
        for name, parameter in network.named_parameters():
            if any(parameter is own for own in group["params"]):
                scales[name] = group["scale"]
    assert scales["masked_head.bias"] == 1
    assert scales["encoder.layers.1.attention.input.weight"] == 0.5
    assert scales["encoder.layers.0.attention.input.weight"] == 0.25
    assert scales["front_end.embedding.weight"] == scales["encoder.positions.table"] == 0.125
    assert {group["scale"] for group in make_optimizer(network, 0.01).param_groups} == {1.0}


def test_how_words_were_written_can_be_told_to_a_lower_casing_model():
    sentences = [(["one", "two"], ["x", "x"]), (["ONE", "Two"], ["U", "C"])] * 10
    without, told = (
        Labeler(front_end="subwords", lowercase=True, case=case, **SMALL).fit(sentences, **QUICK | {"batch_tokens": 20})
        for case in (False, True)
    )
    assert told.evaluate(sentences)["accuracy"] == 1.0 > without.evaluate(sentences)["accuracy"]
    texts = told.network.front_end.encode(["one TWO"]).cases.tolist()
    assert set(texts[1:-1]) == {1, 3}
    assert texts[0] == texts[-1] == 0


@pytest.mark.parametrize("kind", ["label", "classify", "pretrain"])
def test_export_is_opened_by_transformers_with_the_same_numbers(run, tmp_path, kind):
    import transformers

    from regard.tasks.export import export_huggingface

    if kind == "label":
        model = Labeler(pretrained=str(run)).fit([(["one", "two"], ["ODD", "EVEN"])] * 8, epochs=2)
    elif kind == "classify":
        examples = [("one two", "up"), ("two one", "down")]
        model = Classifier(pretrained=str(run), pooling="bert", ngrams=0).fit(examples * 8, epochs=2)
    else:
        model = regard.load(run)
    name = export_huggingface(model, tmp_path / "bert")
    theirs = getattr(transformers, name).from_pretrained(tmp_path / "bert").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "bert")
    text = "one two [MASK] four"
    with torch.no_grad():
        wanted = theirs(**tokenizer(text, return_tensors="pt")).logits[0]
        network = model.network.eval()
        inputs = network.front_end.encode([text])
        if kind == "classify":
            found = network(inputs, torch.tensor([0, 1]))[0]
        elif kind == "label":
            everything = replace(inputs, firsts=torch.arange(len(inputs.tokens)), word_offsets=inputs.offsets)
            found = network(everything).values
        else:
            found = network.guess(network.front_end(inputs), torch.ones(len(inputs.tokens), dtype=torch.bool))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_started_from_or_exported_is_refused(run, tmp_path):
    from regard.tasks.export import export_huggingface

    pairs = [("one", "a"), ("two", "b")] * 4
    with pytest.raises(ConfigError, match="dim: the pretrained network has 32, got 64; leave it out"):
        Classifier(pretrained=str(run), dim=64).fit(pairs)
    with pytest.raises(ModelError, match=r"neither a run folder \(model\.json\) nor a Hugging Face one"):
        Classifier(pretrained=str(tmp_path)).fit(pairs)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model.json").write_text(json.dumps({"task": "pretrain"}))
    with pytest.raises(ModelError, match=r"model\.json: a part is missing or altered"):
        Classifier(pretrained=str(damaged)).fit(pairs)
    plain = Classifier(dim=32, depth=1, heads=2, front_end="characters").fit(pairs, epochs=1)
    with pytest.raises(UnsupportedError, match=r"none of BERT's: front_end is 'characters', .* norm is 'pre'"):
        export_huggingface(plain, tmp_path / "bert")
    assert not (tmp_path / "bert").exists()
    with pytest.raises(RegardError, match="cannot be written, something is there already; name a new folder"):
        export_huggingface(regard.load(run), run)


def test_a_training_of_words_that_never_come_twice_is_refused():
    with pytest.raises(DataError, match="something to guess, such as a word that comes twice"):
        MaskedModel(front_end="words", **SMALL).fit(["one two three", "four five six"], **QUICK)


def test_silence_can_be_learned_and_kept(tmp_path):
    model = MaskedModel(front_end="vectors", **SMALL).fit([np.zeros((9, 3))] * 8, output=tmp_path / "run", **QUICK)
    assert regard.load(tmp_path / "run").scores == model.scores


def test_images_are_refused_before_anything_is_read(tmp_path):
    for front_end in ("pixels", "patches"):
        with pytest.raises(ConfigError, match=f"front_end: parts of images are not guessed, got {front_end}; choose"):
            MaskedModel(front_end=front_end).fit(tmp_path / "none", output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
