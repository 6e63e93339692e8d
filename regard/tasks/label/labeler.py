"""One label for every item of a sequence (N→N): tagging words, labelling recordings in time and images by pixel."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example, Source
from regard.data.items import fewest
from regard.data.masks import NAMES
from regard.errors import ConfigError
from regard.ragged import Ragged
from regard.tasks import files, fitting
from regard.tasks.batches import in_batches
from regard.tasks.candidates import USUAL, check_top, given
from regard.tasks.continuing import check_no_new
from regard.tasks.label import masks
from regard.tasks.label.frames import Smoothing
from regard.tasks.label.kinds import KINDS, Kind
from regard.tasks.label.network import LabelBatch, LabelNetwork, Seen
from regard.tasks.label.options import LONGEST_SMOOTHING, LabelConfig
from regard.tasks.label.reader import Labelled, LabelReader
from regard.tasks.label.recordings import SHORTEST_PIECE, pieces
from regard.tasks.model import Columns, Details, Scores
from regard.tasks.model_base import ModelBase
from regard.tasks.run_folder import checked_labels
from regard.tasks.streams import Stream, Streams, in_pieces, is_read_in_pieces
from regard.training.config import make_config, with_options
from regard.viewer.telltales import Watched

logger = logging.getLogger(__name__)


class Labeler(ModelBase[LabelConfig, LabelNetwork]):
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
        super().__init__(make_config(LabelConfig, options))
        self.labels: list[str] = []

    @with_options(LabelConfig, "Data", "Reading", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | float | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
    ) -> Labeler:
        """Trains on a file or an iterable of examples, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a path in any format of docs/formats.md, an iterable of ``(items, labels)``, of
                ``(recording, segments)`` where the front end is audio, of ``(image, mask)`` where it is pixels or
                patches, or a table with columns of them.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            options: those of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        return fitting.fit(self, train, dev, output, options, resume=resume, cut=self._pieces)

    @with_options(LabelConfig, "Reading")
    def evaluate(
        self,
        source: Source,
        *,
        format: str = "auto",
        column: str | None = None,
        smooth: float | None = None,
        shortest: float | None = None,
        by_label: bool = False,
        errors: str | Path | None = None,
        **reading: Any,
    ) -> dict[str, Any]:
        """Scores against labelled sequences: ``accuracy``, and where labels are BIO or IOBES the spans' ``f1``.

        Of recordings ``accuracy`` is that of the labels of vectors; see
        :func:`regard.tasks.label.metrics.segment_scores` for the errors of segments. ``smooth`` and ``shortest`` are
        the options of those names, where they are not to be as in training. Of images ``accuracy`` and ``mean_iou``
        are those of pixels; see :func:`regard.tasks.label.masks.mask_scores`.

        With ``by_label`` the same dict has ``precision``, ``recall``, ``f1`` and ``support`` of every label, or type
        of span, under that name. ``errors`` is a file to write, .tsv, .csv or .jsonl: a row for each wrong item, those
        first of which the network is most sure. ``reading``: options of reading that are not to be as in training,
        ``text_column`` or ``delimiter``, say.
        """
        details = fitting.details_for(by_label, errors)
        examples = files.read(self, source, format=format, column=column, **reading)
        self._check_labels(examples)
        self._check_lengths(examples, in_pieces=True)
        smoothing = self._smoothing(smooth, shortest)
        scores = self._measure(self.network, examples, smoothing, final=True, details=details)
        return fitting.with_details(scores, details, by_label=by_label, errors=errors)

    @with_options(LabelConfig, "Reading")
    def predict(
        self,
        source: Source,
        *,
        format: str = "auto",
        smooth: float | None = None,
        shortest: float | None = None,
        **reading: Any,
    ) -> list[Any]:
        """Labels for every sequence, in order: a list of words or an array ``[N, C]`` each, or a file of them.

        For every recording, a path say, a list of :class:`Segment`, times in seconds; for every image an array
        ``[rows, columns]`` with the number of each pixel's label, as masks have them. ``reading`` as in
        :meth:`evaluate`.
        """
        examples = files.read(self, source, labelled=False, format=format, **reading)
        answers = self.answers(examples, smooth=smooth, shortest=shortest)
        return [self._kind.answered(answer) for answer in answers]

    @with_options(LabelConfig, "Reading")
    def candidates(
        self,
        source: Source,
        *,
        top: int = USUAL,
        format: str = "auto",
        smooth: float | None = None,
        shortest: float | None = None,
        **reading: Any,
    ) -> list[list[Any]]:
        """For every item of every sequence the ``top`` likeliest labels with their probabilities, best first.

        For every segment of a recording the same, with the mean over its vectors. For every image a mask of the
        likeliest labels, one of the second likeliest, and so on, each with the probabilities ``[rows, columns]``.
        """
        answers = self.answers(source, format=format, smooth=smooth, shortest=shortest, top=top, **reading)
        return [self._kind.candidates(answer) for answer in answers]

    @with_options(LabelConfig, "Reading")
    @torch.inference_mode()
    def answers(
        self,
        source: Source,
        *,
        format: str = "auto",
        smooth: float | None = None,
        shortest: float | None = None,
        frames: bool = False,
        top: int | None = None,
        **reading: Any,
    ) -> list[dict[str, Any]]:
        """For each example ``labels``, and ``scores``, how likely each of them is.

        For each recording ``segments``, lists ``[start, end, label]``, and their ``scores``; with ``frames`` also
        ``labels``, one for each vector, and ``step``, the seconds from one vector to the next. For each image ``mask``,
        lists of the numbers of each row, and ``score``. With ``top`` all have ``candidates`` too, see
        :meth:`candidates`.
        """
        check_top(top)
        examples = given(self, source, format, **reading)
        self._check_lengths(examples, in_pieces=True)
        seen = self._seen(self.network, examples, self._smoothing(smooth, shortest))
        return self._kind.answers_of(seen, frames=frames, top=top)

    def stream(self, *, rate: int | None = None, smooth: float | None = None) -> Stream[Labelled]:
        """Labels of one sequence that comes piece by piece, sound or vectors: those of the whole, as soon as they can.

        ``push`` takes samples ``[N]`` or rows ``[N, C]`` and gives a :class:`Labelled` for each vector that is certain;
        ``close`` gives the rest.

        Arguments:
            rate: of the samples, Hz; that of the front end unless given.
            smooth: the option of that name, where it is not to be as in training; a label waits for half of it.

        Raises:
            ConfigError: a front end that reads a sequence whole, or a window that has no end to the right.
        """
        return Stream(self.streams(1, rate=rate, smooth=smooth))

    def streams(self, count: int, *, rate: int | None = None, smooth: float | None = None) -> Streams[Labelled]:
        """The same for many at once, which share a batch."""
        smoothing, seconds = self._smoothing(smooth), getattr(self.network.front_end, "seconds", None)
        if smoothing.shortest:
            logger.warning(
                "shortest: in a stream segments and pauses below %g s stay as they are, for how long their neighbours "
                "last, to the longer of which they would go, is not known yet; predict knows",
                smoothing.shortest,
            )
        width = 1 if seconds is None else smoothing.width(seconds)
        return Streams(self.network, count, partial(LabelReader, self.labels, seconds, width=width), rate=rate)

    # The protocol of regard.tasks.model

    def front_ends(self) -> dict[str, str]:
        if 0 < self.config.piece < SHORTEST_PIECE:
            raise ConfigError(f"piece: 0, or at least {SHORTEST_PIECE} s, got {self.config.piece}")
        if self.config.class_token:
            raise ConfigError("class_token: it has no label of its own, got true; leave it out, or train classify")
        if self.config.mask_names is not None and self.config.goal != "mask":
            raise ConfigError(f"mask_names: of images, got front_end {self.config.front_end}; leave it out")
        return {"front_end": self.config.front_end}

    def columns(self) -> Columns:
        return {"column": self.config.column, "item_column": self.config.text_column}

    def learn_labels(self, train: Sequence[Example], known: list[str] | None = None) -> None:
        found = self._kind.known_labels(train)
        if known is not None:
            check_no_new(found, [masks.bare(label) for label in known] if self.config.goal == "mask" else known)
            return
        self.labels = found
        names = self._mask_names()
        if names is not None:
            self.labels = masks.named(self.labels, names)

    def check_sizes(self, examples: Sequence[Example]) -> None:
        for example in examples:
            self._check_size(example)

    def check(self, examples: Sequence[Example]) -> None:
        self._check_labels(examples)
        self._check_lengths(examples, in_pieces=self._hears)  # of which the training data are cut

    def _check_labels(self, examples: Sequence[Example]) -> None:
        self._kind.check_labels(examples, self.labels, self.config.unseen_labels)

    @property
    def _kind(self) -> Kind:
        """What is learned of each item."""
        return KINDS[self.config.goal]

    @property
    def _hears(self) -> bool:
        """Whether items are recordings, and what is learned are segments of them."""
        return bool(self.config.goal == "segments")

    def _mask_names(self) -> Path | None:
        """The file with the names of the numbers of masks, if there is one."""
        if self.config.mask_names is not None:
            return Path(self.config.mask_names)
        beside = None if self.config.train is None else Path(self.config.train, NAMES)
        return beside if beside is not None and self.config.goal == "mask" and beside.is_file() else None

    def _pieces(self, examples: Sequence[Example]) -> Sequence[Example]:
        return pieces(examples, self.config.piece) if self._hears and self.config.piece else examples

    def _smoothing(self, smooth: float | None = None, shortest: float | None = None) -> Smoothing:
        """As given, else as the options say."""
        given = {"smooth": smooth, "shortest": shortest}
        for name, value in given.items():
            if value is not None and not self._hears:
                raise ConfigError(f"{name}: it smooths the labels of recordings, got front_end {self.config.front_end}")
            if value is not None and not 0 <= value <= LONGEST_SMOOTHING:
                raise ConfigError(f"{name}: seconds, from 0 to {LONGEST_SMOOTHING:.0f}, got {value}")
        return Smoothing(**{name: getattr(self.config, name) if x is None else x for name, x in given.items()})

    def _check_lengths(self, examples: Sequence[Example], *, in_pieces: bool = False) -> None:
        for example in examples:
            if in_pieces and self._in_pieces(example):
                continue
            self._check_size(example)
            self._check_length(example, self.length(example))

    def _check_size(self, example: Example) -> None:
        self._check_length(example, fewest(example.items))

    def _check_length(self, example: Example, length: int) -> None:
        files.check_length(self.config, example, length, windowed=self.config.is_windowed)

    def build(self, front_ends: dict[str, nn.Module]) -> LabelNetwork:
        return LabelNetwork(
            front_ends["front_end"], fitting.make_encoder(self.config), dim=self.config.dim, labels=len(self.labels)
        )

    def length(self, example: Example) -> int:
        return int(self.network.front_end.count(example.items)) if len(example) else 0

    def collate(self, examples: Sequence[Example]) -> LabelBatch:
        return self._kind.collate(self.network.front_end, examples, self.labels)

    def loss(self, network: nn.Module, batch: LabelBatch) -> tuple[Tensor, int]:
        rows = network(batch.inputs)
        labels, count = batch.labels, max(1, batch.count)  # a vector of pixels without a label has none
        if rows.part is not None:
            labels = rows.part.own(batch.labels)
            count = int((labels >= 0).sum())
        smoothing = self.config.label_smoothing
        return F.cross_entropy(rows.values.float(), labels, reduction="sum", label_smoothing=smoothing), count

    def metric(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        return self._kind.metric(train, dev or [])

    def score(
        self,
        network: nn.Module,
        examples: Sequence[Example],
        *,
        final: bool = True,
        pictures: Path | None = None,
        details: Details | None = None,
    ) -> dict[str, float]:
        return self._measure(network, examples, self._smoothing(), final=final, details=details)

    @torch.inference_mode()
    def _measure(
        self,
        network: nn.Module,
        examples: Sequence[Example],
        smoothing: Smoothing,
        *,
        final: bool,
        details: Details | None,
    ) -> dict[str, float]:
        return self._kind.scores_of(self._seen(network, examples, smoothing), final=final, details=details)

    def _seen(self, network: nn.Module, examples: Sequence[Example], smoothing: Smoothing) -> Seen:
        logits = self._logits(network, examples)
        return Seen(self.network.front_end, examples, self.labels, logits, smoothing)

    def _logits(self, network: nn.Module, examples: Sequence[Example]) -> Iterator[tuple[int, Tensor]]:
        """The number of each example that has items, and the scores of its labels, ``[N, labels]``."""
        network.eval()
        device, encode = fitting.device_of(network), self.network.front_end.encode

        def logits_of(numbers: list[int]) -> Ragged:
            first = examples[numbers[0]]
            if self._in_pieces(first):  # which stands alone
                return Ragged.from_list([in_pieces(self.network, first.items).cpu()])
            logits: Ragged = network(encode([examples[number].items for number in numbers]).to(device))
            return logits.to("cpu")

        for numbers, logits in in_batches([self.length(example) for example in examples], device, logits_of):
            yield from zip(numbers, logits.unbind(), strict=True)

    def _in_pieces(self, example: Example) -> bool:
        """Whether it is so long that it is not read at once, and need not be."""
        return is_read_in_pieces(self.network, partial(self.length, example))

    @torch.no_grad()
    def watched(self, example: Example) -> Watched:
        self._check_lengths([example])
        network = self.network.eval()
        inputs = network.front_end.encode([example.items]).to(fitting.device_of(network))

        def chances() -> Tensor:
            rows: Ragged = network(inputs)
            return rows.values.float().log_softmax(1)

        found = chances()
        rows = found.argmax(1)
        firsts = getattr(inputs, "firsts", None)
        places = torch.arange(len(rows)) if firsts is None else firsts.cpu()
        names = [self.labels[row] for row in rows.tolist()]
        return Watched(network, lambda: chances().gather(1, rows[:, None])[:, 0], names, places)

    def baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
        return self._kind.baselines(self.network.front_end, train, scored, self.labels)

    def vocabulary(self) -> dict[str, Any]:
        return {"labels": self.labels, "front_end": self.network.front_end.vocabulary()}

    def restore(self, vocabulary: dict[str, Any]) -> None:
        self.labels = checked_labels(vocabulary)
        if self.config.goal == "mask":
            masks.check_restored(self.labels)
