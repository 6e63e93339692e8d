"""What all tasks have in common: options, training into a run folder, opening it again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from regard.data import Example
from regard.errors import ConfigError, ModelError, RegardError
from regard.tasks import run_folder
from regard.tasks.card import write_card
from regard.tasks.examples import Source, digest
from regard.tasks.network import count_parameters
from regard.tasks.pretrained import fit_options, open_pretrained, take_over
from regard.training.config import make_config
from regard.training.config_file import read_config, write_config
from regard.viewer.maps import Maps
from regard.viewer.recording import record

PREDICT_TOKENS = 4000  # items in a batch of prediction; larger ones leave the cache, and their memory is mapped anew
Scores = dict[str, dict[str, float]]


class Model(Protocol):
    """A task as the functions here see it. What is private is the task's own part; each file of a task shows it all."""

    config: Any
    scores: dict[str, Any]
    _network: Any

    def describe(self) -> dict[str, Any]:
        """What the network is made of, for people."""

    def _read(self, source: Source, part: str) -> Sequence[Example]:
        """The examples of a file or an iterable, checked; ``part`` is "train" or "dev"."""

    def _learn(self, train: Sequence[Example], dev: Sequence[Example] | None) -> nn.Module:
        """Vocabularies of the training data, and a new network for them."""

    def _length(self, example: Example) -> int:
        """Items of an example, by which batches are filled."""

    def _collate(self, examples: Sequence[Example]) -> Any:
        """A batch with ``.to(device)``."""

    def _loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, int]:
        """Summed over a batch, and the number of things it is a sum over."""

    def _score(self, network: nn.Module, examples: Sequence[Example], *, final: bool = True) -> dict[str, float]:
        """Metrics, most from 0 to 1; those of a network that still learns may come of a quicker prediction."""

    def _select(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        """The metric that chooses the weights to keep."""

    def _baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
        """What simple things score that were learned from ``train``."""

    def _draw(self, scored: Sequence[Example], folder: Path) -> None:
        """Pictures of the result beside the loss curve, if this task has any."""

    def _vocabulary(self) -> dict[str, Any]:
        """What is needed beside weights and options to build the network again, ready for JSON."""

    def _restore(self, vocabulary: dict[str, Any]) -> nn.Module:
        """The network for what :meth:`_vocabulary` gave."""


M = TypeVar("M", bound=Model)


def network_of(model: Model) -> Any:
    """The network, once there is one."""
    if model._network is None:
        name = type(model).__name__
        raise RegardError(f"this {name} has no network yet: call fit(...), or open a run folder with regard.load")
    return model._network


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def fit(
    model: M,
    train: Source,
    dev: Source | None,
    output: str | Path | None,
    options: dict[str, Any],
    *,
    resume: bool,
) -> M:
    """Trains, and leaves in ``model`` and in ``output`` the weights that did best on ``dev``."""
    options = {name: str(given) if isinstance(given, Path) else given for name, given in options.items()}
    for name, given in (("train", train), ("dev", dev), ("output", output)):
        options[name] = str(given) if isinstance(given, str | Path) else None
    model.config = make_config(type(model.config), model.config.model_dump(exclude_unset=True) | options)
    if output is None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError("output: required with several processes, which share the run folder")
        with tempfile.TemporaryDirectory(prefix="regard-") as folder:
            return _fit(model, train, dev, Path(folder), resume=False)
    return _fit(model, train, dev, Path(output), resume=resume)


def _fit(model: M, train: Source, dev: Source | None, output: Path, *, resume: bool) -> M:
    from regard.training.loop import is_main_process
    from regard.training.loop import train as run_training

    _check_folder(output, resume=resume)
    examples = model._read(train, "train")
    dev_examples = None if dev is None else model._read(dev, "dev")
    start = None if model.config.pretrained is None else open_pretrained(model.config.pretrained)
    if start is not None:
        model.config = fit_options(model.config, start)
    torch.manual_seed(model.config.seed)
    network = model._network = model._learn(examples, dev_examples)
    if start is not None:
        take_over(network, start)
    result = run_training(
        network,
        lengths=[model._length(example) for example in examples],
        collate=lambda indices: model._collate([examples[index] for index in indices]),
        loss=model._loss,
        evaluate=None if dev_examples is None else lambda network: model._score(network, dev_examples, final=False),
        select=model._select(examples, dev_examples),
        config=model.config,
        output=output,
        save=lambda network, folder: save(model, network, folder),
        resume=resume,
        data_digest=digest(examples),
    )
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    run_folder.load_weights(network, output / run_folder.WEIGHTS)
    if is_main_process():
        measured_on, scored = ("train", examples) if dev_examples is None else ("dev", dev_examples)
        scores = {"regard": model._score(network, scored)}
        if model.config.baselines != "none":
            scores |= model._baselines(examples, scored)
        if model.config.baselines == "all":
            for kind in ("pointwise", "sliding"):
                scores[f"{kind} encoder"] = _other_encoder(model, kind, examples, dev_examples)
        training = {"seconds": result.seconds, "tokens_per_second": result.tokens_per_second}
        model.scores = {"measured_on": measured_on, "scores": scores, "training": training}
        run_folder.write_json(model.scores, output / run_folder.SCORES)
        model._draw(scored, output)
        write_card(model, output / run_folder.CARD, examples, dev_examples)
    return model


def _check_folder(output: Path, *, resume: bool) -> None:
    if output.is_file():
        raise ConfigError(f"output: {output} is a file; name a folder to write the run into")
    if not resume and (output / run_folder.WEIGHTS).is_file():
        raise ConfigError(f"output: {output} already holds a run; choose another folder, delete it, or resume it")


def _other_encoder(
    model: Model, kind: str, train: Sequence[Example], dev: Sequence[Example] | None
) -> dict[str, float]:
    """What an encoder of another kind with as many parameters scores, trained in the same way."""
    other = type(model)()
    plain = {"encoder": kind, "window": None, "train": None, "dev": None, "output": None, "baselines": "none"}
    other.config = model.config.model_copy(update=plain)
    other.config = other.config.model_copy(update={"feed_forward_dim": _equal_size(other, train, network_of(model))})
    with tempfile.TemporaryDirectory(prefix="regard-") as folder:
        _fit(other, train, dev, Path(folder), resume=False)
    scores: dict[str, float] = other.scores["scores"]["regard"]
    return scores


def _equal_size(model: Model, train: Sequence[Example], network: Any) -> int:
    """The inner width that gives this model's encoder as many parameters as the network's own."""
    sizes = []
    for width in (64, 128):
        model.config = model.config.model_copy(update={"feed_forward_dim": width})
        sizes.append(count_parameters(model._learn(train, None).encoder))  # type: ignore[arg-type]
    more = sizes[1] - sizes[0]  # 0 without layers, where any width will do
    return 64 if more == 0 else max(1, 64 + round((count_parameters(network.encoder) - sizes[0]) * 64 / more))


class Items:
    """The items of examples one after another, as often as they are asked for; what is read from disk is not held."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self.examples = examples

    def __iter__(self) -> Iterator[Any]:
        return (example.items for example in self.examples)


def batches_by_length(model: Model, examples: Sequence[Example]) -> Iterator[list[int]]:
    """Numbers of examples of about one length, at most `PREDICT_TOKENS` items in all; a longer one stands alone."""
    lengths = [model._length(example) for example in examples]
    return fill(sorted(range(len(examples)), key=lengths.__getitem__), lengths, PREDICT_TOKENS)


def fill(order: Iterable[int], lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Consecutive indices in batches of at most ``budget`` items; a longer sequence stands alone."""
    batch: list[int] = []
    filled = 0
    for index in order:
        if batch and filled + lengths[index] > budget:
            yield batch
            batch, filled = [], 0
        batch.append(index)
        filled += lengths[index]
    if batch:
        yield batch


@torch.inference_mode()
def attention_maps(network: Any, example: Example) -> Maps:
    """Who attends to whom in one example, by layer and head of the encoder."""
    inputs = network.eval().front_end.encode([example.items]).to(device_of(network))
    with record(network.encoder) as layers:
        network.encoder(network.front_end(inputs))
    if not layers:
        raise RegardError("this encoder does not attend, so there is nothing to show; see the option `encoder`")
    names = network.front_end.names(example.items)
    return Maps([weights.dense()[0] for weights in layers], names)  # [H, N, N] each


# Files


def save(model: Model, network: nn.Module, folder: Path) -> None:
    """Weights, vocabularies and options into a run folder."""
    run_folder.save_weights(network, folder / run_folder.WEIGHTS)
    run_folder.write_json({"task": model.config.task, **model._vocabulary()}, folder / run_folder.MODEL)
    write_config(model.config, folder / run_folder.CONFIG)


def from_folder(model: M, folder: Path) -> M:
    """Fills a new model with what :func:`fit` wrote."""
    vocabulary = run_folder.read_json(folder / run_folder.MODEL)
    model.config = read_config(folder / run_folder.CONFIG, type(model.config))
    try:
        model._network = model._restore(vocabulary)
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder / run_folder.MODEL}: a part is missing or altered ({error})") from error
    run_folder.load_weights(model._network, folder / run_folder.WEIGHTS)
    if (folder / run_folder.SCORES).is_file():
        model.scores = run_folder.read_json(folder / run_folder.SCORES)
    return model


def parts_of(network: nn.Module) -> dict[str, Any]:
    """How many parameters each part of a network has."""
    parts = {name: count_parameters(part) for name, part in network.named_children()}
    return {"parameters": sum(parts.values()), "parts": parts}
