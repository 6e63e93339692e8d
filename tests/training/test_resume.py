import json
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from forked import Forked
from safetensors.torch import load_file
from small_training import run, sequences

from regard.errors import ConfigError, ModelError, RegardError
from regard.training.progress import read_journal

STATE = Path("resume") / "state.safetensors"
TIMES = ("seconds", "step_seconds", "tokens_per_second", "identity", "journal", "sha256")


def journal(output):
    """What a journal tells, but for the times."""
    lines = read_journal(output / "metrics.jsonl")
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def assert_same_training(one, network, two, other):
    """Weights, saved weights and the journal, to the last bit."""
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    saved, saved_again = (load_file(output / "model.safetensors") for output in (one, two))
    assert all(torch.equal(saved[name], saved_again[name]) for name in saved)
    assert journal(one) == journal(two)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    output = tmp_path_factory.mktemp("unbroken")
    return output, run(output)[1]


@pytest.mark.parametrize("stop_at", [1, 10, 12, 13, 17, 48])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, unbroken, stop_at, capfd):
    """In the first step, at a line of the journal, at the end of an epoch, in the middle of one, in the last step."""
    stopped, _ = run(tmp_path, stop_at=stop_at)
    assert (stopped.stopped, stopped.steps) == ("interrupted", stop_at)
    told = capfd.readouterr().err
    assert "stopping after this step, or in 30 seconds; once more stops at once" in told
    assert f"stopped after step {stop_at}, in epoch" in told
    result, network = run(tmp_path, resume=True)
    assert result.stopped == "finished"
    assert f"going on from step {stop_at} in epoch" in capfd.readouterr().err
    assert_same_training(*unbroken, tmp_path, network)
    assert not (tmp_path / "resume").exists()


def test_a_training_stopped_many_times_goes_on_bit_for_bit(tmp_path, unbroken):
    result, _ = run(tmp_path, stop_at=5)
    while result.stopped == "interrupted":
        result, network = run(tmp_path, resume=True, stop_at=11)
    assert_same_training(*unbroken, tmp_path, network)


@pytest.mark.parametrize(
    "options", [{"average": 0}, {"accumulate": 2}, {"clip": 0}, {"precision": "bfloat16"}], ids=str
)
def test_every_kind_of_training_goes_on_bit_for_bit(tmp_path, options):
    _, whole = run(tmp_path / "whole", epochs=2, **options)
    run(tmp_path / "parts", epochs=2, stop_at=11, **options)
    _, parts = run(tmp_path / "parts", epochs=2, resume=True, **options)
    assert_same_training(tmp_path / "whole", whole, tmp_path / "parts", parts)


def test_patience_is_remembered(tmp_path):
    run(tmp_path, epochs=9, patience=2, scores=[0.5, 0.4], stop_at=30)
    result, _ = run(tmp_path, epochs=9, patience=2, scores=[0.3, 0.9, 0.9], resume=True)
    assert result.stopped == "patience"
    assert [line["accuracy"] for line in journal(tmp_path) if line["kind"] == "evaluation"] == [0.5, 0.4, 0.3]


def start(output, **options):
    """A training in a process of its own."""
    script = Path(__file__).with_name("small_training.py")
    return Forked(script, json.dumps([{"output": str(output), **options}]))


def step_of(output):
    """The step of the checkpoint, read in one go because it may be replaced meanwhile."""
    if not (output / STATE).is_file():
        return 0
    raw = (output / STATE).read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["regard"])["state"]["step"]


def test_a_killed_training_goes_on_bit_for_bit(tmp_path, unbroken):
    """SIGKILL in the middle of the second epoch, while checkpoints are being written after every step."""
    with start(tmp_path, checkpoint_seconds=0, pause=0.04) as process:
        process.until(lambda: step_of(tmp_path) >= 17)
    assert process.code == -signal.SIGKILL
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(b'{"kind": "step", "step": 18, "lo')  # what a kill in the middle of a line leaves
    assert 17 <= step_of(tmp_path) < 25
    result, network = run(tmp_path, resume=True)
    assert result.stopped == "finished"
    assert_same_training(*unbroken, tmp_path, network)


