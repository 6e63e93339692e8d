"""Layers are compiled while a network learns, once for batches of all shapes, and not afterwards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import regard
from regard import ConfigError
from regard.training.progress import read_journal

SMALL: dict[str, Any] = {"dim": 16, "depth": 2, "heads": 2, "dropout": 0.0}
WORDS = [(list("abcab" * n)[: 3 + n], list("xyzxy" * n)[: 3 + n]) for n in range(1, 12)]
PAIRS = [("".join(items), "".join(labels[:4])) for items, labels in WORDS]
MODELS: dict[str, tuple[Any, Any]] = {
    "label": (partial(regard.Labeler, window=2, **SMALL), WORDS),
    "alibi": (partial(regard.Labeler, positions="alibi", **SMALL), WORDS),
    "transduce": (partial(regard.Seq2Seq, front_end="characters", target_units="characters", **SMALL), PAIRS),
}


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_journal(run / "metrics.jsonl") if line["kind"] == "step"]


@pytest.mark.parametrize("name", MODELS)
def test_compiled_layers_learn_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is traced runs without code generation here, which would take half a minute."""
    traced: list[Any] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    make, examples = MODELS[name]
    for compile in (False, True):
        torch.compiler.reset()
        model = make()
        model.fit(
            examples, examples[:3], tmp_path / str(compile), epochs=6, batch_tokens=20, compile=compile, quiet=True
        )
        assert not any("_compiled_call_impl" in vars(module) for module in model.network.modules())
    assert losses(tmp_path / "True") == pytest.approx(losses(tmp_path / "False"), rel=1e-5)
    assert read_journal(tmp_path / "True" / "metrics.jsonl")[-1]["step"] > 30
    assert len(traced) <= 4


def test_layers_that_are_not_whole_are_not_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for option in ({"shard": True}, {"sequence_parallel": 2}):
        with pytest.raises(ConfigError, match=f"compile: layers .* whole in each process, got {next(iter(option))}"):
            regard.Labeler().fit(WORDS, output=tmp_path / "run", compile=True, **option)
