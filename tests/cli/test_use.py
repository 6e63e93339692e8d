"""`evaluate`, `predict`, `info` and `view` on a trained run folder."""

import gzip
import json
import re
import shutil

import pytest
from command_line import SENTENCES, as_conllu, in_shell

import regard
from regard.tasks.label.options import LabelConfig


def test_evaluate(call, trained, files):
    shown = call("evaluate", trained, files / "dev.conllu").out
    assert "accuracy" in shown
    assert "100.00 %" in shown
    scores = json.loads(call("evaluate", trained, files / "dev.conllu", "--json").out)
    assert scores == regard.load(trained).evaluate(files / "dev.conllu", by_label=True)
    assert all(row["f1"] == 1.0 for row in scores["by_label"].values())


def test_labels_that_training_never_had_can_count_as_wrong(call, trained, tmp_path):
    (tmp_path / "dev.conllu").write_text(as_conllu(SENTENCES).replace("VERB", "AUX"))
    assert "dev.conllu:3: " in call("evaluate", trained, tmp_path / "dev.conllu").complaint
    counted = call("evaluate", trained, tmp_path / "dev.conllu", "--unseen-labels", "count-wrong", "--json")
    assert json.loads(counted.out)["accuracy"] == 0.8


def test_conllu_in_gives_the_same_conllu_out(call, trained, files):
    content = (files / "dev.conllu").read_text()
    assert call("predict", trained, files / "dev.conllu").out == content


@pytest.mark.parametrize("name", ["blank.conllu", "blank.conllu.gz"])
def test_labels_are_filled_in_and_all_else_stays(name, call, trained, tmp_path):
    gold = "# text = We fish\n1-2\tWe'sh\t_\t_\t_\t_\t_\t_\t_\tx=1\n" + as_conllu(SENTENCES).split("\n", 1)[1]
    blank = gold.replace("PRON", "_").replace("VERB", "X")
    (tmp_path / name).write_bytes(gzip.compress(blank.encode()) if name.endswith("gz") else blank.encode())
    assert call("predict", trained, tmp_path / name, "--output", tmp_path / "out.conllu").out == ""
    assert (tmp_path / "out.conllu").read_text() == gold


def test_text_has_one_line_for_each_line(call, trained, tmp_path):
    (tmp_path / "in.txt").write_text("We fish for fish .\n\n\nI saw a saw .")
    shown = call("predict", trained, tmp_path / "in.txt").out
    assert shown == "We/PRON fish/VERB for/ADP fish/NOUN ./PUNCT\n\n\nI/PRON saw/VERB a/DET saw/NOUN ./PUNCT\n"


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        ("tsv", "I\tPRON\nsaw\tVERB\na\tDET\nsaw\tNOUN\n\n"),
        ("csv", "words,labels\nI saw a saw,PRON VERB DET NOUN\n"),
    ],
)
def test_other_formats_on_request(format, shown, call, trained, tmp_path):
    (tmp_path / "in.txt").write_text("I saw a saw\n")
    assert call("predict", trained, tmp_path / "in.txt", "--output-format", format).out == shown


def test_json_for_machines(call, trained, tmp_path):
    (tmp_path / "in.txt").write_text("I saw\n\n")
    lines = call("predict", trained, tmp_path / "in.txt", "--json").out.splitlines()
    assert [json.loads(line)["words"] for line in lines] == [["I", "saw"], []]
    answers = [json.loads(line) for line in lines]
    assert answers[0]["labels"] == ["PRON", "VERB"]
    assert all(0 < score <= 1 for score in answers[0]["scores"])
    assert len(answers[0]["scores"]) == 2
    assert [len(json.loads(line)["labels"]) for line in lines] == [2, 0]


def test_a_format_that_does_not_exist(call, trained, files, tmp_path):
    assert "conlu" in call("predict", trained, files / "dev.conllu", "--output-format", "conlu").complaint
    assert "did you mean 'conllu'" in call("evaluate", trained, files / "dev.conllu", "--format", "conlu").complaint


def test_a_device_that_this_machine_lacks(call, trained, files):
    assert "got 'gpu'" in call("evaluate", trained, files / "dev.conllu", "--device", "gpu").complaint


def test_more_sequences_than_fit_in_one_go_keep_their_order(call, trained, tmp_path):
    lines = [f"We fish for {'fish ' * (number % 7)}." for number in range(3000)]
    (tmp_path / "in.txt").write_text("\n".join(lines))
    shown = call("predict", trained, tmp_path / "in.txt").out.splitlines()
    assert [" ".join(pair.rpartition("/")[0] for pair in line.split()) for line in shown] == lines


