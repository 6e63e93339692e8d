"""A run folder without digests that someone changed by hand: one line that names the file and says what is wrong."""

import json
import math
import shutil

import pytest
from mutations import without_seals
from safetensors.torch import save_file

from regard.tensors import open_tensors

DEEP = "[" * 100_000 + "]" * 100_000


def put(*keys, value):
    """Sets what stands under keys in a JSON document; a whole text takes its place."""

    def change(text):
        document = json.loads(text)
        *above, last = keys
        node = document
        for key in above:
            node = node[key]
        node[last] = value
        return json.dumps(document)

    return change


CASES = {  # the file, what is done to it, and what is said
    "a task that is a list": ("model.json", put("task", value=[]), "task is [], this version knows 'label'"),
    "labels that are no list": ("model.json", put("labels", value="NOUN"), "labels must be a list of different texts"),
    "labels that are numbers": ("model.json", put("labels", value=[1, 2]), "labels must be a list of different texts"),
    "a label twice": ("model.json", put("labels", value=["X", "X"]), "labels must be a list of different texts"),
    "half a character": ("model.json", put("labels", value=["\ud800"]), "surrogates not allowed"),
    "no front end": (
        "model.json",
        put("front_end", value=None),
        "must have the parts features, characters, got NoneType",
    ),
    "a part too many": (
        "model.json",
        put("front_end", "dim", value=7),
        "must have the parts features, characters, got",
    ),
    "counts that are text": ("model.json", put("front_end", "features", value={"a": "1"}), "features of the vocab"),
    "nested": ("model.json", lambda text: DEEP, "lists or objects nested too deeply"),
    "a number of 5,000 digits": ("model.json", lambda text: f'{{"task": {"9" * 5000}}}', "4300 digits"),
    "a score that is text": ("scores.json", put("scores", "regard", "accuracy", value="x"), "scores.regard.accuracy: "),
    "a score that is too large": ("scores.json", put("scores", "regard", "f1", value=10**400), "scores.regard.f1: "),
    "no scores": ("scores.json", lambda text: "{}", "measured_on: field required"),
    "scores of others alone": ("scores.json", put("scores", value={"majority": {}}), "scores: without regard"),
    "no spread of some": ("scores.json", put("spread", value={}), "spread: not of the models that scores has"),
    "half a count": ("scores.json", put("data", "train", "items", value=0.5), "data.train.items: "),
    "data that are a number": ("scores.json", put("data", value=3), "data: "),
    "data of another part": ("scores.json", put("data", "other", value=5), "data.other: "),
    "data of no part": ("scores.json", put("data", value={}), "data: without train"),
    "a label without scores": ("scores.json", put("by_label", value={"NOUN": {}}), "by_label.NOUN.precision: field"),
    "folds that are none": ("scores.json", put("folds", value=[{"scores": {}}]), "folds.0.scores: "),
    "endless training": ("scores.json", put("training", "seconds", value=math.inf), "training.seconds: "),
    "nested options": ("config.toml", lambda text: f"dim = {DEEP}", "nested too deeply"),
    "options that are no text": ("config.toml", lambda text: "dim = [1]", "config.toml:1: dim: "),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_with_the_file(case, call, trained, tmp_path):
    name, change, message = CASES[case]
    run = without_seals(shutil.copytree(trained, tmp_path / "run"))
    (run / name).write_text(change((run / name).read_text()))
    complaint = call("info", run).complaint
    assert complaint.startswith(f"{run / name}:")
    assert message in complaint
    assert len(complaint) < 2200


@pytest.mark.parametrize("options", ["kein JSON", "5", "[]", DEEP])
def test_options_in_the_weights(call, trained, tmp_path, options):
    run = shutil.copytree(trained, tmp_path / "run")
    weights = run / "model.safetensors"
    with open_tensors(weights) as file:
        metadata, tensors = file.metadata, file.read_all()
    del metadata["header"]  # which earlier versions did not write
    save_file(tensors, weights, metadata | {"config": options})
    complaint = call("info", run).complaint
    assert complaint.startswith(f"{weights}: not a whole safetensors file (")
    assert len(complaint) < 2200


def test_names_that_look_like_markup(call, trained, tmp_path):
    run = without_seals(shutil.copytree(trained, tmp_path / "[" / "red]"))
    (run / "scores.json").write_text((run / "scores.json").read_text().replace('"majority label"', '"[/b] :dog:"'))
    assert "[/b] :dog:" in call("info", run).out


@pytest.mark.parametrize("line", ["[]", "{}", '{"kind": "step", "step": "1", "loss": 1}', "9" * 5000, DEEP])
def test_a_journal(trained, files, call, tmp_path, line):
    run = shutil.copytree(trained, tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as journal:
        journal.write(line + "\n")
    data = ("--train", files / "train.conllu", "--dev", files / "dev.conllu")
    outcome = call("train", "label", *data, "--output", run, "--resume")
    assert f"{run / 'metrics.jsonl'}:" in outcome.complaint
    assert "expected a JSON object as training writes it" in outcome.complaint
