"""Every command that is printed for the user to type next is one that works."""

import json
import os
import re
import shlex
import signal
import threading
import time

import numpy as np
import pytest
from command_line import SENTENCES, as_conllu

import regard

TINY = ("--dim", 8, "--depth", 1, "--heads", 2, "--average", 0, "--batch-tokens", 40)
FILMS = [("a fine film", "good"), ("what a bore", "bad")] * 6
VECTORS = [np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32) for seed in range(6)]


@pytest.fixture
def data(tmp_path):
    rows = "".join(f"{text},{label}\n" for text, label in FILMS)
    contents = {
        **dict.fromkeys(("films.csv", "films", "some films.csv"), f"text,label\n{rows}"),
        **dict.fromkeys(("tagged.conllu", "tagged"), as_conllu(SENTENCES * 4)),
        **dict.fromkeys(("a.src", "in.txt"), "".join(f"{text}\n" for text, _ in FILMS)),
        "a.tgt": "".join(f"{label}\n" for _, label in FILMS),
        "pairs.tsv": "".join(f"{text}\t{label}\n" for text, label in FILMS),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    np.savez(tmp_path / "raw.npz", vectors=np.concatenate(VECTORS), offsets=np.arange(0, 25, 4))
    return tmp_path


LETTERS = ("--front-end", "characters")
PAIRS = ("transduce", *LETTERS, "--target-units", "characters")
# What is trained: its options, the training file, and more files by option.
CASES = {
    "label": (("label",), "tagged.conllu", {}),
    "label, dev": (("label",), "tagged.conllu", {"dev": "tagged.conllu"}),
    "label, no telling ending": (("label", "--format", "conllu"), "tagged", {"dev": "tagged"}),
    "classify": (("classify", *LETTERS), "films.csv", {}),
    "classify, no telling ending": (("classify", *LETTERS, "--format", "csv"), "films", {"dev": "films"}),
    "classify, blanks in names": (("classify", *LETTERS), "films.csv", {"dev": "some films.csv"}),
    "transduce": (PAIRS, "pairs.tsv", {}),
    "transduce, two files": (PAIRS, "a.src", {"train-target": "a.tgt"}),
    "transduce, four files": (PAIRS, "a.src", {"train-target": "a.tgt", "dev": "a.src", "dev-target": "a.tgt"}),
    "transcribe": (("transcribe", *PAIRS[1:]), "pairs.tsv", {}),
    "transcribe, two files": (("transcribe", *PAIRS[1:]), "a.src", {"train-target": "a.tgt"}),
    "pretrain": (("pretrain", *LETTERS), "in.txt", {}),
    "pretrain, dev": (("pretrain", "--front-end", "words"), "in.txt", {"dev": "in.txt"}),
    "pretrain, vectors": (("pretrain", "--front-end", "vectors"), "raw.npz", {}),
}


def commands(text):
    """What stands after `regard` in each line that is a command, taken apart as a shell does."""
    return [shlex.split(line)[1:] for line in re.findall(r"regard (?:train|evaluate|predict) .*", text)]


def check(call, printed, data, train, least=2):
    """All the commands work, placeholders filled in; at least so many are printed. What the last one said."""
    found = commands(printed)
    assert len(found) >= least, printed
    given = data / ("raw.npz" if train == "raw.npz" else "in.txt")
    names = {"FILE": data / train, "INPUT": given, "TARGET": data / "a.tgt"}
    said = ""
    for command in found:
        outcome = call(*(names.get(part, part) for part in command))
        assert outcome.code == 0, (command, outcome.err)
        said = outcome.err
    return said


def arguments(data, case, output):
    options, train, more = CASES[case]
    files = [part for name, file in more.items() for part in (f"--{name}", data / file)]
    return train, ("train", *options, "--train", data / train, *files, "--output", output, *TINY)


@pytest.mark.parametrize("case", CASES)
def test_what_training_and_its_card_print(call, data, case):
    run = data / ("my run" if "blanks" in case else "run")
    train, command = arguments(data, case, run)
    trained = call(*command, "--epochs", 1)
    assert trained.code == 0, trained.err
    least = 1 if "vectors" in case else 2  # vectors hold no blank to fill
    check(call, trained.out.partition("next:")[2], data, train, least)
    check(call, (run / "README.md").read_text().partition("## Use")[2], data, train, least)


@pytest.mark.parametrize("case", ["pretrain", "pretrain, vectors"])
def test_a_pretraining_is_evaluated(call, data, case):
    train, command = arguments(data, case, data / "run")
    assert call(*command, "--epochs", 1).code == 0
    told = call("evaluate", data / "run", data / train, "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out) == regard.load(data / "run").evaluate(data / train)
    refused = call("evaluate", data / "run", data / train, "--column", "upos").complaint
    assert refused == "column: a pretrain model has no such option; leave it out"


def interrupt_after_a_checkpoint(output):
    deadline = time.monotonic() + 30
    while not (state := output / "resume" / "state.safetensors").is_file() and time.monotonic() < deadline:
        time.sleep(0.001)
    if state.is_file():
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("case", "folder"),
    [
        ("label", "my run"),
        ("classify", "run"),
        ("transduce, two files", "run"),
        ("pretrain", "run"),
    ],
)
def test_what_an_interrupted_training_prints(call, data, case, folder):
    train, command = arguments(data, case, data / folder)
    threading.Thread(target=interrupt_after_a_checkpoint, args=[data / folder]).start()
    stopped = call(*command, "--epochs", 12, "--checkpoint-seconds", 0)
    assert stopped.code == 130, stopped.err
    assert "going on from step" in check(call, stopped.err.partition("to go on:")[2], data, train, 1)


def test_what_a_training_prints_that_was_interrupted_while_it_read(call, data, monkeypatch):
    """There is nothing yet to go on from."""

    def interrupted(self, *arguments, **options):
        raise KeyboardInterrupt

    train, command = arguments(data, "label", data / "run")
    with monkeypatch.context() as patch:
        patch.setattr(regard.Labeler, "fit", interrupted)
        stopped = call(*command)
    assert stopped.code == 130
    check(call, stopped.err, data, train, 0)
