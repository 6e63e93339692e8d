"""Small trainings over processes: `training.py FOLDER` runs them all in each of four."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import regard
from regard.cli import run
from regard.parallel import sharing
from regard.tasks import batches
from regard.tasks.label.options import LabelConfig
from regard.training.config import make_config
from regard.training.learner import Learner
from regard.training.shards import own

torch.set_num_threads(1)

COMMON: dict[str, Any] = {"dim": 16, "depth": 2, "heads": 2, "dropout": 0.0}
TRAINING: dict[str, Any] = {"epochs": 1, "average": 0, "device": "cpu", "baselines": "none", "quiet": True}
LETTERS = "abcde"
SHARED = ("label", "subwords", "convolution", "classify", "pretrain", "transcribe")  # whose sequences can be shared
FOURFOLD = ("label", "convolution", "classify")
IN_SHARDS = ("label", "classify", "pretrain", "transcribe", "transduce")
DRAWS = ("label", "pretrain")  # rare words are dropped, and items hidden, by chance


def words() -> list[tuple[list[str], list[str]]]:
    """Some long, some short."""
    random = np.random.default_rng(0)
    sentences = ["".join(random.choice(list(LETTERS), n)) for n in (40, 3, 1, 25, 60, 7, 12, 2)]
    return [(list(sentence), ["X" if x == "a" else "Y" for x in sentence]) for sentence in sentences]


def arrays() -> list[tuple[Any, list[str]]]:
    """The same as vectors of three numbers."""
    return [(np.array([[ord(x), n, n % 7] for n, x in enumerate(items)], np.float32), y) for items, y in words()]


def texts(of: dict[str, str]) -> list[tuple[str, str]]:
    return [("".join(items), of["a" if items.count("a") > len(items) / 5 else "b"]) for items, _ in words()]


def tasks() -> Iterator[tuple[str, Any, Any]]:
    """A model of each task, and the examples that it learns from."""
    labels = {"a": "A", "b": "B"}
    yield "label", regard.Labeler(window=(6, 3), positions="rotary", **COMMON), words()
    yield "subwords", regard.Labeler(front_end="subwords", subwords=50, **COMMON), words()
    convolution = regard.Labeler(front_end="vectors", encoder="convolution", positions="sinusoidal", **COMMON)
    yield "convolution", convolution, arrays()
    yield "classify", regard.Classifier(front_end="characters", normalizer="sigmoid", **COMMON), texts(labels)
    yield "pretrain", regard.MaskedModel(front_end="characters", **COMMON), [text for text, _ in texts(labels)]
    transcriber = regard.Transcriber(front_end="characters", target_units="symbols", window=8, **COMMON)
    yield "transcribe", transcriber, [(text, label) for text, label in texts(labels) if len(text) > 2]
    seq2seq = regard.Seq2Seq(front_end="characters", target_units="characters", **COMMON)
    yield "transduce", seq2seq, [(text, text[:5]) for text, _ in texts(labels)]


def train(folder: Path, *, only: Sequence[str] | None = None, batch_tokens: int, **options: Any) -> None:
    """All of them, or some, each into its own run folder."""
    for name, model, examples in tasks():
        if only is None or name in only:
            model.fit(examples, output=folder / name, batch_tokens=batch_tokens, **TRAINING | options)


def stopped_and_gone_on(folder: Path, front_end: str, **options: Any) -> None:
    """The same training twice, once in two sittings; dropout draws, and so do the weights that it drops."""
    choices = COMMON | {"dropout": 0.3, "window": 5, "front_end": front_end}
    options = TRAINING | {"epochs": 2, "batch_tokens": 30} | options
    dev = [(["a", "b"], ["X", "Y"])]
    regard.Labeler(**choices).fit(words(), dev, output=folder / "unbroken", **options)
    model = regard.Labeler(**choices)
    if int(os.environ["RANK"]) == 3:
        model.collate = partial(_collate_or_stop, model.collate, iter(range(10**6)))  # type: ignore[method-assign]
    try:
        model.fit(words(), dev, output=folder / "stopped", **options)
        raise AssertionError("nothing stopped it")
    except KeyboardInterrupt:
        pass
    for _ in range(2):  # to the end, and once more, which does nothing
        regard.Labeler(**choices).fit(words(), dev, output=folder / "stopped", resume=True, **options)


def _collate_or_stop(collate: Any, numbers: Iterator[int], examples: Any) -> Any:
    if next(numbers) == 3:
        signal.raise_signal(signal.SIGINT)
    return collate(examples)


def refused(folder: Path, **options: Any) -> None:
    """Processes that differ in an option, and in how many labels there are: what each of them says goes into a file."""
    rank = int(os.environ["RANK"])
    other = [(items, ["X"] * (len(items) - 1) + ["Z" if rank == 1 else "X"]) for items, _ in words()]
    told = []
    for dropout, examples in ((0.1 if rank == 3 else 0.0, words()), (0.0, other)):
        try:
            regard.Labeler(dim=16, heads=2, depth=1, dropout=dropout).fit(
                examples, output=folder / f"refused {len(told)}", **TRAINING, **options
            )
            told.append("nothing was refused")
        except regard.RegardError as error:
            told.append(str(error))
    (folder / f"refused by {rank}.txt").write_text("\n".join(told))


def held(folder: Path) -> None:
    """Bytes that each process holds of a network in shards, and has for the one it was given: they go into a file."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 2))  # two rows of which some have none
    config = make_config(LabelConfig, {"device": "cpu", "shard": True, "average": 0.9})
    before = [parameter.detach().clone() for parameter in network.parameters()]
    learner = Learner(
        network,
        collate=lambda numbers: torch.ones(len(numbers), 16),  # type: ignore[arg-type,return-value]
        loss=lambda network, batch: (network(batch).square().sum(), len(batch)),
        config=config,
    )
    learner.step([[0], [1]], spare=0, number=0, rate=1e-3, asked=lambda: (False, False))
    tensors = [tensor for tensor in learner.tensors().values() if tensor.dim()]
    told = {"all": sum(tensor.nbytes for tensor in tensors), "own": sum(own(tensor).nbytes for tensor in tensors)}
    told["given"] = memory_of(network)
    with learner.averaged() as whole:
        told["evaluated"] = memory_of(whole)
        told["moved"] = all((x != y).any() for x, y in zip(before, whole.parameters(), strict=True))
    learner.give_back()
    told["given back"] = memory_of(network)
    (folder / f"held by {os.environ['RANK']}.json").write_text(json.dumps(told))


