"""`view` as a page: written, served, of many sequences, of two models, of other networks."""

import csv
import http.client
import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

TEXT = "I saw a saw"


def meta_of(file):
    return json.loads(re.search(r'id="meta">(.*?)</script>', file.read_text())[1])


def test_a_file_that_works_offline(call, trained, tmp_path):
    outcome = call("view", trained, TEXT, "-o", tmp_path / "page.html")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{tmp_path / 'page.html'}\n", "")
    page = (tmp_path / "page.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "default-src 'none'" in page
    meta = meta_of(tmp_path / "page.html")
    assert meta["axes"]["input"]["names"] == TEXT.split()
    assert meta["telltales"]["why"] == ""


def test_many_sequences(call, trained, files, tmp_path):
    assert call("view", trained, files / "dev.conllu", "--aggregate", "-o", tmp_path / "a.html").code == 0
    assert meta_of(tmp_path / "a.html")["aggregate"]["examples"] > 1
    complaint = call("view", trained, files / "dev.conllu", "--aggregate", "--compare", trained).complaint
    assert "compare: shows two models on one sequence" in complaint
    complaint = call("view", trained, files / "dev.conllu", "--aggregate", "--number", 1).complaint
    assert "number: of one sequence, and this shows many" in complaint


def test_two_models(call, trained, tmp_path):
    assert call("view", trained, TEXT, "--compare", trained, "-o", tmp_path / "a.html").code == 0
    assert {stack["model"] for stack in meta_of(tmp_path / "a.html")["stacks"]} == {0, 1}


def test_one_head(call, trained, tmp_path):
    assert call("view", trained, TEXT, "--save", tmp_path / "a.csv", "--layer", 1, "--head", 2).code == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["layer"], row["head"]) for row in rows} == {("1", "2")}
    assert sum(float(row["weight"]) for row in rows if row["query"] == "3") == pytest.approx(1, abs=1e-4)
    assert call("view", trained, TEXT, "--save", tmp_path / "a.svg", "--layer", 1, "--head", 2).code == 0
    assert "layer 1, head 2" in (tmp_path / "a.svg").read_text()
    assert (
        "layer, head: 'I saw a saw' has"
        in call("view", trained, TEXT, "--save", tmp_path / "b.svg", "--head", 99).complaint
    )
    assert "head: of a picture or a table; add --save" in call("view", trained, TEXT, "--head", 1).complaint


def test_another_network(call, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def make(text):\n"
        "    x = torch.randn(1, len(text.split()), 8)\n"
        "    return torch.nn.MultiheadAttention(8, 2, batch_first=True), (x, x, x), text.split()\n"
    )
    outcome = call("view", "--torch", f"{tmp_path}/mine.py:make", TEXT, "-o", tmp_path / "a.html")
    assert outcome.code == 0, outcome.err
    assert meta_of(tmp_path / "a.html")["axes"]["positions-4"]["names"] == TEXT.split()
    assert "there is no function 'x'" in call("view", "--torch", f"{tmp_path}/mine.py:x", TEXT).complaint
    for option in (("--compare", "run"), ("--number", 1), ("--aggregate",), ("--start", 0), ("--end", 1)):
        complaint = call("view", "--torch", f"{tmp_path}/mine.py:make", TEXT, *option).complaint
        assert complaint == f"{option[0][2:]}: of a run folder, and --torch shows another network; leave it out"
    complaint = call("view", "--torch", f"{tmp_path}/mine.py:make", "run", TEXT).complaint
    assert complaint == f"INPUT: with --torch there is no RUN before it; leave out one of two, got '{TEXT}'"


def test_a_part_of_two_models(call, trained, tmp_path):
    both = ("view", trained, TEXT, "--compare", trained, "--save", tmp_path / "a.csv")
    assert call(*both, "--at", 2).code == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        assert {(row["model"], row["stack"]) for row in csv.DictReader(file)} == {
            (str(trained), "encoder"),
            (str(trained), "encoder-2"),
        }
    assert call(*both, "--part", "encoder-2").code == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        assert {row["stack"] for row in csv.DictReader(file)} == {"encoder-2"}
    assert "part: 'I saw a saw' has encoder, encoder-2, got 'x'" in call(*both, "--part", "x").complaint
    assert "part: of a picture or a table" in call("view", trained, TEXT, "--part", "encoder").complaint


def test_what_is_missing_is_told(call, trained, tmp_path):
    assert f"INPUT: what {trained} reads" in call("view", trained).complaint
    assert "output: must end in .html, .png, .svg, .pdf or .csv" in call("view", trained, TEXT, "-o", "a.doc").complaint


def test_an_empty_input_is_told(call, trained, tmp_path):
    for text in ("", "  "):
        for ending in ("html", "csv"):
            complaint = call("view", trained, text, "-o", tmp_path / f"a.{ending}").complaint
            assert complaint.endswith("expected an input of at least one position, found an empty one")
    assert not list(tmp_path.iterdir())


def test_it_is_served_until_it_is_interrupted(trained):
    command = [sys.executable, "-m", "regard", "view", str(trained), TEXT, "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert b'"asks":"text"' in answer.read()
        connection = http.client.HTTPConnection(address.split("/")[2], timeout=20)
        connection.request("POST", "/inputs", "we saw")
        told = json.loads(connection.getresponse().read())
        connection.request("GET", f"{told['page']}blocks/weights/encoder/0/0/0/0")
        assert len(connection.getresponse().read()) == 2 * 2
        connection.request("POST", "/inputs", "word " * 100_000)
        assert "expected a sequence of at most" in json.loads(connection.getresponse().read())["error"]
        connection.close()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
