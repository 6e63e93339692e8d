"""Sequences shared by processes, and weights, train as whole ones do, and go on bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from forked import together
from safetensors.torch import load_file

import regard
from parallel.processes import once
from parallel.training import DRAWS, FOURFOLD, IN_SHARDS, SHARED, commands, found_by_models, tasks, texts, train, words
from regard.cli import run
from regard.errors import ConfigError
from regard.training.progress import read_journal


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of four processes, started once, and of one process with as many vectors in a batch."""
    return once(tmp_path_factory, "runs", fill)


def fill(folder: Path) -> None:
    rows = "".join(f"{text},{label}\n" for text, label in texts({"a": "A", "b": "B"}))
    (folder / "texts.csv").write_text(f"text,label\n{rows}")
    together(4, Path(__file__).with_name("training.py"), folder)
    train(folder / "by one", batch_tokens=120)


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_journal(run / "metrics.jsonl") if line["kind"] == "step"]


@pytest.mark.parametrize(
    ("by", "name"), [*(("by two", name) for name in SHARED), *(("by four", name) for name in FOURFOLD)]
)
def test_shared_sequences_train_as_whole_ones(runs: Path, by: str, name: str) -> None:
    if name in DRAWS and by == "by two":  # each share of a batch draws by itself
        assert losses(runs / by / name) == pytest.approx(losses(runs / "by one" / name), rel=0.2)
        return
    assert_same_training(runs / by / name, runs / "by one" / name, atol=1e-4)


@pytest.mark.parametrize("name", IN_SHARDS)
def test_weights_in_shards_train_as_whole_ones(runs: Path, name: str) -> None:
    """Those that draw beside whole ones in as many processes: averaged, clipped hard, slower below, in bfloat16."""
    one = runs / ("whole" if name in DRAWS else "by one") / name
    assert_same_training(runs / "in shards" / name, one, atol=1e-5)


def assert_same_training(several: Path, one: Path, *, atol: float) -> None:
    assert losses(several) == pytest.approx(losses(one), rel=1e-5)
    expected, found = load_file(one / "model.safetensors"), load_file(several / "model.safetensors")
    assert found.keys() == expected.keys()
    for key, tensor in found.items():
        if key.endswith(("attention.input.bias", "pool.key.bias")):
            continue  # what all keys have in common moves nothing: its gradient is rounding, of which Adam makes steps
        torch.testing.assert_close(tensor, expected[key], rtol=1e-3, atol=atol)


def test_each_process_holds_a_part(runs: Path) -> None:
    """A quarter of weights, both moments and the average; the network that was given, only while it is evaluated."""
    told = [json.loads((runs / f"held by {rank}.json").read_text()) for rank in range(4)]
    row = 4 * 17  # bytes of the weights and the bias of an output, of which the layers have 16 and 2
    assert [one["own"] for one in told] == [4 * row * (4 + 1), 4 * row * (4 + 1), 4 * row * 4, 4 * row * 4]
    for one in told:
        assert one["all"] == 4 * row * (16 + 2)
        assert one["moved"]
        assert one["given"] == 4 * 4  # a zero in the place of each tensor
        assert one["evaluated"] == one["given back"] == row * (16 + 4)  # all processes send as much


@pytest.mark.parametrize("kind", ["shared", "shards"])
def test_a_stopped_training_goes_on_bit_for_bit(runs: Path, kind: str) -> None:
    """Also where processes share both sequences and weights."""
    unbroken, stopped = runs / kind / "unbroken", runs / kind / "stopped"
    whole, parts = (load_file(run / "model.safetensors") for run in (unbroken, stopped))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert losses(unbroken) == losses(stopped)


@pytest.mark.parametrize("by", ["by two", "in shards"])
def test_one_process_goes_on_with_a_model_of_several(runs: Path, by: str, tmp_path: Path) -> None:
    output = tmp_path / "run"
    regard.Labeler().fit(words(), output=output, continue_from=runs / by / "label", epochs=1, seed=2)
    assert regard.load(output).evaluate(words())["accuracy"] > 0.3


def test_shared_batches_are_answered_as_by_one(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.tasks.batches.ON_CPU", 40)
    alone = json.loads(json.dumps(found_by_models(runs / "in shards")))
    for rank in range(4):
        found = json.loads((runs / "in shards" / f"shared by {rank}.json").read_text())
        assert found.pop("refused").startswith("sharing: all processes must predict with the same options for the same")
        assert found == alone


def test_dev_is_scored_together_as_by_one(runs: Path) -> None:
    journal = read_journal(runs / "with dev" / "metrics.jsonl")
    told = next(line for line in journal if line["kind"] == "evaluation")
    _, _, pairs = next(row for row in tasks() if row[0] == "transduce")
    scores = regard.load(runs / "with dev").evaluate(pairs, beam=1)
    assert {name: told[name] for name in scores} == scores


def test_commands_of_several_processes_write_what_one_writes(runs: Path, tmp_path: Path) -> None:
    for command in commands(runs / "in shards", tmp_path):
        assert run(command) == 0
        name = Path(command[-1]).name
        assert (tmp_path / name).read_bytes() == (runs / "in shards" / name).read_bytes()


def test_standard_input_is_refused_by_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(["predict", "nowhere"]) == 1
    assert "standard input comes to one process and not to the others; name a file" in capsys.readouterr().err


def test_processes_that_differ_say_so(runs: Path) -> None:
    for rank in range(4):
        option, data = (runs / f"refused by {rank}.txt").read_text().splitlines()
        same = "must be the same in all 4 processes"
        assert option == f"training: dropout {same}, got 0.0 in process 0 and 0.1 in process 3"
        assert data.startswith(f"training: the training data {same}, got "), data
        assert data.endswith("in process 1"), data


def test_what_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = regard.Labeler()
    with pytest.raises(ConfigError, match=r"sequence_parallel: 2 processes are to share each sequence, got 1 in all"):
        model.fit([(["a"], ["X"])], sequence_parallel=2)
    with pytest.raises(ConfigError, match=r"shard: several processes .*, got 1; start them with torchrun"):
        regard.Labeler().fit([(["a"], ["X"])], shard=True)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match=r"got 3 in all, no multiple .* torchrun --nproc-per-node=2"):
        model.fit([(["a"], ["X"])], sequence_parallel=2, output=tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"sequence_parallel: a decoder reads each sequence whole, got 2"):
        regard.Seq2Seq().fit([("a", "b")], sequence_parallel=2, output=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"sequence_parallel: rows and columns of images .* got front_end pixels"):
        regard.Classifier(front_end="pixels").fit([], sequence_parallel=2, output=tmp_path / "run")
