"""How large batches are where they are to suit a device."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

import regard
from regard import ConfigError
from regard.cli import run
from regard.tasks.label.options import LabelConfig
from regard.training.budget import MOST, batch_tokens_of, largest_batch
from regard.training.config import make_config

GIB = 2**30


def largest(memory: float, parameters: int = 0, **options: object) -> int:
    return largest_batch(make_config(LabelConfig, options), parameters, int(memory))


def test_a_large_gpu_takes_the_most_and_a_small_one_what_fits() -> None:
    assert largest(80 * GIB) == MOST
    layer = 4 * (11 * 1024 + 3 * 4096)
    assert largest(2 * 100 * 24 * layer, dim=1024, depth=24, heads=16) == 100
    assert largest(2 * 100 * 24 * layer, 100, dim=1024, depth=24, heads=16) == 99
    assert largest(2 * 100 * layer, depth=1, dim=1024, feed_forward_dim=4096) == 100
    assert largest(1, 10**9) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_tells_its_memory() -> None:
    config = make_config(LabelConfig, {"batch_tokens": "auto", "dim": 1024, "depth": 24, "heads": 16})
    assert 1000 < batch_tokens_of(config, 24 * 12 * 1024**2, torch.device("cuda")) <= MOST


def test_on_a_cpu_it_is_that_of_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, output = tmp_path / "words.jsonl", tmp_path / "run"
    data.write_text('{"words": ["a", "b"], "labels": ["A", "B"]}\n' * 3)
    small = ["--dim", "8", "--depth", "1", "--heads", "2", "--epochs", "1", "--device", "cpu", "--quiet"]
    assert run(["train", "label", "--train", str(data), "--output", str(output), "--batch-tokens", "auto", *small]) == 0
    assert tomllib.loads((output / "config.toml").read_text())["batch_tokens"] == 1000
    assert run(["train", "label", "--batch-tokens", "many"]) == 2
    assert "a number of items, or auto; got 'many'" in capsys.readouterr().err


def test_nothing_else_is_taken() -> None:
    assert regard.Labeler().config.batch_tokens == 1000
    for wrong in (0, -1, "most", 2**40):
        with pytest.raises(ConfigError, match=r"batch_tokens: "):
            make_config(LabelConfig, {"batch_tokens": wrong})
