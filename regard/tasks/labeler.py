"""One label for every item of a sequence (N→N): tagging words, labelling frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example, span_scheme
from regard.ragged import Ragged
from regard.tasks import fitting
from regard.tasks.baselines import simple_baselines
from regard.tasks.examples import Source, check_labels, read
from regard.tasks.network import learn_front_end, make_encoder, restore_front_end
from regard.training.config import LabelConfig, make_config, with_options
from regard.training.metrics import label_scores
from regard.viewer.maps import Maps


class LabelNetwork(nn.Module):
    """One row of label scores for every item: ``head(encoder(front_end(inputs)))``, ``[T, labels]``.

    An item of several tokens is labelled by the first of them.
    """

    front_end: Any  # FrontEnd and Module in one

    def __init__(self, front_end: nn.Module, encoder: nn.Module, *, dim: int, labels: int) -> None:
        super().__init__()
        self.front_end, self.encoder = front_end, encoder
        self.head = nn.Linear(dim, labels)

    def forward(self, inputs: Any) -> Ragged:
        vectors: Ragged = self.encoder(self.front_end(inputs))
        firsts = getattr(inputs, "firsts", None)
        if firsts is not None:
            vectors = Ragged(F.embedding(firsts, vectors.values), inputs.word_offsets)
        return vectors.with_values(self.head(vectors.values))


class Labeler:
    """Learns one label per item from labelled sequences, and predicts them.

    The keywords are the options of `regard train label`, with the same defaults; those of the network belong here,
    those of data and training to :meth:`fit`.

    >>> tagger = Labeler(dim=32, depth=1, heads=2)
    >>> sentences = [(["I", "saw", "a", "saw"], ["PRON", "VERB", "DET", "NOUN"])] * 8
    >>> _ = tagger.fit(sentences, epochs=10, batch_tokens=8, average=0)
    >>> tagger.predict([["I", "saw", "a", "saw"]])
    [['PRON', 'VERB', 'DET', 'NOUN']]

    Raises:
        ConfigError: an option that does not exist, or a value that one does not take.
    """

    @with_options(LabelConfig, "Network")
    def __init__(self, **options: Any) -> None:
        self.config = make_config(LabelConfig, options)
        self.labels: list[str] = []
        self.scores: dict[str, Any] = {}
        self._network: LabelNetwork | None = None

    @property
    def network(self) -> LabelNetwork:
        """The network, once there is one."""
        network: LabelNetwork = fitting.network_of(self)
        return network

    @with_options(LabelConfig, "Data", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
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
        return fitting.fit(self, train, dev, output, options, resume=resume)

    def evaluate(self, source: Source, *, format: str = "auto", column: str | None = None) -> dict[str, float]:
        """Scores against labelled sequences: ``accuracy``, and where labels are BIO or IOBES the spans' ``f1``."""
        examples = read(source, self.config, format=format, column=column)
        check_labels(examples, self.labels, self.config.unseen_labels)
        return self._score(self.network, examples)

    def predict(self, source: Source, *, format: str = "auto") -> list[list[str]]:
        """Labels for every sequence, in order: a list of words or an array ``[N, C]`` each, or a file of them."""
        return self._predict(self.network, read(source, self.config, format=format, labelled=False))

    def attention(self, items: Any) -> Maps:
        """Who attends to whom in one sequence: a map ``[N, N]`` for every layer and head."""
        example = read([items], self.config, format="auto", labelled=False)[0]
        return fitting.attention_maps(self.network, example)

    def describe(self) -> dict[str, Any]:
        """What the network is made of, and how many parameters each part has."""
        return {"task": "label", "labels": len(self.labels), **fitting.parts_of(self.network)}

    # What the functions of regard.tasks.fitting ask for

    def _read(self, source: Source, part: str) -> Sequence[Example]:
        return read(source, self.config)

    def _learn(self, train: Sequence[Example], dev: Sequence[Example] | None) -> LabelNetwork:
        self.labels = sorted({label for example in train for label in example.labels or []})
        if dev is not None:
            check_labels(dev, self.labels, self.config.unseen_labels)
        return self._build(learn_front_end(self.config, self.config.front_end, [example.items for example in train]))

    def _build(self, front_end: nn.Module) -> LabelNetwork:
        return LabelNetwork(front_end, make_encoder(self.config), dim=self.config.dim, labels=len(self.labels))

    def _length(self, example: Example) -> int:
        return len(example)

    def _collate(self, examples: Sequence[Example]) -> LabelBatch:
        rows = {label: row for row, label in enumerate(self.labels)}
        labels = [rows[label] for example in examples for label in example.labels or []]
        inputs = self.network.front_end.encode([example.items for example in examples])
        return LabelBatch(inputs, torch.tensor(labels, dtype=torch.int64))

    def _loss(self, network: nn.Module, batch: LabelBatch) -> tuple[Tensor, int]:
        logits = network(batch.inputs).values.float()
        loss = F.cross_entropy(logits, batch.labels, reduction="sum", label_smoothing=self.config.label_smoothing)
        return loss, len(batch.labels)

    def _select(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        return "f1" if _has_spans(train) and _has_spans(dev or []) else "accuracy"

    def _score(self, network: nn.Module, examples: Sequence[Example], *, final: bool = True) -> dict[str, float]:
        return label_scores([example.labels or [] for example in examples], self._predict(network, examples))

    @torch.inference_mode()
    def _predict(self, network: nn.Module, examples: Sequence[Example]) -> list[list[str]]:
        network.eval()
        device, encode = fitting.device_of(network), self.network.front_end.encode
        predicted: list[list[str]] = [[] for _ in examples]
        for batch in fitting.batches_by_length(self, examples):
            logits: Ragged = network(encode([examples[index].items for index in batch]).to(device))
            rows, start = logits.values.argmax(1).tolist(), 0
            for index in batch:
                end = start + len(examples[index].items)
                predicted[index] = [self.labels[row] for row in rows[start:end]]
                start = end
        return predicted

    def _baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> fitting.Scores:
        return simple_baselines(train, scored)

    def _draw(self, scored: Sequence[Example], folder: Path) -> None:
        """There is nothing to draw."""

    def _vocabulary(self) -> dict[str, Any]:
        return {"labels": self.labels, "front_end": self.network.front_end.vocabulary()}

    def _restore(self, vocabulary: dict[str, Any]) -> LabelNetwork:
        self.labels = list(vocabulary["labels"])
        return self._build(restore_front_end(self.config, self.config.front_end, vocabulary["front_end"]))


class LabelBatch:
    """Encoded sequences and the row of each item's label, ``[T]`` int64."""

    def __init__(self, inputs: Any, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def to(self, device: torch.device | str) -> LabelBatch:
        return LabelBatch(self.inputs.to(device), self.labels.to(device))


def _has_spans(examples: Sequence[Example]) -> bool:
    return span_scheme(example.labels or [] for example in examples) is not None
