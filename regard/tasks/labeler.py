"""One label for every item of a sequence (N→N): tagging words, labelling frames."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example, span_scheme
from regard.errors import ConfigError, ModelError, RegardError
from regard.ragged import Ragged
from regard.tasks import run_folder
from regard.tasks.baselines import simple_baselines
from regard.tasks.card import write_card
from regard.tasks.examples import check_labels, digest, fill, read
from regard.tasks.network import LabelNetwork, build_network, count_parameters, learn_front_end, restore_front_end
from regard.training.config import Config, Window, make_config
from regard.training.config_file import read_config, write_config
from regard.training.metrics import label_scores
from regard.viewer.maps import Maps
from regard.viewer.recording import record

PREDICT_TOKENS = 4000  # items in a batch of prediction; larger ones leave the cache, and their memory is mapped anew


class Labeler:
    """Learns one label per item from labelled sequences, and predicts them.

    The keywords are the network's options; every default is that of the command line.

    >>> tagger = Labeler(dim=32, depth=1, heads=2)
    >>> sentences = [(["I", "saw", "a", "saw"], ["PRON", "VERB", "DET", "NOUN"])] * 8
    >>> _ = tagger.fit(sentences, epochs=10, batch_tokens=8, average=0)
    >>> tagger.predict([["I", "saw", "a", "saw"]])
    [['PRON', 'VERB', 'DET', 'NOUN']]

    Raises:
        ConfigError: a value that an option does not take.
    """

    def __init__(
        self,
        *,
        front_end: str = "words",
        encoder: str = "attention",
        dim: int = 192,
        depth: int = 3,
        heads: int = 4,
        feed_forward_dim: int | None = None,
        positions: str = "relative",
        position_reach: int = 16,
        window: Window = None,
        causal: bool = False,
        score: str = "dot",
        normalizer: str = "softmax",
        norm: str = "pre",
        dropout: float = 0.3,
        implementation: str = "auto",
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}
        self.config: Config = make_config(options)
        self.labels: list[str] = []
        self.scores: dict[str, Any] = {}
        self._network: LabelNetwork | None = None

    @property
    def network(self) -> LabelNetwork:
        """The network, once there is one."""
        if self._network is None:
            raise RegardError("this Labeler has no network yet: call fit(...), or open a run folder with regard.load")
        return self._network

    # Training

    def fit(
        self,
        train: str | Path | Iterable[Any],
        dev: str | Path | Iterable[Any] | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        format: str = "auto",
        column: str = "upos",
        longest: int = 20_000,
        unseen_labels: str = "refuse",
        epochs: int = 10,
        batch_tokens: int = 1000,
        accumulate: int = 1,
        learning_rate: float = 2e-3,
        warmup: float = 0.1,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        label_smoothing: float = 0.1,
        average: float = 0.998,
        patience: int = 0,
        seed: int = 1,
        device: str = "auto",
        precision: str = "auto",
        checkpoint_seconds: float = 60.0,
        tensorboard: bool = False,
        baselines: str = "simple",
    ) -> Labeler:
        """Trains on a file or an iterable of examples, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a path in any format of docs/formats.md, or an iterable of ``(items, labels)``.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            The rest are the options of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        options = {name: value for name, value in locals().items() if name not in ("self", "resume")}
        for name in ("train", "dev", "output"):
            options[name] = str(options[name]) if isinstance(options[name], str | Path) else None
        self.config = make_config(self.config.model_dump() | options)
        if output is None:
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                raise ConfigError("output: required with several processes, which share the run folder")
            with tempfile.TemporaryDirectory(prefix="regard-") as folder:
                return self._fit(train, dev, Path(folder), resume=False)
        return self._fit(train, dev, Path(output), resume=resume)

    def _fit(self, train: Any, dev: Any, output: Path, *, resume: bool) -> Labeler:
        from regard.training.loop import is_main_process
        from regard.training.loop import train as run_training

        config = self.config
        _check_folder(output, resume=resume)
        examples = read(train, config)
        dev_examples = None if dev is None else read(dev, config)
        self.labels = sorted({label for example in examples for label in example.labels or []})
        if dev_examples is not None:
            check_labels(dev_examples, self.labels, config.unseen_labels)
        torch.manual_seed(config.seed)
        self._network = build_network(config, learn_front_end(config, examples), len(self.labels))
        result = run_training(
            self._network,
            lengths=[len(example.items) for example in examples],
            collate=lambda indices: self._collate([examples[index] for index in indices]),
            loss=lambda network, batch: label_loss(network, batch, smoothing=config.label_smoothing),
            evaluate=None if dev_examples is None else lambda network: self._score(network, dev_examples),
            select="f1" if _has_spans(examples) and _has_spans(dev_examples or []) else "accuracy",
            config=config,
            output=output,
            save=lambda network, folder: self._save(network, folder),
            resume=resume,
            data_digest=digest(examples),
        )
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        run_folder.load_weights(self.network, output / run_folder.WEIGHTS)
        if is_main_process():
            self.scores = self._compare(examples, dev_examples)
            self.scores |= {"training": {"seconds": result.seconds, "tokens_per_second": result.tokens_per_second}}
            run_folder.write_json(self.scores, output / run_folder.SCORES)
            write_card(self, output / run_folder.CARD, examples, dev_examples)
        return self

    def _compare(self, examples: list[Example], dev: list[Example] | None) -> dict[str, Any]:
        """The model and its baselines on dev (on train, said so, where there is no dev)."""
        measured_on, scored = ("train", examples) if dev is None else ("dev", dev)
        scores = {"regard": self._score(self.network, scored)}
        if self.config.baselines != "none":
            scores |= simple_baselines(examples, scored)
        if self.config.baselines == "all":
            for kind in ("pointwise", "sliding"):
                scores[f"{kind} encoder"] = self._trained_baseline(kind, examples, scored if dev is not None else None)
        return {"measured_on": measured_on, "scores": scores}

    def _trained_baseline(self, kind: str, examples: list[Example], dev: list[Example] | None) -> dict[str, float]:
        """An encoder of another kind with as many parameters, trained in the same way."""
        other = Labeler()
        plain = self.config.model_copy(
            update={"encoder": kind, "window": None, "train": None, "dev": None, "output": None, "baselines": "none"}
        )
        other.config = plain.model_copy(update={"feed_forward_dim": _equal_size(plain, self.network)})
        with tempfile.TemporaryDirectory(prefix="regard-") as folder:
            other._fit(examples, dev, Path(folder), resume=False)
        scores: dict[str, float] = other.scores["scores"]["regard"]
        return scores

    # Use

    def evaluate(
        self, source: str | Path | Iterable[Any], *, format: str = "auto", column: str | None = None
    ) -> dict[str, float]:
        """Scores against labelled sequences: ``accuracy``, and where labels are BIO or IOBES the spans' ``f1``."""
        examples = read(source, self.config, format=format, column=column)
        check_labels(examples, self.labels, self.config.unseen_labels)
        return self._score(self.network, examples)

    def predict(self, source: str | Path | Iterable[Any], *, format: str = "auto") -> list[list[str]]:
        """Labels for every sequence, in order: a list of words or an array ``[N, C]`` each, or a file of them."""
        return self._predict(self.network, read(source, self.config, format=format, labelled=False))

    def attention(self, items: Any) -> Maps:
        """Who attends to whom in one sequence: a map ``[N, N]`` for every layer and head."""
        example = read([items], self.config, format="auto", labelled=False)[0]
        network = self.network.eval()
        with torch.inference_mode(), record(network.encoder) as layers:
            network(network.front_end.encode([example.items]).to(_device_of(network)))  # type: ignore[operator]
        if not layers:
            raise RegardError(f"a '{self.config.encoder}' encoder does not attend, so there is nothing to show")
        names = [str(item) for item in example.items] if isinstance(example.items, list) else None
        return Maps([weights.dense()[0] for weights in layers], names)  # [H, N, N] each

    def describe(self) -> dict[str, Any]:
        """What the network is made of, and how many parameters each part has."""
        parts = {name: count_parameters(part) for name, part in self.network.named_children()}
        return {"task": "label", "labels": len(self.labels), "parameters": sum(parts.values()), "parts": parts}

    def _collate(self, examples: list[Example]) -> LabelBatch:
        rows = {label: row for row, label in enumerate(self.labels)}
        labels = [rows[label] for example in examples for label in example.labels or []]
        inputs = self.network.front_end.encode([example.items for example in examples])  # type: ignore[operator]
        return LabelBatch(inputs, torch.tensor(labels, dtype=torch.int64))

    def _score(self, network: nn.Module, examples: list[Example]) -> dict[str, float]:
        return label_scores([example.labels or [] for example in examples], self._predict(network, examples))

    @torch.inference_mode()
    def _predict(self, network: nn.Module, examples: list[Example]) -> list[list[str]]:
        network.eval()
        device, encode = _device_of(network), self.network.front_end.encode
        by_length = sorted(range(len(examples)), key=lambda index: len(examples[index].items))
        predicted: list[list[str]] = [[] for _ in examples]
        for batch in fill(by_length, [len(example) for example in examples], PREDICT_TOKENS):
            logits: Ragged = network(encode([examples[index].items for index in batch]).to(device))  # type: ignore[operator]
            rows, start = logits.values.argmax(1).tolist(), 0
            for index in batch:
                end = start + len(examples[index].items)
                predicted[index] = [self.labels[row] for row in rows[start:end]]
                start = end
        return predicted

    # Files

    def _save(self, network: nn.Module, folder: Path) -> None:
        run_folder.save_weights(network, folder / run_folder.WEIGHTS)
        model = {"task": "label", "labels": self.labels, "front_end": self.network.front_end.vocabulary()}  # type: ignore[operator]
        run_folder.write_json(model, folder / run_folder.MODEL)
        write_config(self.config, folder / run_folder.CONFIG)

    @classmethod
    def from_folder(cls, folder: Path) -> Labeler:
        """Opens what :meth:`fit` wrote into ``output``."""
        model = run_folder.read_json(folder / run_folder.MODEL)
        labeler = cls()
        labeler.config = read_config(folder / run_folder.CONFIG)
        try:
            labeler.labels = list(model["labels"])
            front_end = restore_front_end(labeler.config, model["front_end"])
        except (KeyError, TypeError) as error:
            raise ModelError(f"{folder / run_folder.MODEL}: a part is missing or altered ({error})") from error
        labeler._network = build_network(labeler.config, front_end, len(labeler.labels))
        run_folder.load_weights(labeler._network, folder / run_folder.WEIGHTS)
        if (folder / run_folder.SCORES).is_file():
            labeler.scores = run_folder.read_json(folder / run_folder.SCORES)
        return labeler


