"""`regard train label`: flags, files of options, what it prints, stopping and going on."""

import json
import re
import signal

import pytest
import torch
import typer
from command_line import SENTENCES, SMALL, TINY, as_conllu
from forked import Forked
from safetensors.torch import load_file

from regard import Labeler
from regard.cli.app import FLAGS, gather, parse_window, parse_windows
from regard.errors import ConfigError
from regard.tasks import TASKS
from regard.tasks.label.options import LabelConfig
from regard.training.config import panel_of


@pytest.mark.parametrize("task", TASKS)
def test_every_option_has_a_flag_in_its_panel(call, monkeypatch, task):
    monkeypatch.setenv("COLUMNS", "200")
    shown = call("train", task, "--help").out
    panels = {panel: shown.index(f"─ {panel} ") for panel in ("Data", "Reading", "Network", "Training")}
    for name in TASKS[task].config.model_fields:
        flag = FLAGS[name][0].removeprefix("--") if name in FLAGS else name.replace("_", "-")
        place = re.search(rf"│ --{flag}\W", shown).start()
        assert panel_of(TASKS[task].config, name) == max(
            (p for p in panels if panels[p] < place), key=panels.__getitem__
        )
    assert "Number of layers. [default: 3]" in " ".join(shown.split())
    assert "What looks at the sequence (attention, pointwise, sliding, convolution)." in " ".join(shown.split())


