"""Every bad input gets one clear sentence, a non-zero exit, and leaves nothing half-written."""

import gzip
import resource
import shutil

import pytest
from command_line import SENTENCES, TINY, as_conllu, in_shell, without_coverage

from regard.cli import run

GOOD = as_conllu(SENTENCES)
BAD_TRAINING_DATA = {
    "missing file": (None, "train.conllu", (), "train.conllu: expected a file, found nothing of that name"),
    "empty file": (b"", "train.conllu", (), "train.conllu: expected at least one sequence, found an empty file"),
    "wrong column": (GOOD, "train.conllu", ("--column", "upso"), "found 'upso'; did you mean 'upos'?"),
    "column without labels": (
        GOOD,
        "train.conllu",
        ("--column", "xpos"),
        "labels in column xpos, found nothing but '_'",
    ),
    "too few fields": ("1\tWe\t_\tPRON\n\n", "train.conllu", (), "train.conllu:1: expected"),
    "too few columns": ("We O\nfish\n", "train.conll", (), "train.conll:2: expected"),
    "mixed span schemes": ("a B-X\nb E-X\n\nc B-X\nd I-X\n", "train.conll", (), "train.conll:"),
    "undecodable bytes": (
        b"1\tW\xffe\t_\tPRON\t_\t_\t0\troot\t_\t_\n\n",
        "train.conllu",
        (),
        "train.conllu:1: expected UTF-8",
    ),
    "cut gzip": (gzip.compress(GOOD.encode())[:-20], "train.conllu.gz", (), "expected a whole gzip file"),
    "endless sentence": ("word X\n" * 100_000, "train.conll", (), "at most 20000 items"),
}


@pytest.mark.parametrize("case", BAD_TRAINING_DATA)
def test_training_data(case, call, tmp_path):
    content, name, options, sentence = BAD_TRAINING_DATA[case]
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome = call("train", "label", "--train", tmp_path / name, "--output", tmp_path / "run", *TINY, *options)
    assert sentence in outcome.complaint
    assert not (tmp_path / "run").exists()


def test_a_label_that_only_dev_has(call, files, tmp_path):
    (tmp_path / "dev.conllu").write_text(GOOD.replace("VERB", "AUX"))
    outcome = call(
        *("train", "label", "--train", files / "train.conllu", "--dev", tmp_path / "dev.conllu"),
        *("--output", tmp_path / "run", *TINY),
    )
    assert "dev.conllu:3: " in outcome.complaint
    assert "'AUX'" in outcome.complaint
    assert "(or unseen_labels=count-wrong)" in outcome.complaint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_an_endless_sentence_meets_a_trained_model(command, call, trained, tmp_path):
    endless = tmp_path / "endless.conllu"
    endless.write_text(as_conllu([[("word", "NOUN")] * 100_000]))
    assert "endless.conllu" in (complaint := call(command, trained, endless).complaint)
    assert "at most 20000 items" in complaint


def copied(run, place):
    shutil.copytree(run, place)
    return place