def test_ctrl_c_stops_cleanly_with_a_checkpoint(tmp_path, unbroken):
    with start(tmp_path, pause=0.04) as process:
        process.until(lambda: step_of(tmp_path) >= 12)  # the checkpoint of the first epoch
        process.send(signal.SIGINT)
        assert process.end() == 0
    assert process.out.startswith("interrupted")
    assert "it can be resumed" in process.err
    assert step_of(tmp_path) == int(process.out.split()[1]) >= 12
    _, network = run(tmp_path, resume=True)
    assert_same_training(*unbroken, tmp_path, network)


def test_a_request_to_terminate_does_the_same(tmp_path):
    result, _ = run(tmp_path, stop_at=3, signals=[signal.SIGTERM])
    assert result.stopped == "interrupted"
    assert step_of(tmp_path) == 3


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    run(tmp_path, stop_at=3)
    before, handler = (tmp_path / STATE).read_bytes(), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, resume=True, stop_at=2, signals=[signal.SIGINT, signal.SIGINT])
    assert (tmp_path / STATE).read_bytes() == before
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_full_disk_leaves_the_checkpoint_whole(tmp_path, unbroken):
    run(tmp_path, stop_at=3)
    before = (tmp_path / STATE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) * 3 // 4, limits[1]))
    try:
        with pytest.raises(RegardError, match=r"state\.safetensors: cannot be written, .*; free some space"):
            run(tmp_path, resume=True, checkpoint_seconds=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / STATE).read_bytes() == before
    assert os.listdir(tmp_path / "resume") == [STATE.name]
    _, network = run(tmp_path, resume=True)
    assert_same_training(*unbroken, tmp_path, network)


def test_an_interrupted_training_is_not_overwritten(tmp_path):
    run(tmp_path, stop_at=3)
    with pytest.raises(ConfigError, match=r"output: .* holds an interrupted training; resume it"):
        run(tmp_path)


def test_a_finished_training_says_so_and_changes_nothing(tmp_path, capfd):
    done, _ = run(tmp_path, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capfd.readouterr()
    again, _ = run(tmp_path, epochs=1, resume=True)
    assert again == done
    assert "has finished its 12 steps; there is nothing to resume" in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ConfigError, match=r"epochs: .* was trained with 1, now 2"):
        run(tmp_path, epochs=2, resume=True)


def test_without_a_checkpoint_it_starts_from_the_beginning(tmp_path, unbroken, capfd):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "st')  # killed before its first checkpoint
    _, network = run(tmp_path, resume=True)
    assert "holds no checkpoint yet; training from the beginning" in capfd.readouterr().err
    assert_same_training(*unbroken, tmp_path, network)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.1}, r"learning_rate: .* was trained with 0\.002, now 0\.1; resume with the same, or name"),
        ({"batch_tokens": 50}, "batch_tokens: .* was trained with 40, now 50"),
        ({"data": [*sequences(), torch.zeros(3, dtype=torch.int64)]}, "train: .* was trained on other data"),
    ],
    ids=["rate", "batch", "data"],
)
def test_other_options_or_data_are_refused(tmp_path, changes, message):
    run(tmp_path, stop_at=3)
    before = (tmp_path / STATE).read_bytes()
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, resume=True, **changes)
    assert (tmp_path / STATE).read_bytes() == before


def test_what_does_not_change_the_weights_may_change(tmp_path, unbroken):
    run(tmp_path, stop_at=3)
    _, network = run(tmp_path, resume=True, checkpoint_seconds=1, baselines="none")
    assert_same_training(*unbroken, tmp_path, network)


@pytest.mark.parametrize("damage", ["truncated", "empty", "not safetensors"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    run(tmp_path, stop_at=3)
    whole = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes({"truncated": whole[:-9], "empty": b"", "not safetensors": b"x" * 999}[damage])
    with pytest.raises(
        ModelError, match=r"state\.safetensors: not a whole checkpoint .*; delete .*resume to train anew"
    ):
        run(tmp_path, resume=True)
