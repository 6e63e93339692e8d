"""Going on with a finished model, head and all."""

import pytest
import torch

import regard
from regard import Classifier, ConfigError, DataError, Labeler, MaskedModel, ModelError, Seq2Seq, Transcriber

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