def memory_of(network: torch.nn.Module) -> int:
    return sum(parameter.untyped_storage().nbytes() for parameter in network.parameters())


def train_with_dev(folder: Path) -> None:
    """A training with dev data, which all processes score together."""
    batches.ON_CPU = 40  # a sequence or two
    _, model, pairs = next(row for row in tasks() if row[0] == "transduce")
    model.fit(pairs, dev=pairs, output=folder, batch_tokens=60, **TRAINING)


def found_by_models(folder: Path) -> dict[str, Any]:
    """How good the models of these runs are, what they answer, and what they draw."""
    found: dict[str, Any] = {}
    for name, _, examples in tasks():
        if name not in IN_SHARDS:
            continue
        model = regard.load(folder / name)
        items = [example if isinstance(example, str) else example[0] for example in examples]
        found[f"scores of {name}"] = model.evaluate(examples)
        found[f"vectors of {name}"] = model.encode(items).tolist()
        if name != "pretrain":
            found[f"answers of {name}"] = model.answers(items, top=2)
    found["drawn"] = regard.load(folder / "transduce").sample(items, samples=2, seed=1)
    return found


def commands(folder: Path, written: Path) -> list[list[str]]:
    """Each reads a file of labelled texts, and writes one."""
    data, own = folder.parent / "texts.csv", str(folder / "classify")
    return [
        ["predict", own, str(data), "--top", "2", "--output", str(written / "predicted.csv")],
        ["evaluate", own, str(data), "--json", "--errors", str(written / "errors.csv")],
    ]


def share(folder: Path) -> None:
    """What processes that share batches find goes into a file of each."""
    batches.ON_CPU = 40
    with sharing():
        found = found_by_models(folder)
        try:  # of which one process has others
            regard.load(folder / "label").predict([["a"] * (20 + (int(os.environ["RANK"]) == 1))] * 5)
        except regard.ShapeError as error:
            found["refused"] = str(error)
    (folder / f"shared by {os.environ['RANK']}.json").write_text(json.dumps(found))
    for command in commands(folder, folder):
        assert run(command) == 0


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    warnings.simplefilter("error")
    train(folder / "by two", only=SHARED, batch_tokens=60, sequence_parallel=2)
    train(folder / "by four", only=FOURFOLD, batch_tokens=120, sequence_parallel=4)
    train(folder / "in shards", only=[name for name in IN_SHARDS if name not in DRAWS], batch_tokens=30, shard=True)
    others = {"average": 0.9, "layer_decay": 0.8, "clip": 0.1, "precision": "bfloat16"}
    train(folder / "in shards", only=DRAWS, batch_tokens=30, shard=True, **others)
    train(folder / "whole", only=DRAWS, batch_tokens=30, **others)
    held(folder)
    stopped_and_gone_on(folder / "shared", "words", sequence_parallel=2, checkpoint_seconds=0)
    both = {"sequence_parallel": 2, "shard": True}
    stopped_and_gone_on(folder / "shards", "subwords", **both, average=0.9, batch_tokens=60)
    refused(folder, sequence_parallel=2)
    train_with_dev(folder / "with dev")
    share(folder / "in shards")
