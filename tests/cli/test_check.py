"""`regard check`: the task is told by the data, and what is reported is what training reads."""

import json

import numpy as np
import pytest
from command_line import SENTENCES, as_conllu

CSV = "text,label\n" + "".join(f"a text of number {number},{'ab'[number % 2]}\n" for number in range(20))
TWO = "".join(f"{word}\t{label}\n" for word, label in SENTENCES[0])
JSONL = "".join(json.dumps({"source": f"a {n}", "target": f"b {n}"}) + "\n" for n in range(5))
GUESSES = {
    "label.conllu": (as_conllu(SENTENCES), "label", "words"),
    "words.tsv": (f"{TWO}\n{TWO}", "label", "words"),
    "cells.csv": ('words,labels\nthe dog,X Y\n"a cat",X Y\n', "label", "words"),
    "train.csv": (CSV, "classify", "subwords"),
    "header.tsv": (CSV.replace(",", "\t"), "classify", "subwords"),
    "bare.tsv": ("a\tsome text\nb\tother text\n", "classify", "subwords"),
    "pairs.jsonl": (JSONL, "transduce", "subwords"),
    "plain.txt": ("some text\nother text\n", "pretrain", "subwords"),
}


@pytest.mark.parametrize("name", GUESSES)
def test_the_task_is_told_by_the_file(name, call, tmp_path):
    content, task, front_end = GUESSES[name]
    (tmp_path / name).write_text(content)
    outcome = call("check", tmp_path / name, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert (found["task"], found["front_end"]) == (task, front_end)


def test_the_kind_of_items_is_told_too(call, tmp_path):
    pytest.importorskip("PIL")
    from PIL import Image

    draw = np.random.default_rng(1)
    for number in range(6):
        folder = tmp_path / "digits" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (4, 5), dtype=np.uint8)).save(folder / f"{number}.png")
    found = json.loads(call("check", "classify", tmp_path / "digits", "--json").out)
    assert found["front_end"] == "patches"
    assert found["train"]["lengths"]["columns"]["longest"] == 5
    assert found["train"]["labels"] == {"a": 3, "b": 3}
    np.savez(tmp_path / "v.npz", vectors=draw.normal(size=(8, 2)), labels=list("abab"), offsets=[0, 2, 4, 6, 8])
    found = json.loads(call("check", tmp_path / "v.npz", "--json").out)
    assert (found["task"], found["front_end"]) == ("classify", "vectors")


def test_what_is_shown(call, tmp_path, caplog):
    (tmp_path / "train.csv").write_text(CSV + "odd one,\nrare,C\n")
    (tmp_path / "dev.csv").write_text("\n".join(CSV.splitlines()[:4]))
    outcome = call("check", tmp_path / "train.csv", "--dev", tmp_path / "dev.csv")
    assert outcome.code == 0
    shown = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in outcome.out.splitlines() if "│" in line}
    shown = {name: [cell.strip() for cell in cells] for name, cells in shown.items()}
    assert shown["examples"] == ["21", "3"]
    assert shown["a"] == ["10 (47.6 %)", "2 (66.7 %)"]
    assert shown["also in train"] == ["", "3"]
    assert shown["cannot be used"] == ["1", "0"]
    warnings = [line.removeprefix("warning: ") for line in outcome.out.splitlines() if line.startswith("warning: ")]
    assert [line[:12] for line in warnings] == ["1 of 3 label", "dev shares 3", "records that"]
    assert f"left out: {tmp_path}/train.csv:22: " in caplog.text
    assert outcome.out.splitlines()[-1].endswith(f"--dev {tmp_path}/dev.csv --bad-records skip --output RUN")


def test_what_cannot_be_told(call, tmp_path):
    (tmp_path / "train.csv").write_text("review,stars\ngood one,5\nbad one,1\n")
    complaint = call("check", tmp_path / "train.csv").complaint
    assert f"as in `regard check classify {tmp_path}/train.csv`" in complaint
    assert "the columns review, stars" in complaint
    named = call("check", tmp_path / "train.csv", "--text-column", "review", "--column", "stars", "--json")
    assert json.loads(named.out)["train"]["labels"] == {"1": 1, "5": 1}
    assert "task: one of label, classify, " in call("check", "classy", tmp_path / "train.csv").complaint
    assert "did you mean 'train.csv'?" in call("check", tmp_path / "trian.csv").complaint
    refused = call("check", "classify", tmp_path / "train.csv", "--column", "stars", "--bad-records", "refuse")
    assert "train.csv:1: expected a column 'text'" in refused.complaint
