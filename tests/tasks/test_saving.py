"""A model that was fitted without a run folder, saved into one afterwards."""

import json

import numpy as np
import pytest
from pictures import shape
from sounds import tone

import regard
from regard import Classifier, Labeler, MaskedModel, RegardError, Seq2Seq, Transcriber
from regard.cli import run

SMALL = {"dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 1, "average": 0, "baselines": "none"}
PAIRS = [("abc", "A B"), ("bac", "B A")] * 4
SYMBOLS = {"front_end": "characters", "target_units": "symbols"}
MASKS = [(shape(name), (shape(name) > 128).astype(np.uint8)) for name in ("bar", "dot")]
TASKS = {
    "label": (Labeler, {"front_end": "words"}, [(["we", "saw"], ["PRON", "VERB"])] * 4),
    "classify": (Classifier, {"front_end": "words"}, [("a fine film", "good"), ("a dull film", "bad")] * 4),
    "arrays": (Classifier, {"front_end": "vectors"}, [(np.ones((3, 2)), "x"), (np.zeros((5, 2)), "y")] * 4),
    "sound": (Classifier, {"front_end": "audio"}, [((tone("low"), 8000), "x"), ((tone("high"), 8000), "y")] * 2),
    "images": (Labeler, {"front_end": "patches", "patch_size": 2}, MASKS),
    "transduce": (Seq2Seq, SYMBOLS, PAIRS),
    "transcribe": (Transcriber, SYMBOLS, PAIRS),
    "pretrain": (MaskedModel, {"front_end": "symbols"}, ["one two three", "two three four"] * 4),
}


@pytest.mark.parametrize("name", TASKS)
def test_what_is_saved_is_the_model(name, tmp_path, capsys):
    kind, options, data = TASKS[name]
    model = kind(**SMALL, **options).fit(data, data, **QUICK)
    assert model.save(tmp_path / "new" / "run") == tmp_path / "new" / "run"
    opened = regard.load(tmp_path / "new" / "run")
    assert opened.scores == model.scores
    assert opened.evaluate(data) == model.evaluate(data)
    if name != "pretrain":
        items = [items for items, _ in data]
        assert str(opened.predict(items)) == str(model.predict(items))
    assert run(["info", str(tmp_path / "new" / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["dev"]["sequences"] == len(data)
    card = (tmp_path / "new" / "run" / "README.md").read_text()
    assert card.startswith("# run: ")
    assert f"Trained with regard on {len(data)} sequences (" in card
    assert f"regard evaluate {tmp_path / 'new' / 'run'} FILE" in card
    assert opened.config.output == str(tmp_path / "new" / "run")


def test_saved_is_what_a_training_into_a_folder_leaves_but_for_its_course(tmp_path):
    kind, options, data = TASKS["classify"]
    kind(**SMALL, **options).fit(data, output=tmp_path / "whole", **QUICK)
    kind(**SMALL, **options).fit(data, **QUICK).save(tmp_path / "saved")
    of_the_course = {"metrics.jsonl", "loss.png", ".regard-lock", "confusion.png", "calibration.png"}
    names = {path.name for path in (tmp_path / "whole").iterdir()} - of_the_course
    assert {path.name for path in (tmp_path / "saved").iterdir()} == names
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "saved" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    regard.load(tmp_path / "whole").save(tmp_path / "copy")
    assert regard.load(tmp_path / "copy").scores == regard.load(tmp_path / "whole").scores
    assert Classifier(continue_from=str(tmp_path / "saved")).fit(data, **QUICK).labels == ["bad", "good"]


def test_nothing_is_written_over_and_nothing_half(tmp_path, monkeypatch):
    kind, options, data = TASKS["classify"]
    with pytest.raises(RegardError, match=r"this Classifier has no network yet: call fit"):
        Classifier().save(tmp_path / "none")
    model = kind(**SMALL, **options).fit(data, **QUICK)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(RegardError, match=r"full: cannot be written, something is there already; name a new folder"):
        model.save(tmp_path / "full")
    with pytest.raises(RegardError, match=r"notes.txt: cannot be written"):
        model.save(tmp_path / "full" / "notes.txt")
    model.save(tmp_path / "run")
    with pytest.raises(RegardError, match="run: cannot be written, something is there already"):
        model.save(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    model.save(str(tmp_path / "empty"))
    assert regard.load(tmp_path / "empty").labels == ["bad", "good"]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regard.tasks.saving.write_scores", full)
    with pytest.raises(RegardError):
        model.save(tmp_path / "half")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full", "run"]
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["notes.txt"]