@pytest.mark.parametrize("command", ["evaluate", "predict", "info"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing", "empty"])
def test_damaged_weights(command, damage, call, trained, files, tmp_path):
    run = copied(trained, tmp_path / "run")
    weights = run / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "missing":
        weights.unlink()
    else:
        content[-3] ^= 1
        weights.write_bytes({"truncated": content[:-100], "altered": content, "empty": b""}[damage])
    arguments = () if command == "info" else (files / "dev.conllu",)
    assert "model.safetensors: " in call(command, run, *arguments).complaint


@pytest.mark.parametrize("damage", ["config_version = 1", "dim = 32"])
def test_a_config_from_a_newer_version(damage, call, trained, files, tmp_path):
    run = copied(trained, tmp_path / "run")
    newer = {"config_version = 1": "config_version = 99", "dim = 32": "dim = 32\nglow = 3"}[damage]
    (run / "config.toml").write_text((run / "config.toml").read_text().replace(damage, newer, 1))
    complaint = call("evaluate", run, files / "dev.conllu").complaint
    assert "config.toml" in complaint
    assert ("update regard" if "99" in newer else "unknown option 'glow'") in complaint


@pytest.mark.parametrize("damage", ["", "{", '{"task": "label"}', '{"task": "conduct"}', "[]"])
def test_a_damaged_vocabulary(damage, call, trained, tmp_path):
    run = copied(trained, tmp_path / "run")
    (run / "model.json").write_text(damage)
    assert "model.json" in call("info", run).complaint


def test_no_run_folder(call, tmp_path):
    assert "no such run folder" in call("info", tmp_path / "nosuch").complaint
    (tmp_path / "a.csv").write_text("text,label\n")
    assert "a.csv: a file, not a run folder; name the folder" in call("info", tmp_path / "a.csv").complaint
    assert "model.json: no such file" in call("info", tmp_path).complaint


def test_a_finished_run_is_not_overwritten(call, trained, files):
    before = (trained / "model.safetensors").read_bytes()
    outcome = call("train", "label", "--train", files / "train.conllu", "--output", trained, *TINY)
    assert "already holds a run" in outcome.complaint
    assert (trained / "model.safetensors").read_bytes() == before


def limit_files_to(size):
    """As a full disk does, this makes the system refuse to write more; it needs no rights and no disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_while_training(files, tmp_path):
    outcome = in_shell(
        *("train", "label", "--train", files / "train.conllu", "--dev", files / "dev.conllu"),
        *("--output", tmp_path / "run", *TINY),
        preexec_fn=limit_files_to(20_000),
        env=without_coverage(),
    )
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith(f"regard: {tmp_path}/run/")
    assert "file too large" in outcome.err
    assert "Traceback" not in outcome.err
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".safetensors" or ".part" in path.name]


def test_a_full_disk_while_predicting(trained, tmp_path):
    (tmp_path / "in.txt").write_text("We fish for fish .\n" * 300)
    (tmp_path / "out.txt").write_text("from before\n")
    outcome = in_shell(
        *("predict", trained, tmp_path / "in.txt", "--output", tmp_path / "out.txt"),
        preexec_fn=limit_files_to(4_000),
        env=without_coverage(),
    )
    assert f"{tmp_path}/out.txt: cannot be written" in outcome.complaint
    assert (tmp_path / "out.txt").read_text() == "from before\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.txt"]


def test_standard_output_on_a_full_disk(trained, tmp_path):
    (tmp_path / "in.txt").write_text("We fish for fish .\n" * 3)
    with open("/dev/full", "w") as full:
        assert "no space left on device" in in_shell("predict", trained, tmp_path / "in.txt", stdout=full).complaint


def test_memory_that_ends_while_data_are_read(tmp_path, monkeypatch, capsys):
    def read(*_, **__):
        raise MemoryError

    monkeypatch.setattr("regard.data.lines.refuse_binary", read)
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,x\n")
    assert run(["train", "classify", "--train", str(path), "--output", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert "out of memory while data were read; unpack or split the file" in message
    assert "batch-tokens" not in message


@pytest.mark.parametrize("through", ["itself", "link", "hard link"])
def test_what_is_read_is_not_written_over(call, trained, tmp_path, through):
    given, named = tmp_path / "given.csv", tmp_path / ("given.csv" if through == "itself" else "named.csv")
    given.write_text("words,labels\nWe fish,PRON VERB\n")
    if through == "link":
        named.symlink_to(given)
    elif through == "hard link":
        named.hardlink_to(given)
    before = given.read_bytes()
    for arguments, option in (
        (("view", trained, given, "--save", named), "output"),
        (("predict", trained, given, "--output", named), "output"),
        (("evaluate", trained, given, "--errors", named), "errors"),
    ):
        complaint = call(*arguments).complaint
        assert complaint == f"{option}: {named} is read, and would be written over; name another place"
    assert given.read_bytes() == before


def test_an_image_of_a_folder_that_is_read_is_not_written_over(call, trained, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"image")
    for command, option in (("view", "--save"), ("evaluate", "--confusion")):
        complaint = call(command, trained, tmp_path / "images", option, tmp_path / "images" / "a.png").complaint
        assert "a.png is read, and would be written over" in complaint
    assert (tmp_path / "images" / "a.png").read_bytes() == b"image"
    assert "is read" not in call("view", trained, "We " * 3000, "--save", tmp_path / "images" / "a.png").err