class LabelBatch:
    """Encoded sequences and the row of each item's label, ``[T]`` int64."""

    def __init__(self, inputs: Any, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def to(self, device: torch.device | str) -> LabelBatch:
        return LabelBatch(self.inputs.to(device), self.labels.to(device))


def label_loss(network: nn.Module, batch: LabelBatch, *, smoothing: float) -> tuple[Tensor, int]:
    """The summed cross-entropy of a batch, and the number of labels in it."""
    logits: Ragged = network(batch.inputs)
    loss = F.cross_entropy(logits.values.float(), batch.labels, reduction="sum", label_smoothing=smoothing)
    return loss, len(batch.labels)


def _check_folder(output: Path, *, resume: bool) -> None:
    if output.is_file():
        raise ConfigError(f"output: {output} is a file; name a folder to write the run into")
    if not resume and (output / run_folder.WEIGHTS).is_file():
        raise ConfigError(f"output: {output} already holds a run; choose another folder, delete it, or resume it")


def _has_spans(examples: list[Example]) -> bool:
    return span_scheme(example.labels or [] for example in examples) is not None


def _equal_size(config: Config, network: LabelNetwork) -> int:
    """The inner width that gives this kind of encoder as many parameters as the network's own."""
    one, two = (
        count_parameters(build_network(config.model_copy(update={"feed_forward_dim": dim}), nn.Identity(), 1).encoder)
        for dim in (64, 128)
    )
    more = two - one  # 0 without layers, where any width will do
    return 64 if more == 0 else max(1, 64 + round((count_parameters(network.encoder) - one) * 64 / more))


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
