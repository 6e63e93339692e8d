"""What would make a resumed training another one is refused by name; what would not is taken."""

import os
import shutil
import signal
import threading
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from regard import Classifier, ConfigError, Labeler, MaskedModel, ModelError, Seq2Seq
from regard.tasks.label.options import LabelConfig
from regard.training.checkpoint import Identity, State, read_checkpoint, write_checkpoint

SMALL = {"dim": 8, "depth": 1, "heads": 2, "front_end": "characters"}
TEXTS = ["one two three four five", "five four", "three two one three two one", "four five one"] * 10
GOALS = ["up", "down", "down", "up"] * 10
OPTIONS = {"epochs": 8, "batch_tokens": 60, "baselines": "none"}
STATE = "resume/state.safetensors"


def examples(task):
    if task is MaskedModel:
        return TEXTS
    if task is Labeler:
        return [(text.split(), ["ODD" if len(word) % 2 else "EVEN" for word in text.split()]) for text in TEXTS]
    return list(zip(TEXTS, GOALS, strict=True))


def write(path, task):
    """The first twelve examples, as a file."""
    some = examples(task)[:12]
    if task is Labeler:
        text = "\n".join("".join(f"{w}\t{label}\n" for w, label in zip(*one, strict=True)) for one in some)
    elif task is MaskedModel:
        text = "\n".join(some)
    else:
        text = "".join("\t".join(one if task is Seq2Seq else one[::-1]) + "\n" for one in some)
    path.write_text(text)
    return path


def fit(task, output, dev=None, **options):
    return task(**SMALL).fit(examples(task), dev, output, **OPTIONS | options)


def interrupt_after_a_checkpoint(output):
    deadline = time.monotonic() + 30
    while not (output / STATE).is_file() and time.monotonic() < deadline:
        time.sleep(0.001)
    if (output / STATE).is_file():
        os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder with the interrupted training of a task; made once, and copied."""
    torch.set_num_threads(1)
    folder, made = tmp_path_factory.mktemp("stopped"), set()

    def stopped(task, place, **options):
        output = folder / "-".join([task.__name__, *map(str, options)])
        dev = write(folder / f"{task.__name__}.tsv", task) if options.pop("with_dev", True) else None
        if output not in made:
            threading.Thread(target=interrupt_after_a_checkpoint, args=[output]).start()
            with pytest.raises(KeyboardInterrupt):
                fit(task, output, dev, checkpoint_seconds=0, **options)
            made.add(output)
        shutil.copytree(output, place)
        return dev

    return stopped


def refused(message, task, output, dev, **options):
    """Nothing of what the first sitting left changes."""
    before = (output / STATE).read_bytes()
    with pytest.raises(ConfigError, match=message):
        fit(task, output, dev, resume=True, **options)
    assert (output / STATE).read_bytes() == before


@pytest.mark.parametrize("task", [Classifier, MaskedModel])
def test_another_longest_cuts_other_windows(stopped, tmp_path, task):
    dev = stopped(task, tmp_path / "run", longest=16)
    refused(r"^longest: .* was trained with 16, now 12", task, tmp_path / "run", dev, longest=12)


@pytest.mark.parametrize("task", [Labeler, Classifier, Seq2Seq, MaskedModel])
def test_another_dev_set_keeps_other_weights(stopped, tmp_path, task):
    stopped(task, tmp_path / "run")
    for other in (examples(task)[:3], None):
        refused("^dev: ", task, tmp_path / "run", other)


def test_another_label_in_the_dev_set_does_too(stopped, tmp_path):
    dev = stopped(Labeler, tmp_path / "run")
    (tmp_path / "other.tsv").write_text(dev.read_text().replace("five\tEVEN", "five\tODD"))
    assert (tmp_path / "other.tsv").read_text() != dev.read_text()
    refused("^dev: ", Labeler, tmp_path / "run", tmp_path / "other.tsv")


def test_a_dev_set_where_there_was_none_does_too(stopped, tmp_path):
    stopped(Classifier, tmp_path / "run", with_dev=False)
    refused("^dev: ", Classifier, tmp_path / "run", examples(Classifier)[:3])


@pytest.mark.parametrize("task", [Labeler, MaskedModel])
def test_a_dev_file_of_the_same_content_may_have_another_name(stopped, tmp_path, task):
    dev = stopped(task, tmp_path / "run")
    shutil.copyfile(dev, tmp_path / "renamed.tsv")
    fit(task, tmp_path / "run", tmp_path / "renamed.tsv", resume=True)
    fit(task, tmp_path / "whole", dev)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "whole"))
    assert len(one) > 0
    assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def test_an_interrupted_training_is_told_of_before_a_file_is_read(stopped, tmp_path):
    stopped(Labeler, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"^output: .* holds an interrupted training; resume it"):
        Labeler(**SMALL).fit(tmp_path / "nowhere.tsv", output=tmp_path / "run")


def read_again(output, identity=None):
    """What a checkpoint of no training tells, written with an identity and read with its own."""
    own = Identity(LabelConfig().model_dump(mode="json"), "data", 1, "dev")
    (output / "resume").mkdir(exist_ok=True)
    write_checkpoint(output, State(step=3), {"network.a": torch.ones(3)}, own if identity is None else identity(own))
    return lambda: read_checkpoint(output, own, lambda file: None)


def test_a_checkpoint_is_of_this_version(tmp_path, monkeypatch):
    assert read_again(tmp_path)().step == 3
    monkeypatch.setattr("regard.training.checkpoint.VERSION", 99)
    read = read_again(tmp_path)
    monkeypatch.undo()
    with pytest.raises(
        ModelError, match=r"state.safetensors: version 99, this regard knows \d; resume with the one that"
    ):
        read()


def test_a_checkpoint_that_tells_of_no_training_is_refused(tmp_path):
    with pytest.raises(ModelError, match="what it tells of its training was altered; name another output"):
        read_again(tmp_path, lambda own: replace(own, config=[]))()