def test_a_file_of_options_equals_the_flags(call, files, tmp_path):
    options = {"dim": 16, "depth": 1, "heads": 2, "epochs": 1, "window": [2, 0], "causal": True, "dropout": 0.9}
    options["train"] = str(files / "train.conllu")
    (tmp_path / "run.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))
    runs = tmp_path / "by-file", tmp_path / "by-flags"
    from_file = ("--config", tmp_path / "run.toml", "--dropout", 0.3)  # the default, but typed, so it wins
    flags = ("--train", options["train"], "--dim", 16, "--depth", 1, "--heads", 2, "--epochs", 1, "--window", "2,0")
    assert call("train", "label", *from_file, "--output", runs[0]).code == 0
    assert call("train", "label", *flags, "--causal", "--output", runs[1]).code == 0
    first, second = (load_file(run / "model.safetensors") for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


def test_a_flag_wins_over_the_file(tmp_path):
    (tmp_path / "run.toml").write_text('train = "a"\noutput = "b"\ndim = 8\nwindow = 3\n')
    flags = {"dim": 16, "window": None}
    options = gather(LabelConfig, flags, config=str(tmp_path / "run.toml"), resume=False)
    assert options == {"train": "a", "output": "b", "dim": 16, "window": None}


@pytest.mark.parametrize("name", ["train", "output"])
def test_what_is_required(name):
    with pytest.raises(ConfigError, match=f"^{name}: required; give --{name}"):
        gather(LabelConfig, {"train": "a", "output": "b"} | {name: None}, config=None, resume=False)


def test_an_unknown_key_is_refused_with_the_nearest(call, tmp_path):
    (tmp_path / "run.toml").write_text("dim = 16\nepoch = 3\n")
    complaint = call("train", "label", "--config", tmp_path / "run.toml").complaint
    assert complaint == f"{tmp_path}/run.toml:2: unknown option 'epoch'; did you mean 'epochs'?"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("train", "label", "--epoch", "3"),
            "No such option: --epoch; did you mean --epochs? (see: regard train label",
        ),
        (("train", "lable"), "No such command 'lable'. Did you mean 'label'? (see: regard train --help)"),
        (("evalute",), "No such command 'evalute'. Did you mean 'evaluate'? (see: regard --help)"),
        (("evaluate", "runs/pos"), "Missing argument"),
        (("train", "label", "--encoder", "pointwize"), "'pointwize' is not one of 'attention', 'pointwise'"),
        (("train", "label", "--dim", "wide"), "Invalid value for '--dim'"),
        (
            ("train", "label", "--window", "2,x"),
            "or UP,DOWN,LEFT,RIGHT), or none; got '2,x'",
        ),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(arguments, sentence, call):
    outcome = call(*arguments)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert sentence in outcome.err


def test_a_group_alone_shows_its_help(call):
    outcome = call("train")
    assert "label" in outcome.out + outcome.err
    assert outcome.code == 2


def test_values_out_of_range_are_told_by_name(call):
    complaint = call("train", "label", "--train", "a", "--output", "b", "--dropout", "1.5").complaint
    assert complaint.startswith("dropout: ")
    assert "1.5" in complaint


def test_the_windows_that_can_be_typed():
    assert [parse_window(text) for text in ("none", "0", "8,2", "all,0")] == [None, 0, (8, 2), (None, 0)]
    for text in ("", "1,2,3", "all", "x"):
        with pytest.raises(typer.BadParameter, match=f"got '{text}'"):
            parse_window(text)
    assert parse_windows("64,16/64,0/none/all,0/3") == ((64, 16), (64, 0), None, (None, 0), 3)


def test_a_window_for_each_layer(call, files, tmp_path):
    data = ("--train", files / "train.conllu", "--output", tmp_path / "run", "--baselines", "none")
    options = ("--dim", 8, "--depth", 2, "--epochs", 1, "--windows", "2,1/0")
    assert call("train", "label", *data, *options, "--window", 3).complaint.startswith("windows has one for each layer")
    assert call("train", "label", *data, *options).code == 0
    assert "\nwindows = [[2, 1], 0]\n" in (tmp_path / "run" / "config.toml").read_text()
    assert "windows 2 left, 1 right; 0 left, 0 right" in (tmp_path / "run" / "README.md").read_text()
    shown = call("info", tmp_path / "run").out
    assert "receptive field 4 vectors; look-ahead 1 vector\n" in shown


def test_the_end_tells_scores_and_what_next(call, files, tmp_path):
    output, dev = tmp_path / "run", files / "dev.conllu"
    outcome = call("train", "label", "--train", files / "train.conllu", "--dev", dev, "--output", output, *TINY)
    assert outcome.code == 0
    for text in ("accuracy", "regard", "majority label", "most frequent label per word", f"{output} holds the model"):
        assert text in outcome.out
    assert f"regard evaluate {output} {dev}\n" in outcome.out
    assert f"regard predict {output} INPUT\n" in outcome.out


def test_the_end_for_machines(call, files, tmp_path):
    data = ("--train", files / "train.conllu", "--output", tmp_path / "run")
    outcome = call("train", "label", *data, "--dim", 8, "--depth", 1, "--epochs", 1, "--json")
    told = json.loads(outcome.out)
    assert told["output"] == str(tmp_path / "run")
    assert told["measured_on"] == "train"
    assert set(told["scores"]) == {"regard", "majority label", "most frequent label per word"}


def test_ctrl_c_stops_cleanly_and_resume_needs_only_the_folder(call, tmp_path):
    (tmp_path / "train.conllu").write_text(as_conllu(SENTENCES * 100))
    output = tmp_path / "run"
    data = ["--train", tmp_path / "train.conllu", "--output", output]
    journal = output / "metrics.jsonl"
    with Forked("-m", "regard", "train", "label", *data, *SMALL, "--epochs", "5") as training:
        training.until(lambda: journal.is_file() and journal.stat().st_size)
        training.send(signal.SIGINT)
        assert training.end() == 130
    assert training.err.splitlines()[-1] == f"stopped; to go on: regard train label --resume --output {output}"
    assert "Traceback" not in training.err
    resumed = call("train", "label", "--resume", "--output", output)
    assert resumed.code == 0
    assert "going on from step" in resumed.err


def test_quiet_says_nothing_but_warnings_errors_and_what_was_asked_for(call, files, tmp_path, caplog):
    data = ("--train", files / "train.conllu", "--dev", files / "dev.conllu", "--quiet", *SMALL, "--epochs", 2)
    outcome = call("train", "label", *data, "--output", tmp_path / "run")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    outcome = call("train", "label", *data, "--output", tmp_path / "run", "--resume")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    folds = ("--train", files / "train.conllu", "--folds", 2, "--quiet", *SMALL, "--epochs", 2)
    outcome = call("train", "label", *folds, "--output", tmp_path / "folds")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    told = json.loads(call("train", "label", *data, "--output", tmp_path / "other", "--json").out)
    assert told["scores"].keys() > {"regard"}
    assert call("train", "label", *data, "--output", tmp_path / "run").complaint.startswith("output: ")
    spam = tmp_path / "spam.csv"
    spam.write_text("text,label\nbuy,spam\nbuy now,spam\n")
    call("train", "classify", "--train", spam, "--output", tmp_path / "spam", "--quiet", *SMALL, "--epochs", 2)
    assert "all training data has one label, 'spam'" in caplog.text


def test_quiet_in_python(capfd):
    model = Labeler(dim=8, depth=1, heads=2)
    model.fit([(["we", "saw"], ["PRON", "VERB"])] * 4, epochs=1, baselines="none", quiet=True)
    assert capfd.readouterr() == ("", "")
