import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from forked import together
from safetensors import safe_open
from safetensors.torch import load_file
from small_training import run

from regard.errors import ConfigError
from regard.training.checkpoint import Identity, State, write_checkpoint
from regard.training.progress import read_journal


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Runs of two processes, one after the other to start them only once."""
    folder = tmp_path_factory.mktemp("two")
    half = {"batch_tokens": 20, "checkpoint_seconds": 0}
    runs = [
        half | {"output": "plain", "dropout": 0.0},
        half | {"output": "accumulated", "dropout": 0.0, "batch_tokens": 10, "accumulate": 2},
        half | {"output": "shards", "dropout": 0.0, "batch_tokens": 10, "accumulate": 2, "shard": True},
        half | {"output": "unbroken"},
        half | {"output": "stopped", "stop_last_process_at": 17},
        half | {"output": "stopped", "resume": True},
    ]
    return folder, together(2, Path(__file__).with_name("small_training.py"), json.dumps(runs), cwd=folder)


def losses(output):
    return [line["loss"] for line in read_journal(output / "metrics.jsonl") if line["kind"] == "step"]


@pytest.mark.parametrize("name", ["plain", "accumulated", "shards"])
def test_two_processes_train_as_one_with_twice_the_batch(two, tmp_path, name):
    """One of the steps holds a single long sequence, so that a process has none."""
    run(tmp_path, dropout=0.0, batch_tokens=40)
    folder, _ = two
    assert losses(folder / name) == pytest.approx(losses(tmp_path), rel=1e-5)
    expected = load_file(tmp_path / "model.safetensors")
    for name_of, tensor in load_file(folder / name / "model.safetensors").items():
        if name_of != "steps_seen":
            torch.testing.assert_close(tensor, expected[name_of], rtol=1e-3, atol=1e-5)


def test_only_one_process_tells_and_writes(two):
    folder, (first, second) = two
    told = [line.split() for line in first.out.splitlines()]
    assert told == [["finished", "48"]] * 4 + [["interrupted", "17"], ["finished", "48"]]
    assert first.err.count("epoch 2/4") == 5
    assert (second.out, second.err) == ("", "")
    for name in ("plain", "accumulated", "shards", "unbroken", "stopped"):
        names = {path.name for path in (folder / name).iterdir()}
        assert names == {"config.toml", "loss.png", "metrics.jsonl", "model.safetensors"}


def test_an_interrupted_process_stops_all_and_they_go_on_bit_for_bit(two):
    folder, _ = two
    whole, parts = (load_file(folder / name / "model.safetensors") for name in ("unbroken", "stopped"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert losses(folder / "unbroken") == losses(folder / "stopped")


def test_another_number_of_processes_is_refused(tmp_path):
    run(tmp_path, stop_at=3)
    state = tmp_path / "resume" / "state.safetensors"
    with safe_open(state, framework="pt") as file:
        about = json.loads(file.metadata()["regard"])
    of_two = replace(Identity(**about["identity"]), processes=2)
    write_checkpoint(tmp_path, State(**about["state"]), load_file(state), of_two)
    with pytest.raises(ConfigError, match=r"processes: .* was trained with 2, now 1; resume with the same"):
        run(tmp_path, resume=True)
