"""Starting from a run: its options hold before anything is read, and all that it learned is taken up."""

import numpy as np
import pytest
import torch

import regard
from regard import Classifier, ConfigError, Labeler, MaskedModel, ModelError, Seq2Seq, Transcriber

SMALL = {"dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
ONCE = {"epochs": 1, "average": 0, "baselines": "none"}
STILL = {**ONCE, "learning_rate": 1e-12, "weight_decay": 0.0}
TEXTS = ["one two three four", "four three two one", "two two one three"]
FRONT_ENDS = ["words", "subwords", "characters", "symbols", "vectors"]
TASKS = [Labeler, Classifier, Seq2Seq, Transcriber, MaskedModel]


def raw(front_end):
    if front_end != "vectors":
        return TEXTS * 4
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 3)).astype(np.float32) for length in (5, 7, 4)] * 4


def examples(task, front_end):
    """The raw sequences with what each task is to make of them."""
    sequences = raw(front_end)
    if task is MaskedModel:
        return sequences
    if task is Labeler:
        items = [each if front_end == "vectors" else each.split() for each in sequences]
        return [(each, ["A" if place % 2 else "B" for place in range(len(each))]) for each in items]
    goals = ["up", "down", "up"] * 4
    return list(zip(sequences, goals, strict=True))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A pretrained run for each front end."""
    folder = tmp_path_factory.mktemp("runs")
    for kind in FRONT_ENDS:
        MaskedModel(front_end=kind, subwords=300, **SMALL).fit(raw(kind), output=folder / kind, **ONCE, batch_tokens=20)
    return folder


def assert_same(ours, theirs, **tolerance):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert len(ours) > 0
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], msg=lambda told, name=name: f"{name}: {told}", **tolerance)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["words", "characters", "vectors"])
def test_the_front_end_of_the_run_reads_the_data(runs, task, kind):
    """The training is the one that names the run's front end itself, to the last bit."""
    told, silent = (
        task(pretrained=str(runs / kind), **options).fit(examples(task, kind), **ONCE)
        for options in ({"front_end": kind}, {})
    )
    assert silent.config.front_end == kind
    assert_same(silent.network, told.network, atol=0, rtol=0)


