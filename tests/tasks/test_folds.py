"""Folds: scores of networks that never saw what they are scored on, and a training of them that is stopped anywhere."""

import json
import statistics

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from regard import Classifier, Labeler, Seq2Seq, load
from regard.data import read
from regard.data.parts import folds
from regard.errors import ConfigError, DataError, ModelError
from regard.tasks import fitting
from regard.tasks import folds as by_folds
from regard.training.checkpoint import is_interrupted

SMALL = {"dim": 8, "depth": 1, "heads": 1}
TEXTS = [(f"word {number} {'good' if number % 3 else 'bad'}", "-+"[bool(number % 3)]) for number in range(30)]


def fit(output=None, **options):
    options = {"folds": 3, "epochs": 2, "batch_tokens": 100} | options
    return Classifier(front_end="characters", **SMALL).fit(TEXTS, output=output, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(folder)
    return folder


def scores_in(folder):
    return json.loads((folder / "scores.json").read_text())


def weights_in(folder):
    return (folder / "model.safetensors").read_bytes()


def test_scores_are_means_over_the_folds(whole):
    scores = scores_in(whole)
    assert scores["measured_on"] == "3 folds of train, seed 1"
    own = [fold["scores"]["regard"]["accuracy"] for fold in scores["folds"]]
    assert scores["scores"]["regard"]["accuracy"] == pytest.approx(statistics.mean(own))
    assert scores["spread"]["regard"]["accuracy"] == pytest.approx(np.std(own, ddof=1))
    examples = read(TEXTS, goal="label")
    gold = np.array([example.goal for example in examples])
    parts = folds(examples, 3, goal="label", seed=1)
    assert [fold["examples"] for fold in scores["folds"]] == [len(part) for part in parts]
    for fold, part in zip(scores["folds"], parts, strict=True):
        rest = np.setdiff1d(np.arange(30), part)
        theirs = DummyClassifier().fit(rest[:, None], gold[rest]).score(part[:, None], gold[part])
        assert fold["scores"]["majority label"]["accuracy"] == pytest.approx(theirs)


def test_the_card_tells_of_them_and_the_model_was_trained_on_all(whole):
    card = (whole / "README.md").read_text()
    assert "Trained with regard on 30 sequences" in card
    assert "## Scores on 3 folds of train, seed 1" in card
    assert "no dev data" in card
    assert card.count("| fold ") == 3
    row = scores_in(whole)
    mean, spread = (100 * row[name]["regard"]["accuracy"] for name in ("scores", "spread"))
    assert f"| regard | {mean:.2f} ± {spread:.2f} % |" in card
    one = dict(fit(folds=None).network.state_dict())
    assert all((one[name] == tensor).all() for name, tensor in load(whole).network.state_dict().items())
    assert not (whole / "fold").exists()
    assert load(whole).scores == {name: value for name, value in row.items() if name != "sha256"}


def stopped_at(number, monkeypatch, name):
    """The function of that name ends the training at its n-th call, as a kill would."""
    calls, done = [], getattr(by_folds, name)

    def stop(*arguments, **options):
        calls.append(number)
        if len(calls) == number:
            raise KeyboardInterrupt
        return done(*arguments, **options)

    monkeypatch.setattr(by_folds, name, stop)


@pytest.mark.parametrize(
    ("name", "number"), [("_scores_without", 2), ("_run_of", 2), ("_run_of", 3), ("write_scores", 1)]
)
def test_a_training_that_was_stopped_goes_on(name, number, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        stopped_at(number, broken, name)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"interrupted training|already holds a run"):
        fit(tmp_path / "run")
    again = []
    learn = fitting.learn
    monkeypatch.setattr(
        fitting, "learn", lambda *some, **options: again.append(len(some[1])) or learn(*some, **options)
    )
    fit(tmp_path / "run", resume=True)
    assert again == {"_scores_without": [20, 20, 30], "write_scores": [30]}.get(name, [20] * (4 - number) + [30])
    assert scores_in(tmp_path / "run")["folds"] == scores_in(whole)["folds"]
    assert weights_in(tmp_path / "run") == weights_in(whole)


def test_the_fold_that_was_running_goes_on_where_it_was(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("regard.training.loop._Run.log", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run", checkpoint_seconds=0)
    assert is_interrupted(tmp_path / "run" / "fold" / "1")
    fit(tmp_path / "run", resume=True)
    assert scores_in(tmp_path / "run")["folds"] == scores_in(whole)["folds"]
    assert not (tmp_path / "run" / "fold").exists()


def test_resuming_is_refused_with_what_would_change_it(whole, tmp_path):
    with pytest.raises(ConfigError, match=r"folds: .* was trained with 3, now 4"):
        fit(whole, resume=True, folds=4)
    with pytest.raises(ConfigError, match=r"baselines: .* was trained with 'simple', now 'none'"):
        fit(whole, resume=True, baselines="none")
    with pytest.raises(ConfigError, match=r"folds: .* was trained with 3, now None"):
        fit(whole, resume=True, folds=None)
    fit(tmp_path / "plain", folds=None)
    before = (tmp_path / "plain" / "config.toml").read_bytes()
    with pytest.raises(ConfigError, match=r"folds: .* was trained without, now with some"):
        fit(tmp_path / "plain", resume=True)
    assert (tmp_path / "plain" / "config.toml").read_bytes() == before


def test_an_altered_file_of_folds_is_refused(tmp_path):
    fit(tmp_path / "run", folds=2, epochs=1, baselines="none")
    path = tmp_path / "run" / "folds.json"
    path.write_text(path.read_text().replace('"examples": 15', '"examples": 16'))
    with pytest.raises(ModelError, match=r"folds.json: not what was saved"):
        fit(tmp_path / "run", folds=2, epochs=1, baselines="none", resume=True)


def test_dev_data_are_refused_beside_folds():
    for dev in (TEXTS, 0.1):
        with pytest.raises(ConfigError, match="folds: each is scored on its own part of train, got dev data too"):
            fit(dev=dev)


def test_data_that_are_refused_leave_nothing(tmp_path):
    with pytest.raises(DataError, match="where learned positions end"):
        Labeler(**SMALL, positions="learned", position_reach=4).fit(
            [(["a"] * 5, ["X"] * 5), (["b"], ["X"])], folds=2, output=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_a_label_of_one_example_and_other_tasks():
    quick = {"folds": 2, "epochs": 1, "baselines": "none"}
    model = Classifier(front_end="characters", **SMALL).fit([*TEXTS, ("odd", "?")], **quick)
    assert model.labels == ["+", "-", "?"]
    words = [(["a", "b", str(number)], ["X", "Y", f"Z{number}"]) for number in range(6)]
    scores = Labeler(**SMALL).fit(words, **quick).scores
    assert scores["scores"]["regard"]["accuracy"] <= 2 / 3
    pairs = [(f"ab {number}", f"A B {number}") for number in range(10)]
    model = Seq2Seq(front_end="characters", target_units="symbols", **SMALL).fit(pairs, **quick)
    assert model.scores["measured_on"] == "2 folds of train, seed 1"