def test_another_window_than_in_training(call, trained, files):
    told = [
        json.loads(call("evaluate", trained, files / "dev.conllu", "--json", *more).out)["accuracy"]
        for more in ((), ("--window", "none"), ("--window", "0"), ("--windows", "0"))
    ]
    assert told[0] == told[1] > told[2] == told[3]
    assert (
        call("predict", trained, files / "dev.conllu", "--window", "0").out
        != call("predict", trained, files / "dev.conllu").out
    )
    assert call("evaluate", trained, files / "dev.conllu", "--windows", "1/1").complaint.startswith(
        "windows must have one for each of the 1 layers, got 2"
    )
    outcome = call("evaluate", trained, files / "dev.conllu", "--window", "x")
    assert (outcome.code, "a window is W, or LEFT,RIGHT" in outcome.err) == (2, True)


def test_info(call, trained):
    shown = call("info", trained).out
    for text in ("6 labels", "dim = 32", "majority label", "parameters"):
        assert text in shown
    assert "trained on " in shown
    assert "  dropout = " in call("info", trained, "--all").out
    assert "  window = unset\n" in call("info", trained, "--all").out
    assert not re.search(r"  (patch_size|window|encoding|learns) = ", shown)
    told = json.loads(call("info", trained, "--json").out)
    assert told["config"]["dim"] == 32
    assert told["config"].keys() == LabelConfig.model_fields.keys()
    assert told["scores"]["regard"]["accuracy"] == 1.0
    assert told["names"] == sorted({label for sentence in SENTENCES for _, label in sentence})


def test_view(call, trained, tmp_path):
    outcome = call("view", trained, "I saw a saw", "-o", tmp_path / "page.html")
    assert outcome.out == f"{tmp_path / 'page.html'}\n"
    assert 'id="meta">{"version":1' in (tmp_path / "page.html").read_text()
    assert "output: must end in" in call("view", trained, "I saw a saw", "-o", tmp_path / "page.gif").complaint


def test_view_of_a_sequence_in_a_file(call, trained, files, tmp_path):
    first, typed = tmp_path / "first.png", tmp_path / "typed.png"
    assert call("view", trained, files / "dev.conllu", "--number", 1, "-o", first).code == 0
    assert call("view", trained, "We fish for fish .", "-o", typed).code == 0
    assert first.read_bytes() == typed.read_bytes()
    unnamed = call("view", trained, files / "dev.conllu", "-o", first)
    assert unnamed.err == f"the first sequence of {files / 'dev.conllu'}; --number N draws another\n"
    assert first.read_bytes() == typed.read_bytes()
    complaint = call("view", trained, files / "dev.conllu", "--number", 999, "-o", first).complaint
    assert "expected at least 999 sequences (--number 999), found fewer" in complaint


def test_a_pipe(trained):
    outcome = in_shell("predict", trained, stdin="I saw a saw\n\nçok güzel\n".encode(), env={"LANG": "C"})
    assert (outcome.code, outcome.err) == (0, "")
    first, empty, last = outcome.out.splitlines()
    assert (first, empty) == ("I/PRON saw/VERB a/DET saw/NOUN", "")
    assert last.startswith("çok/")


def test_bad_bytes_in_a_pipe(trained):
    complaint = in_shell("predict", trained, "-", stdin=b"fine\nb\xffd\n").complaint
    assert complaint.startswith("<stdin>:2: expected UTF-8 text, found byte 0xff at byte 2")


@pytest.mark.parametrize("name", ["model.json", "config.toml", "README.md", ".regard-lock", "resume/state.safetensors"])
@pytest.mark.parametrize("command", ["predict", "view", "evaluate", "export"])
def test_no_command_writes_over_a_file_of_a_run(command, name, call, trained, files, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    before = {path: path.read_bytes() for path in run.rglob("*")}
    dev = files / "dev.conllu"
    for output in (run / name, tmp_path / "link" / name):
        arguments = {
            "predict": (dev, "--output", output),
            "view": ("We fish", "--output", output),
            "evaluate": (dev, "--confusion", output),
            "export": ("--output", output),
        }
        complaint = call(command, trained, *arguments[command]).complaint
        option = "confusion" if command == "evaluate" else "output"
        assert complaint == f"{option}: {output} is a file of the run folder {run}; name another place"
    assert {path: path.read_bytes() for path in run.rglob("*")} == before


def test_other_files_may_be_written_into_a_run_folder(call, trained, files, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    assert call("predict", run, files / "dev.conllu", "--output", run / "dev.conllu").code == 0
    assert call("view", run, "We fish", "--output", run / "page.html").code == 0
    assert (run / "dev.conllu").read_text() == (files / "dev.conllu").read_text()


def test_the_best_labels_of_each_word(call, trained, tmp_path):
    (tmp_path / "new.txt").write_text("We saw .\n")
    (line,) = call("predict", trained, tmp_path / "new.txt", "--top", 2).out.splitlines()  # text holds one label each
    answer = json.loads(line)
    assert [some[0]["label"] for some in answer["candidates"]] == answer["labels"]
    assert [len(some) for some in answer["candidates"]] == [2, 2, 2]
    refused = call("predict", trained, tmp_path / "new.txt", "--top", 2, "--output-format", "conllu").complaint
    assert "top: conllu holds one answer for each item" in refused