NOWHERE = "nowhere.json"
TWO_KINDS = "shared_vocabulary: source and target must be of one kind"
OWN = "tokenizer: the pretrained network has its own"
CONTRADICTIONS = {
    "tokenizer of words": (Labeler, {"tokenizer": NOWHERE}, "tokenizer: it cuts text into subwords, got front_end"),
    "tokenizer of characters": (Classifier, {"tokenizer": NOWHERE, "front_end": "characters"}, "tokenizer: it cuts"),
    "tokenizer of symbols": (MaskedModel, {"tokenizer": NOWHERE, "front_end": "symbols"}, "tokenizer: it cuts"),
    "tokenizer of neither side": (
        Seq2Seq,
        {"tokenizer": NOWHERE, "front_end": "characters", "target_units": "symbols"},
        "tokenizer: it cuts",
    ),
    "tokenizer and its size": (MaskedModel, {"tokenizer": NOWHERE, "subwords": 99}, "subwords: the tokenizer"),
    "two kinds share a table": (Seq2Seq, {"front_end": "characters", "shared_vocabulary": True}, TWO_KINDS),
    "the run's kind is another": (Seq2Seq, {"pretrained": "words", "shared_vocabulary": True}, TWO_KINDS),
    "tokenizer beside a run": (Labeler, {"pretrained": "subwords", "tokenizer": NOWHERE}, OWN),
    "tokenizer beside a run, classify": (Classifier, {"pretrained": "subwords", "tokenizer": NOWHERE}, OWN),
    "another width than the run": (Classifier, {"pretrained": "words", "dim": 8}, "dim: the pretrained network has 16"),
    "another front end": (MaskedModel, {"pretrained": "words", "front_end": "characters"}, "front_end: the pretrained"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_options_that_contradict_are_refused_before_a_file_is_read(runs, case, tmp_path):
    task, options, message = CONTRADICTIONS[case]
    if "pretrained" in options:
        options = options | {"pretrained": str(runs / options["pretrained"])}
    with pytest.raises(ConfigError, match=f"^{message}"):
        task(**options).fit(tmp_path / "nowhere.tsv", output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", TASKS)
def test_a_run_that_is_none_is_refused_before_a_file_is_read(task, tmp_path):
    with pytest.raises(ModelError, match="neither a run folder"):
        task(pretrained=str(tmp_path)).fit(tmp_path / "nowhere.tsv")


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_pretraining_goes_on_where_the_run_ended(runs, kind):
    """The masked head and the vector of what is hidden too."""
    model = MaskedModel(pretrained=str(runs / kind), front_end=kind).fit(raw(kind), **STILL)
    before = regard.load(runs / kind).network
    assert any(name.startswith("masked_head.") for name in before.state_dict())
    assert ("mask" in before.state_dict()) == (kind in ("words", "vectors"))
    assert_same(model.network, before, atol=1e-6, rtol=0)


@pytest.mark.parametrize("task", TASKS)
def test_a_started_model_is_compared_with_other_encoders(runs, task):
    model = task(pretrained=str(runs / "characters"), front_end="characters")
    model.fit(examples(task, "characters"), **ONCE | {"baselines": "all"})
    assert {"regard", "pointwise encoder", "sliding encoder"} <= model.scores["scores"].keys()


@pytest.mark.parametrize("kind", ["characters", "subwords", "symbols"])
def test_the_target_side_is_learned_from_targets(runs, kind, tmp_path):
    pairs = [("one two", "xyz zyx"), ("two one", "zyx xyz"), ("three", "yyy")] * 8
    same = {"front_end": kind, "target_units": kind, "subwords": 300}
    plain = Seq2Seq(**SMALL, **same).fit(pairs, **ONCE)
    started = Seq2Seq(**same, pretrained=str(runs / kind)).fit(pairs, output=tmp_path / "run", **ONCE)
    for model in (started, regard.load(tmp_path / "run")):
        assert model.network.front_end.vocabulary() == regard.load(runs / kind).network.front_end.vocabulary()
        assert model.network.target.vocabulary() == plain.network.target.vocabulary()
    shared = Seq2Seq(**same, shared_vocabulary=True, pretrained=str(runs / kind)).fit(pairs, **ONCE)
    assert shared.network.target is shared.network.front_end
    assert shared.network.target.vocabulary() == regard.load(runs / kind).network.front_end.vocabulary()


def test_a_started_model_writes_what_the_run_never_read(runs):
    pairs = [("one", "xy"), ("two", "yx")] * 10
    options = {"front_end": "characters", "target_units": "characters", "pretrained": str(runs / "characters")}
    model = Seq2Seq(**options).fit(pairs, epochs=30, batch_tokens=60, average=0, learning_rate=0.01, label_smoothing=0)
    assert model.predict(["one", "two"]) == ["xy", "yx"]


@pytest.mark.parametrize(
    "options",
    [{"window": 2}, {"causal": True}, {"encoder": "convolution"}, {"encoder": "sliding", "window": (1, 0)}],
    ids=str,
)
def test_a_window_that_shapes_the_weights_comes_with_them(tmp_path, options):
    words = [(["one", "two", "three"], ["ODD", "EVEN", "ODD"])] * 6
    Labeler(**SMALL, **options).fit(words, output=tmp_path / "run", **ONCE)
    model = Labeler(pretrained=str(tmp_path / "run")).fit(words, **ONCE)
    assert {name: getattr(model.config, name) for name in options} == options
    with pytest.raises(ConfigError, match=r"^window: the pretrained network has "):
        Labeler(pretrained=str(tmp_path / "run"), window=3).fit(words, **ONCE)
