"""A step that finds no memory says how large it was and what makes it smaller, and loses nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from short_of_memory import examples, fit

from regard.errors import RegardError
from regard.tasks.label.options import LabelConfig
from regard.training.shortage import enough_memory


def test_memory_that_runs_out_is_told_of_and_the_training_goes_on(tmp_path):
    """An address space that ends, as a machine does."""
    script, output = Path(__file__).with_name("short_of_memory.py"), tmp_path / "run"
    command = [sys.executable, str(script), str(output), "dev"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    step, evaluation = done.stdout.splitlines()
    told = re.fullmatch(
        r"out of memory in step (\d), on a batch of 1 sequence, 150,000 items, the longest of 150,000, with 3,\d\d\d "
        rf"weights; start more processes, with shard or sequence_parallel; {output} can be resumed where there is more "
        "memory",
        step,
    )
    assert told, step
    assert int(told[1]) > 1
    assert re.fullmatch(
        r"out of memory in the evaluation of epoch 1, with 3,\d\d\d weights; set window, or leave the longest "
        "sequences out of dev; dev can be resumed where there is more memory",
        evaluation,
    ), evaluation
    assert [path.name for path in (output / "resume").iterdir()] == ["state.safetensors"]
    for folder in (output, tmp_path / "unbroken"):
        fit(folder, examples(), window=4)
    one, other = (load_file(folder / "model.safetensors") for folder in (output, tmp_path / "unbroken"))
    assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def explained(error, lengths=(3, 5), **options):
    config = LabelConfig(**options)
    with enough_memory("step 2", [[1], list(lengths)], torch.nn.Linear(2, 2), config, Path("runs")):
        raise error


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, "lower batch_tokens, now 1000, and raise accumulate, now 1, as much, or set window, or start more "),
        ({"window": 3, "shard": True}, "as much, or start more processes, with sequence_parallel; runs holds no "),
        ({"lengths": [8]}, "weights; set window, or start more processes, with shard or sequence_parallel; "),
    ],
    ids=str,
)
def test_the_advice_is_what_has_not_been_taken(options, advice):
    with pytest.raises(RegardError, match=re.escape(advice)):
        explained(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), **options)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=str)
def test_whoever_says_so(error):
    with pytest.raises(
        RegardError, match="out of memory in step 2, on a batch of 2 sequences, 8 items, the longest of 5"
    ):
        explained(error)


def test_another_error_is_what_it_was():
    with pytest.raises(RuntimeError, match="shapes"):
        explained(RuntimeError("shapes"))
