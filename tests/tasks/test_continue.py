"""Going on with a finished model, head and all."""

import shutil

import numpy as np
import pytest
import torch
from pictures import shape
from sounds import tone

import regard
from regard import Classifier, ConfigError, DataError, Labeler, MaskedModel, ModelError, Seq2Seq, Transcriber
from regard.cli import run

SMALL = {"dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 1, "average": 0, "baselines": "none"}
FILMS = [("a fine film", "good"), ("a dull film", "bad"), ("so so", "fair")] * 4
TAGS = [(["we", "saw"], ["PRON", "VERB"]), (["fish"], ["NOUN"])] * 4
PAIRS = [("abc", "A B"), ("bac", "B A")] * 4
TEXTS = ["one two three", "two three four"] * 4
TASKS = {
    "label": (Labeler, {}, TAGS, [["we", "saw", "fish"]]),
    "classify": (Classifier, {"front_end": "characters", "pooling": "mean"}, FILMS, ["a film", "so"]),
    "transduce": (Seq2Seq, {"front_end": "characters", "target_units": "symbols"}, PAIRS, ["ab", "ba"]),
    "transcribe": (Transcriber, {"front_end": "characters", "target_units": "symbols"}, PAIRS, ["abc", "bac"]),
    "pretrain": (MaskedModel, {"front_end": "symbols"}, TEXTS, ["one [MASK] three"]),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, (kind, options, data, _) in TASKS.items():
        kind(**SMALL, **options).fit(data, output=folder / name, **QUICK)
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_all_of_it_goes_on(runs, name, tmp_path):
    """With a rate of almost nothing on other data it says what it said."""
    kind, _, data, inputs = TASKS[name]
    model = kind(continue_from=str(runs / name)).fit(data[:1] * 2, output=tmp_path / "on", learning_rate=1e-12, **QUICK)
    old = regard.load(runs / name)
    wanted = old.network.state_dict()
    for part, tensor in model.network.state_dict().items():
        torch.testing.assert_close(tensor, wanted[part], atol=1e-6, rtol=1e-5)
    assert regard.load(tmp_path / "on").predict(inputs) == old.predict(inputs)
    assert getattr(model, "labels", None) == getattr(old, "labels", None)
    learned = kind(continue_from=str(runs / name)).fit(data, learning_rate=1e-2, **QUICK)
    assert any(not torch.equal(tensor, wanted[part]) for part, tensor in learned.network.state_dict().items())


@pytest.mark.parametrize(
    ("front_end", "items"),
    [
        ("vectors", [np.ones((3, 2), np.float32), np.zeros((5, 2), np.float32)]),
        ("audio", [(tone("low"), 8000), (tone("high"), 8000)]),
        ("patches", [shape("bar"), shape("dot", 8, 12)]),
    ],
)
def test_arrays_sound_and_images_go_on(front_end, items, tmp_path):
    options = {"patch_size": 2} if front_end == "patches" else {}
    data = list(zip(items, "xy", strict=True))
    old = Classifier(front_end=front_end, **SMALL, **options).fit(data * 4, output=tmp_path / "old", **QUICK)
    begun = Classifier(continue_from=str(tmp_path / "old"))
    begun.fit(data[:1] * 2, output=tmp_path / "on", learning_rate=1e-12, **QUICK)
    new = regard.load(tmp_path / "on")
    np.testing.assert_allclose(new.encode(items), old.encode(items), atol=1e-5)
    assert new.predict(items) == old.predict(items)
    with pytest.raises(DataError, match=r"the 2 labels of the model that goes on .*, found 'z' in the training data"):
        Classifier(continue_from=str(tmp_path / "old")).fit([(items[0], "z")], **QUICK)


def test_the_run_says_what_it_went_on_from_and_stands_without_it(runs, tmp_path):
    shutil.copytree(runs / "classify", tmp_path / "old")
    command = ["--continue", tmp_path / "old", "--output", tmp_path / "on", "--epochs", 1, "--baselines", "none"]
    (tmp_path / "films.csv").write_text("text,label\na fine film,good\na dull film,bad\n")
    command = ["train", "classify", "--train", tmp_path / "films.csv", *command]
    assert run([str(word) for word in command]) == 0
    shutil.rmtree(tmp_path / "old")
    assert f'continue_from = "{tmp_path / "old"}"' in (tmp_path / "on" / "config.toml").read_text()
    assert f"- it goes on with all of `{tmp_path / 'old'}`" in (tmp_path / "on" / "README.md").read_text()
    model = regard.load(tmp_path / "on")
    assert model.labels == ["bad", "fair", "good"]
    assert set(model.predict(["a fine film"])) <= {"bad", "fair", "good"}


def test_one_that_goes_on_is_resumed_bit_for_bit(runs, tmp_path):
    def going_on():
        return Classifier(continue_from=str(runs / "classify"))

    training = QUICK | {"epochs": 3, "batch_tokens": 30, "checkpoint_seconds": 0}
    whole = going_on().fit(FILMS, output=tmp_path / "whole", **training)
    stopped, left = going_on(), iter(range(6))
    loss = stopped.loss
    stopped.loss = lambda network, batch: loss(network, batch) if next(left, None) is not None else interrupt()
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(FILMS, output=tmp_path / "part", **training)
    resumed = going_on().fit(FILMS, output=tmp_path / "part", resume=True, **training)
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)


def interrupt():
    raise KeyboardInterrupt


def test_options_go_on_unless_given(runs):
    model = Classifier(continue_from=str(runs / "classify")).fit(FILMS, **QUICK | {"epochs": 2})
    assert (model.config.dim, model.config.pooling, model.config.front_end) == (16, "mean", "characters")
    assert (model.config.epochs, model.config.average) == (2, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 32}, r"dim: .*classify, which goes on, has 16, got 32; leave it out"),
        ({"pooling": "max"}, r"pooling: .* has 'mean', got 'max'"),
        (
            {"pretrained": "runs/x"},
            r"pretrained: .* goes on with its own, got 'runs/x'; leave out --from or --continue",
        ),
    ],
)
def test_what_the_weights_do_not_allow_is_refused(runs, given, message):
    with pytest.raises(ConfigError, match=message):
        Classifier(continue_from=str(runs / "classify"), **given).fit(FILMS, **QUICK)


def test_new_labels_are_refused_and_balanced_classes_may_be_missing(runs, tmp_path):
    with pytest.raises(
        DataError, match=r"expected the 3 labels of the model that goes on .*, found 'dire' in the train"
    ):
        Classifier(continue_from=str(runs / "classify")).fit([("a mess", "dire")] * 4, **QUICK)
    with pytest.raises(DataError, match="'X' in the training data"):
        Labeler(continue_from=str(runs / "label")).fit([(["we"], ["X"])] * 4, output=tmp_path / "x", **QUICK)
    few = Classifier(continue_from=str(runs / "classify")).fit(FILMS[:2] * 4, class_weights="balanced", **QUICK)
    assert few.labels == ["bad", "fair", "good"]


def test_what_cannot_go_on(runs, tmp_path):
    with pytest.raises(
        ConfigError, match=r"continue_from: .*label is of the task label, not classify; use `regard train"
    ):
        Classifier(continue_from=str(runs / "label")).fit(FILMS, **QUICK)
    with pytest.raises(ModelError, match="no run folder of a finished training"):
        Classifier(continue_from=str(tmp_path)).fit(FILMS, **QUICK)
