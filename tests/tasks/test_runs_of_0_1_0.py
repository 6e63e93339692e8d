"""Run folders that regard 0.1.0 wrote: opened today they predict what they predicted then, and can be started from.

``runs-0.1.0/make_runs.py`` tells how they were made, and what is in ``expected.json``.
"""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import regard

RUNS = Path(__file__).parent / "runs-0.1.0"
NAMES = sorted(folder.parent.name for folder in RUNS.glob("*/expected.json"))
CLASSES = {
    "label": regard.Labeler,
    "classify": regard.Classifier,
    "transduce": regard.Seq2Seq,
    "pretrain": regard.MaskedModel,
}


@pytest.fixture
def run(request, tmp_path):
    """A copy of a run folder, its weights unpacked where they are not, and what is expected of it."""
    folder = tmp_path / request.param
    shutil.copytree(RUNS / request.param, folder)
    packed = folder / "model.safetensors.gz"
    if packed.is_file():
        (folder / "model.safetensors").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    return folder, json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def these(*tasks):
    """One test for each run of these tasks."""
    return pytest.mark.parametrize("run", [name for name in NAMES if name.split("-")[0] in tasks], indirect=True)


def given(items):
    """Items as a model takes them: a list of vectors as an array."""
    return np.array(items, np.float32) if isinstance(items, list) and isinstance(items[0], list) else items


def inputs_of(expected):
    return [given(items) for items in expected["inputs"]]


def scored_of(expected, task):
    """Labelled examples; raw sequences to pretrain on."""
    if task == "pretrain":
        return [given(items) for items in expected["scored"]]
    return [(given(items), goal) for items, goal in expected["scored"]]


def assert_close(found, expected):
    """Texts are the same, in the same order, and their numbers are close."""
    assert [[text for text, _ in some] for some in found] == [[text for text, _ in some] for some in expected]
    for some, others in zip(found, expected, strict=True):
        assert [number for _, number in some] == pytest.approx([number for _, number in others], rel=1e-5, abs=1e-5)


def test_there_is_one_of_every_task():
    assert {name.split("-")[0] for name in NAMES} == CLASSES.keys()


@these(*CLASSES)
def test_scores_are_those_of_then(run):
    folder, expected = run
    task = folder.name.split("-")[0]
    model = regard.load(folder)
    assert type(model) is CLASSES[task]
    wanted = dict(expected["scores"])
    if "calibration" in wanted:  # which is told as the error itself since
        wanted["calibration_error"] = 1 - wanted.pop("calibration")
    found = model.evaluate(scored_of(expected, task))
    if task == "pretrain":  # other items are hidden since
        assert found.keys() == wanted.keys()
    else:
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    assert model.scores == json.loads((folder / "scores.json").read_text(encoding="utf-8"))


@these("label", "classify")
def test_labels_are_those_of_then(run):
    folder, expected = run
    assert regard.load(folder).predict(inputs_of(expected)) == expected["labels"]


@these("classify")
def test_chances_are_those_of_then(run):
    folder, expected = run
    found = regard.load(folder).probabilities(inputs_of(expected))
    assert_close([row.items() for row in found], [row.items() for row in expected["probabilities"]])


@these("transduce")
def test_new_texts_are_those_of_then(run):
    folder, expected = run
    model = regard.load(folder)
    assert model.predict(expected["inputs"]) == expected["texts"]
    assert model.predict(expected["inputs"], beam=1) == expected["greedy"]
    assert_close(model.candidates(expected["inputs"], top=3), expected["candidates"])


@these("pretrain")
def test_blanks_are_filled_as_they_were_then(run):
    folder, expected = run
    model = regard.load(folder)
    if not expected["inputs"]:  # vectors, which have no blanks
        with pytest.raises(regard.UnsupportedError):
            model.predict(["[MASK]"])
        return
    assert model.predict(expected["inputs"]) == expected["texts"]
    for text, blanks in zip(expected["inputs"], expected["candidates"], strict=True):
        assert_close(model.candidates([text], top=3)[0], blanks)


@these(*CLASSES)
def test_a_new_training_can_start_from_it(run, tmp_path):
    folder, expected = run
    task = folder.name.split("-")[0]
    examples = scored_of(expected, task)
    before, model = regard.load(folder), CLASSES[task](pretrained=str(folder), **options_of(folder.name))
    model.fit(examples, output=tmp_path / "new", epochs=1)
    for name in ("front_end", "dim", "depth", "heads", "positions", "score", "normalizer", "norm"):
        assert getattr(model.config, name) == getattr(before.config, name)
    again = regard.load(tmp_path / "new")
    assert again.evaluate(examples) == model.evaluate(examples)


def options_of(name):
    """What 0.1.0 had to be told beside ``pretrained``: how to read the data, and what is not of the pretrained part."""
    front_end = {"front_end": name.split("-")[1]} if name.endswith(("-words", "-vectors")) else {}
    more = {
        "label-vectors": {"window": (2, 0)},
        "transduce-characters-symbols": {"target_units": "symbols"},
        "transduce-shared": {"target_units": "characters", "shared_vocabulary": True},
    }
    return front_end | more.get(name, {})
