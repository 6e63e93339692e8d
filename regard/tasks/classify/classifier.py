"""One label for a whole sequence (N→1): the kind of a message, who is speaking."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example, Source
from regard.data.goals import check_known
from regard.data.items import fewest
from regard.errors import ConfigError, RegardError
from regard.front_ends import FRONT_ENDS
from regard.nn import Pooling
from regard.parallel.rows import counted_once
from regard.ragged import offsets_of
from regard.recording import Recording
from regard.tasks import files, fitting
from regard.tasks.candidates import USUAL, as_pairs, best_of, check_top, given
from regard.tasks.classify.baselines import class_baselines
from regard.tasks.classify.network import ClassBatch, ClassNetwork
from regard.tasks.classify.ngrams import NGrams
from regard.tasks.classify.options import ClassifyConfig
from regard.tasks.classify.scoring import scores_of
from regard.tasks.continuing import check_no_new
from regard.tasks.model import Columns, Details, Scores
from regard.tasks.model_base import ModelBase
from regard.tasks.run_folder import CALIBRATION, CONFUSION, checked_labels
from regard.tasks.vectors import as_array, pooled, windows_of
from regard.training.config import make_config, with_options
from regard.training.metrics import pair_scores
from regard.viewer.telltales import Watched

logger = logging.getLogger(__name__)


class Classifier(ModelBase[ClassifyConfig, ClassNetwork]):
    """Learns one label per sequence from labelled examples, and predicts them.

    The keywords are the options of `regard train classify`, with the same defaults; those of the network belong here,
    those of data and training to :meth:`fit`.

    >>> sorter = Classifier(front_end="characters", dim=32, depth=1, heads=2)
    >>> _ = sorter.fit([("good", "+"), ("bad", "-")] * 20, epochs=5, batch_tokens=40, average=0)
    >>> sorter.predict(["bad", "good"])
    ['-', '+']

    Raises:
        ConfigError: an option that does not exist, or a value that one does not take.
    """

    @with_options(ClassifyConfig, "Network")
    def __init__(self, **options: Any) -> None:
        super().__init__(make_config(ClassifyConfig, options))
        self.labels: list[str] = []
        self._weights: Tensor | None = None  # of the labels in the loss
        self._ngrams: NGrams | None = None  # learned, for the next network

    @with_options(ClassifyConfig, "Data", "Reading", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | float | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
    ) -> Classifier:
        """Trains on a file or an iterable of examples, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a path in any format of docs/formats.md, an iterable of ``(text, label)``, or a table with
                columns of them; instead of a text a list of words, or an array ``[N, C]``.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            options: those of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        return fitting.fit(self, train, dev, output, options, resume=resume)

    @with_options(ClassifyConfig, "Reading")
    def evaluate(
        self,
        source: Source,
        *,
        format: str = "auto",
        column: str | None = None,
        confusion: str | Path | None = None,
        calibration: str | Path | None = None,
        pairs: bool = False,
        by_label: bool = False,
        errors: str | Path | None = None,
        **reading: Any,
    ) -> dict[str, Any]:
        """Scores against labelled examples: see :func:`regard.training.metrics.class_scores`.

        Arguments:
            confusion: a PNG to write, which shows which labels are taken for which.
            calibration: a PNG to write, which shows how far probabilities are to be believed.
            pairs: whether to tell the ``equal_error_rate`` too, by which :meth:`encode` tells whether two examples have
                the same label; with ``unseen_labels="count-wrong"`` of labels that training never had, too.
            by_label: whether to tell ``precision``, ``recall``, ``f1`` and ``support`` of every label under that name.
            errors: a file to write, .tsv, .csv or .jsonl: a row for each wrong label, most confident first.
            reading: options of reading that are not to be as in training, ``text_column`` or ``delimiter``, say.
        """
        details = fitting.details_for(by_label, errors)
        examples = files.read(self, source, format=format, column=column, **reading)
        self.check(examples)
        chances = self._chances(self.network, examples)
        scores: dict[str, Any] = scores_of(
            examples, chances, self.labels, confusion=confusion, calibration=calibration, details=details
        )
        if pairs:
            scores |= pair_scores(self._encoded(examples).numpy(), [example.goal for example in examples])
        return fitting.with_details(scores, details, by_label=by_label, errors=errors)

    @with_options(ClassifyConfig, "Reading")
    def predict(self, source: Source, *, format: str = "auto", **reading: Any) -> list[str]:
        """A label for every example, in order: texts, lists of words or arrays ``[N, C]``, or a file of them.

        Options of reading that are not to be as in training can be given, ``text_column`` or ``delimiter``, say.
        """
        rows = self.probabilities(source, format=format, **reading)
        return [max(chances, key=chances.__getitem__) for chances in rows]

    @with_options(ClassifyConfig, "Reading")
    def probabilities(self, source: Source, *, format: str = "auto", **reading: Any) -> list[dict[str, float]]:
        """How likely each label is, for every example."""
        examples = files.read(self, source, labelled=False, format=format, **reading)
        self._check_held(examples)
        rows = self._chances(self.network, examples)
        return [dict(zip(self.labels, row, strict=True)) for row in rows.tolist()]

    @with_options(ClassifyConfig, "Reading")
    def encode(
        self, source: Source, *, normalize: bool = False, format: str = "auto", **reading: Any
    ) -> NDArray[np.float32]:
        """One vector for every example, ``[N, dim]``: what the whole sequence was pooled to, which the head reads.

        Examples of one label point in about the same direction: the cosine between two tells how alike they are.

        Arguments:
            normalize: whether each is divided by its length, so that a product of two is their cosine.
            reading: options of reading that are not to be as in training, ``text_column`` or ``delimiter``, say.
        """
        examples = given(self, source, format, **reading)
        self._check_held(examples)
        return as_array(self._encoded(examples), normalize=normalize)

    @with_options(ClassifyConfig, "Reading")
    def candidates(
        self, source: Source, *, top: int = USUAL, format: str = "auto", **reading: Any
    ) -> list[list[tuple[str, float]]]:
        """The ``top`` likeliest labels of every example with their probabilities, best first."""
        answers = self.answers(source, top=top, format=format, **reading)
        return [as_pairs(answer["candidates"]) for answer in answers]

    @with_options(ClassifyConfig, "Reading")
    def answers(
        self, source: Source, *, format: str = "auto", top: int | None = None, **reading: Any
    ) -> list[dict[str, Any]]:
        """For each example its ``label``, the ``score``, how likely that is, and the ``probabilities`` of all.

        With ``top`` in the place of the latter ``candidates``, so many of the likeliest, each with its ``score``.
        """
        check_top(top)
        examples = given(self, source, format, **reading)
        self._check_held(examples)
        chances = self._chances(self.network, examples)
        best = best_of(chances, self.labels, 1 if top is None else top)
        if top is not None:
            return [{**some[0], "candidates": some} for some in best]
        return [
            {
                **some[0],
                "probabilities": {label: round(chance, 6) for label, chance in zip(self.labels, row, strict=True)},
            }
            for some, row in zip(best, chances.tolist(), strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """What the network is made of, and how many parameters each part has."""
        facts = super().describe()
        if (ngrams := self.network.ngrams) is None:
            return facts
        del facts["parts"]["ngrams"]  # which has no parameters
        network, wide = (round(share, 3) for share in ngrams.shares.tolist())
        return facts | {"ngrams": {"weights": ngrams.weight.numel(), "share": wide, "share_of_network": network}}

    # The protocol of regard.tasks.model

    def front_ends(self) -> dict[str, str]:
        config = self.config
        if config.mixup + config.cutmix > 1:
            raise ConfigError(
                f"mixup, cutmix: shares of all batches (and not alpha), at most 1 together, got {config.mixup:g} and "
                f"{config.cutmix:g}"
            )
        if config.mixup + config.cutmix and not FRONT_ENDS[config.front_end].grid:
            raise ConfigError(f"mixup, cutmix: they mix images, got front_end {config.front_end}; leave them out")
        return {"front_end": config.front_end}

    def columns(self) -> Columns:
        return {"column": self.config.column, "item_column": self.config.text_column}

    def learn_labels(self, train: Sequence[Example], known: list[str] | None = None) -> None:
        counts = Counter(example.goal for example in train)
        if known is not None:
            check_no_new([*counts], known)
        self.labels = sorted(counts) if known is None else known
        if self.config.class_weights == "balanced":
            mean = len(train) / len(counts)
            self._weights = torch.tensor([mean / max(1, counts[label]) for label in self.labels])
        self._ngrams = self._new_ngrams()
        if self._ngrams is not None and known is None and len(counts) > 1:
            rows = {label: row for row, label in enumerate(self.labels)}
            self._ngrams.learn(
                train,
                [rows[example.goal] for example in train],
                balanced=self.config.class_weights == "balanced",
                seed=self.config.seed,
            )

    def _new_ngrams(self) -> NGrams | None:
        """What n-grams tell, with nothing learned yet; None where there are no texts, or none are asked for."""
        if not self.config.ngrams or files.item_kind(self.config) not in ("text", "words"):
            return None
        return NGrams(self.config.ngrams, len(self.labels))

    def check_sizes(self, examples: Sequence[Example]) -> None:
        for example in examples:
            files.check_windowed(self.config, example, fewest(example.items))

    def check(self, examples: Sequence[Example]) -> None:
        """Also tells of long sequences: they are not cut without a word."""
        check_known(examples, self.labels, self.config.unseen_labels)
        longest = files.longest_window(self.config)
        long = sum(length > longest for length in self._checked_lengths(examples))
        if long:
            logger.warning(
                "%d of %d sequences are longer than %d items: they are read in overlapping windows of that length, "
                "whose scores are averaged (longest=N for another length)",
                long,
                len(examples),
                longest,
            )

    def _check_held(self, examples: Sequence[Example]) -> None:
        """Refuses what is too long to be held; recordings are read window by window."""
        self._checked_lengths([example for example in examples if not isinstance(example.items, Recording)])

    def _checked_lengths(self, examples: Sequence[Example]) -> list[int]:
        lengths = []
        for example in examples:
            files.check_windowed(self.config, example, fewest(example.items))
            lengths.append(self.length(example))
            files.check_windowed(self.config, example, lengths[-1])
        return lengths

    def build(self, front_ends: dict[str, nn.Module]) -> ClassNetwork:
        config = self.config
        pool = Pooling(config.pooling, dim=config.dim, heads=config.heads, implementation=config.implementation)
        encoder = fitting.make_encoder(config)
        ngrams, self._ngrams = self._new_ngrams() if self._ngrams is None else self._ngrams, None
        return ClassNetwork(
            front_ends["front_end"], encoder, pool, dim=config.dim, labels=len(self.labels), ngrams=ngrams
        )

    def _windows(self, example: Example) -> list[Any]:
        """The items whole, or the windows in which they are read."""
        return windows_of(self.network.front_end, example.items, files.longest_window(self.config))

    def collate(self, examples: Sequence[Example]) -> ClassBatch:
        parts = [self._windows(example) for example in examples]
        offsets = offsets_of([len(part) for part in parts])
        rows = {label: row for row, label in enumerate(self.labels)}
        labels = torch.tensor([rows.get(example.goal or "", 0) for example in examples], dtype=torch.int64)
        inputs = self.network.front_end.encode([window for part in parts for window in part])
        if int(offsets[-1]) == len(examples) and (cut := self._mixing()) is not None:
            inputs, others, shares = self.network.front_end.mixed(inputs, cut=cut)
            return ClassBatch(inputs, offsets, labels, labels[others], shares)
        return ClassBatch(inputs, offsets, labels)

    def _mixing(self) -> bool | None:
        """How this batch is mixed: with parts of other images, or with all of them; None: it is not."""
        mixup, cutmix = self.config.mixup, self.config.cutmix
        if not mixup + cutmix or not self.network.training:
            return None
        drawn = float(torch.rand(()))
        return None if drawn >= mixup + cutmix else drawn >= mixup

    def loss(self, network: nn.Module, batch: ClassBatch) -> tuple[Tensor, int]:
        logits = network(batch.inputs, batch.offsets).float()
        if batch.others is None or batch.shares is None:
            losses = self._cross_entropy(logits, batch.labels)
        else:
            own, other = (self._cross_entropy(logits, labels) for labels in (batch.labels, batch.others))
            losses = batch.shares * own + (1 - batch.shares) * other
        return counted_once(self.network.encoder.processes, losses.sum(), len(batch.labels))

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``[B]``."""
        weights = None if self._weights is None else self._weights.to(logits.device)
        smoothing = self.config.label_smoothing
        return F.cross_entropy(logits, labels, weight=weights, reduction="none", label_smoothing=smoothing)

    def metric(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        return "macro_f1" if self.config.class_weights == "balanced" else "accuracy"

    def score(
        self,
        network: nn.Module,
        examples: Sequence[Example],
        *,
        final: bool = True,
        pictures: Path | None = None,
        details: Details | None = None,
    ) -> dict[str, float]:
        chances = self._chances(network, examples, learning=not final)
        confusion, calibration = (None, None) if pictures is None else (pictures / CONFUSION, pictures / CALIBRATION)
        return scores_of(examples, chances, self.labels, confusion=confusion, calibration=calibration, details=details)

    def _chances(self, network: nn.Module, examples: Sequence[Example], *, learning: bool = False) -> Tensor:
        """``[N, labels]``, rows sum to 1; while it is learning, they also tell how far n-grams are to be believed."""
        deep, ngrams = self._rows(network, network, examples, len(self.labels)), self.network.ngrams
        if ngrams is None:
            return deep.softmax(1)
        wide = ngrams([example.items for example in examples])
        if learning:
            rows = {label: row for row, label in enumerate(self.labels)}
            known = [number for number, example in enumerate(examples) if example.goal in rows]
            ngrams.believe(deep[known], wide[known], torch.tensor([rows[examples[n].goal] for n in known]))
        return ngrams.join(deep, wide).softmax(1)

    def _encoded(self, examples: Sequence[Example]) -> Tensor:
        """``[N, dim]``."""
        return self._rows(self.network, self.network.embed, examples, self.config.dim)

    def _rows(self, network: nn.Module, read: Callable[..., Tensor], examples: Sequence[Example], width: int) -> Tensor:
        """``[N, width]``: what ``read`` makes of each, of a long one the mean over its windows."""
        network.eval()
        windows = [self._windows(example) for example in examples]
        front_end = self.network.front_end
        return pooled(front_end, lambda inputs, count: read(inputs, torch.arange(count + 1)), windows, width)

    @torch.no_grad()
    def watched(self, example: Example) -> Watched:
        network = self.network.eval()
        batch = self.collate([example]).to(fitting.device_of(network))
        if len(self._windows(example)) > 1:
            raise RegardError(f"a sequence of at most {files.longest_window(self.config)} items, which is read at once")
        ngrams = network.ngrams
        wide = None if ngrams is None else ngrams([example.items])

        def chances() -> Tensor:
            deep: Tensor = network(batch.inputs, batch.offsets).cpu()
            return (deep if ngrams is None or wide is None else ngrams.join(deep, wide)).float().log_softmax(1)

        row = int(chances()[0].argmax())
        return Watched(network, lambda: chances()[:, row], [self.labels[row]])

    def baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
        return class_baselines(train, scored, self.labels, getattr(self.network.front_end, "frames", np.asarray))

    def vocabulary(self) -> dict[str, Any]:
        return {"labels": self.labels, "front_end": self.network.front_end.vocabulary()}

    def restore(self, vocabulary: dict[str, Any]) -> None:
        self.labels = checked_labels(vocabulary)
