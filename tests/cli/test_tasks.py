"""Every task through the command line: train, evaluate, predict, view, start from another, export."""

import json

import numpy as np
import pytest
from tones import manifest_in

SMALL = ("--dim", 32, "--depth", 1, "--heads", 2, "--dropout", 0, "--average", 0, "--learning-rate", 0.005)
BERT = ("--norm", "post", "--positions", "learned", "--position-reach", 64, "--embedding-norm", "--activation", "gelu")
FILMS = ["a fine film\tgood", "what a joy\tgood", "a dull film\tbad", "what a bore\tbad"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = [line.split("\t") for line in FILMS]
    (folder / "films.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows * 8))
    (folder / "films.txt").write_text("".join(f"{text}\n" for text, _ in rows))
    (folder / "raw.txt").write_text("".join(f"{text}\n" for text, _ in rows * 8))
    (folder / "a.src").write_text("ab\nba\n" * 20)
    (folder / "a.tgt").write_text("A B\nB A\n" * 20)
    return folder


def test_classify(call, data, tmp_path):
    run = tmp_path / "films"
    trained = call(
        "train", "classify", "--train", data / "films.csv", "--output", run, "--epochs", 25, *SMALL, "--json"
    )
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["scores"]["regard"]["accuracy"] == 1.0
    confusion = ("--confusion", tmp_path / "confusion.png")
    assert json.loads(call("evaluate", run, data / "films.csv", "--json", *confusion).out)["accuracy"] == 1.0
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert call("evaluate", run, data / "films.csv", "--calibration", tmp_path / "c.png").code == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "equal_error_rate" in json.loads(call("evaluate", run, data / "films.csv", "--json", "--pairs").out)
    assert call("predict", run, data / "films.txt").out.split() == ["good", "good", "bad", "bad"]
    assert (
        "beam: a classify model has no such option" in call("predict", run, data / "films.txt", "--beam", 2).complaint
    )
    for option in ("--samples", "--seed"):
        complaint = call("predict", run, data / "films.txt", option, 2).complaint
        assert f"{option[2:]}: a classify model has no such option" in complaint
    out = tmp_path / "out.csv"
    assert call("predict", run, data / "films.csv", "--output", out).code == 0
    told = [line.split(",") for line in out.read_text().splitlines()]
    assert [",".join(cells[:2]) for cells in told] == (data / "films.csv").read_text().splitlines()
    assert told[0][2:] == ["predicted_label", "score"]  # beside the true one
    assert all(true == guess for _, true, guess, _ in told[1:])
    sorted_into = ("--output-format", "folder", "--output", tmp_path / "sorted")
    assert call("predict", run, data / "films.txt", *sorted_into).code == 0
    assert sorted(path.name for path in (tmp_path / "sorted" / "good").iterdir()) == ["000001.txt", "000002.txt"]
    assert "something is there already" in call("predict", run, data / "films.txt", *sorted_into).complaint
    assert "output: required" in call("predict", run, data / "films.txt", "--output-format", "folder").complaint
    assert call("view", run, "a fine film", "--output", tmp_path / "view.html").code == 0
    assert "2 labels: bad good" in call("info", run).out


@pytest.mark.parametrize("task", ["classify", "pretrain"])
def test_vectors_are_viewed_from_their_file(call, tmp_path, task):
    vectors = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    np.savez(tmp_path / "train.npz", vectors=vectors, labels=["up", "down"] * 4, offsets=np.arange(0, 41, 5))
    run, files = tmp_path / "run", ("--train", tmp_path / "train.npz")
    assert call("train", task, *files, "--output", run, "--front-end", "vectors", "--epochs", 1, *SMALL).code == 0
    assert call("view", run, tmp_path / "train.npz", "--number", 2, "-o", tmp_path / "second.html").code == 0
    assert '"kind":"vectors"' in (tmp_path / "second.html").read_text()
    assert "vectors, which are in a file, and there is no file 'up'" in call("view", run, "up").complaint


def test_transduce(call, data, tmp_path):
    run = tmp_path / "upper"
    files = ("--train", data / "a.src", "--train-target", data / "a.tgt")
    kinds = ("--front-end", "characters", "--target-units", "symbols", "--label-smoothing", 0)
    assert call("train", "transduce", *files, "--output", run, "--epochs", 40, *kinds, *SMALL).code == 0
    scores = json.loads(call("evaluate", run, data / "a.src", "--target", data / "a.tgt", "--json").out)
    assert scores["exact"] == 1.0
    assert "BLEU nrefs:1" in call("evaluate", run, data / "a.src", "--target", data / "a.tgt", "--beam", 2).out
    (tmp_path / "new.txt").write_text("ba\nab\n")
    assert call("predict", run, tmp_path / "new.txt").out == "B A\nA B\n"
    rows = [row.split("\t") for row in call("predict", run, tmp_path / "new.txt", "--top", 2).out.splitlines()]
    assert [row[:2] for row in rows[::2]] == [["ba", "B A"], ["ab", "A B"]]
    assert all(float(best[2]) > float(next_best[2]) for best, next_best in zip(rows[::2], rows[1::2], strict=True))
    drawn = [call("predict", run, tmp_path / "new.txt", "--samples", 3, "--seed", 1, "--json").out for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert [len(json.loads(line)["candidates"]) for line in drawn[0].splitlines()] == [3, 3]
    assert call("predict", run, tmp_path / "new.txt", "--samples", 1, "--top-k", 1).out == "B A\nA B\n"
    assert "top_k: for outputs drawn" in call("predict", run, tmp_path / "new.txt", "--top-k", 1).complaint
    assert "beam or drawn" in call("predict", run, tmp_path / "new.txt", "--beam", 2, "--samples", 1).complaint
    (tmp_path / "short.tgt").write_text("A B\n")
    complaint = call("evaluate", run, data / "a.src", "--target", tmp_path / "short.tgt").complaint
    assert "expected as many lines as in" in complaint
    picture = ("--target", data / "a.tgt", "--confusion", tmp_path / "no.png")
    assert "confusion: a transduce model" in call("evaluate", run, data / "a.src", *picture).complaint
    assert "pairs: a transduce model" in call("evaluate", run, data / "a.src", *picture[:2], "--pairs").complaint
    assert "unseen_labels: a transduce model has no such option" in (
        call("evaluate", run, data / "a.src", "--unseen-labels", "refuse").complaint
    )


def test_transcribe(call, tmp_path):
    manifest = manifest_in(tmp_path)
    run, sizes = tmp_path / "run", ("--dim", 16, "--depth", 1, "--heads", 2, "--target-units", "symbols")
    trained = call(
        "train", "transcribe", "--train", manifest, "--dev", manifest, "--output", run, "--epochs", 2, *sizes
    )
    assert trained.code == 0, trained.err
    scores = json.loads(call("evaluate", run, manifest, "--beam", 2, "--json").out)
    assert scores.keys() == {"accuracy", "exact", "symbol_error", "character_error"}
    lines = call("predict", run, manifest.parent / "0.wav", "--json", "--top", 2).out.splitlines()
    assert [candidate.keys() for candidate in json.loads(lines[0])["candidates"]] == [{"text", "score", "times"}] * 2
    assert "samples: a transcribe model has no such option" in call("predict", run, manifest, "--samples", 2).complaint
    assert call("view", run, manifest, "--number", 2, "-o", tmp_path / "page.html").code == 0
    assert call("view", run, manifest.parent / "0.wav", "-o", tmp_path / "page.png").code == 0
    assert "transcribe" in call("info", run).out


def test_pretrain_then_another_task_then_export(call, data, tmp_path):
    first, second = tmp_path / "pretrained", tmp_path / "films"
    sizes = (*SMALL, *BERT, "--subwords", 300, "--subword-model", "wordpiece")
    assert call("train", "pretrain", "--train", data / "raw.txt", "--output", first, "--epochs", 3, *sizes).code == 0
    (tmp_path / "blank.txt").write_text("a fine [MASK]\n")
    assert call("predict", first, tmp_path / "blank.txt").out.startswith("a fine ")
    arguments = ("--train", data / "films.csv", "--output", second, "--epochs", 20, "--pooling", "bert", "--ngrams", 0)
    done = call("train", "classify", "--from", first, *arguments, "--learning-rate", 0.005, "--dropout", 0)
    assert done.code == 0, done.err
    assert f'pretrained = "{first}"' in (second / "config.toml").read_text()
    assert "dim = 32" in (second / "config.toml").read_text()
    assert call("predict", second, data / "films.txt").code == 0
    exported = call("export", second, "--output", tmp_path / "bert")
    assert "transformers.AutoModelForSequenceClassification" in exported.out
    assert (tmp_path / "bert" / "config.json").is_file()
    complaint = call("train", "label", "--from", tmp_path, "--train", "x.conllu", "--output", tmp_path / "no").complaint
    assert "neither a run folder" in complaint  # found before the data is read
