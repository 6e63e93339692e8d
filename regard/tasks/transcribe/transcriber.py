"""A new sequence in the order of the old one (N→M, M ≤ N): what is said in a recording, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.data import Example, Source
from regard.data.items import fewest
from regard.decoding.ctc import Transcript, fewest_frames, greedy, prefix_search
from regard.errors import ConfigError
from regard.image import Image
from regard.parallel.rows import counted_once
from regard.ragged import Ragged
from regard.tasks import files, fitting
from regard.tasks.batches import in_batches
from regard.tasks.candidates import USUAL, as_pairs, given, width_of
from regard.tasks.model import Columns, Details, Scores
from regard.tasks.model_base import ModelBase
from regard.tasks.streams import Stream, Streams, in_pieces, is_read_in_pieces
from regard.tasks.transcribe.baselines import transcript_baselines
from regard.tasks.transcribe.network import TranscriptBatch, TranscriptNetwork, ctc_loss
from regard.tasks.transcribe.options import TranscribeConfig
from regard.tasks.transcribe.reader import TranscriptReader, Written
from regard.tasks.wrong import wrong_texts
from regard.training.config import make_config, with_options
from regard.training.metrics import transcript_scores
from regard.viewer.telltales import Watched

T = TypeVar("T")


class Transcriber(ModelBase[TranscribeConfig, TranscriptNetwork]):
    """Learns to write down a sequence that is longer than what it says, in the same order: speech.

    By connectionist temporal classification: at each vector a symbol or none; nothing tells which symbol belongs where
    (Graves et al. 2006). The keywords are the options of `regard train transcribe`, with the same defaults; those of
    the network belong here, those of data and training to :meth:`fit`.

    >>> model = Transcriber(front_end="characters", target_units="symbols", dim=32, depth=1, heads=2, dropout=0.0)
    >>> words = [("ab", "A B"), ("ba", "B A"), ("aab", "A B"), ("bba", "B A")] * 20
    >>> _ = model.fit(words, epochs=20, batch_tokens=100, average=0)
    >>> model.predict(["ba"])
    ['B A']

    Raises:
        ConfigError: an option that does not exist, or a value that one does not take.
    """

    @with_options(TranscribeConfig, "Network")
    def __init__(self, **options: Any) -> None:
        super().__init__(make_config(TranscribeConfig, options))

    @with_options(TranscribeConfig, "Data", "Reading", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | float | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
    ) -> Transcriber:
        """Trains on a file or an iterable of pairs, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a path in any format of docs/formats.md, an iterable of ``(recording, target)``, or a table;
                instead of a recording an array ``[N, C]``, a text or a list of words, as the front end takes them.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            options: those of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, or whose target is too long for it, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        return fitting.fit(self, train, dev, output, options, resume=resume)

    @with_options(TranscribeConfig, "Reading")
    def evaluate(
        self,
        source: Source,
        *,
        target: str | Path | None = None,
        format: str = "auto",
        beam: int | None = None,
        errors: str | Path | None = None,
        **reading: Any,
    ) -> dict[str, Any]:
        """Scores against true targets: see :func:`regard.training.metrics.transcript_scores`.

        ``errors`` is a file to write, .tsv, .csv or .jsonl: a row for each wrong text, that of the best score first.
        ``reading``: options of reading that are not to be as in training, ``source_column`` or ``delimiter``, say.
        """
        details = fitting.details_for(False, errors)
        examples = files.read(self, source, target=target, format=format, **reading)
        self._check_targets(examples, self._check_lengths(examples, in_pieces=True))
        width = self.config.beam if beam is None else beam
        scores = self._measure(self.network, examples, width, details)
        return fitting.with_details(scores, details, by_label=False, errors=errors)

    @with_options(TranscribeConfig, "Reading")
    def predict(self, source: Source, *, format: str = "auto", beam: int | None = None, **reading: Any) -> list[str]:
        """What each source says, in order: recordings, arrays ``[N, C]`` or texts, or a file of them."""
        return [found[0][0] for found in self.candidates(source, top=1, format=format, beam=beam, **reading)]

    @with_options(TranscribeConfig, "Reading")
    def candidates(
        self,
        source: Source,
        *,
        top: int | None = None,
        format: str = "auto",
        beam: int | None = None,
        **reading: Any,
    ) -> list[list[tuple[str, float]]]:
        """The ``top`` transcripts of every source with their log probabilities, best first.

        They are five, or as many as the ``beam`` has, unless given.
        """
        if top is None:
            top = USUAL if beam is None else min(USUAL, beam)
        found = self._found(given(self, source, format, **reading), beam, top)
        return [as_pairs(some, "target") for some in found]

    @with_options(TranscribeConfig, "Reading")
    def log_probs(self, source: Source, *, format: str = "auto", **reading: Any) -> list[NDArray[np.float32]]:
        """Of every source how likely each symbol is at each of its N vectors, ``[N, V]``.

        `regard.decoding.ctc` makes transcripts of them: ``network.blank`` is the blank's column, and
        ``network.target.text(ids)`` the text of the others. What is never written has −inf.
        """
        examples = files.read(self, source, labelled=False, format=format, **reading)
        self._check_lengths(examples, in_pieces=True)
        found = dict(self._each(self.network, examples, lambda log_probs: log_probs))
        return [found[number] for number in range(len(examples))]

    @with_options(TranscribeConfig, "Reading")
    def answers(
        self,
        source: Source,
        *,
        format: str = "auto",
        beam: int | None = None,
        top: int | None = None,
        **reading: Any,
    ) -> list[dict[str, Any]]:
        """For each example its ``target``, the ``score``, its log probability, and ``times``, where each symbol begins.

        That is in seconds of a recording, and else the number of a vector. With ``top`` also ``candidates``, each with
        all of these.
        """
        found = self._found(given(self, source, format, **reading), beam, top)
        return [some[0] if top is None else some[0] | {"candidates": some} for some in found]

    def stream(self, *, rate: int | None = None) -> Stream[Written]:
        """What one sequence says that comes piece by piece, sound or vectors: what the likeliest path spells.

        ``push`` takes samples ``[N]`` or rows ``[N, C]`` and gives a :class:`Written` for each symbol that is certain;
        ``close`` gives the rest. All texts together are the transcript that a beam of 1 finds in the whole.

        Arguments:
            rate: of the samples, Hz; that of the front end unless given.

        Raises:
            ConfigError: a front end that reads a sequence whole, or a window that has no end to the right.
        """
        return Stream(self.streams(1, rate=rate))

    def streams(self, count: int, *, rate: int | None = None) -> Streams[Written]:
        """The same for many at once, which share a batch."""
        return Streams(self.network, count, partial(TranscriptReader, self.network), rate=rate)

    # The protocol of regard.tasks.model

    def front_ends(self) -> dict[str, str]:
        if self.config.class_token:
            raise ConfigError("class_token: it stands in no column of an image, got true; leave it out")
        return {"front_end": self.config.front_end, "target": self.config.target_units}

    def columns(self) -> Columns:
        return {"column": self.config.target_column, "item_column": self.config.source_column}

    def check_sizes(self, examples: Sequence[Example]) -> None:
        for example in examples:
            self._check_length(example, fewest(example.items))

    def check(self, examples: Sequence[Example]) -> None:
        """What no path could spell is refused: a target that needs more vectors than there are."""
        self._check_targets(examples, self._check_lengths(examples))

    def _check_targets(self, examples: Sequence[Example], lengths: Sequence[int]) -> None:
        for example, length in zip(examples, lengths, strict=True):
            if isinstance(example.items, Image):
                length = self.network.front_end.grid(example.items)[1]
            ids = self.network.target.tokens(example.goal)
            needed = fewest_frames(ids)
            if needed > length:
                raise example.place.error(
                    f"a target that takes at most the {length} vectors of its source, one for each symbol and one more "
                    "between two that are the same (a shorter one, larger `target_units`, or a smaller `subsample`)",
                    f"one of {len(ids)} symbols, which takes {needed}",
                )

    def _check_lengths(self, examples: Sequence[Example], *, in_pieces: bool = False) -> list[int]:
        lengths = []
        for example in examples:
            if in_pieces and self._in_pieces(example):
                lengths.append(self.length(example))
                continue
            self._check_length(example, fewest(example.items))
            lengths.append(self.length(example))
            self._check_length(example, lengths[-1])
        return lengths

    def _in_pieces(self, example: Example) -> bool:
        """Whether it is so long that it is not read at once, and need not be."""
        return is_read_in_pieces(self.network, partial(self.length, example))

    def _check_length(self, example: Example, length: int) -> None:
        files.check_length(self.config, example, length, windowed=self.config.is_windowed)

    def build(self, front_ends: dict[str, nn.Module]) -> TranscriptNetwork:
        encoder = fitting.make_encoder(self.config)
        return TranscriptNetwork(front_ends["front_end"], encoder, front_ends["target"], dim=self.config.dim)

    def collate(self, examples: Sequence[Example]) -> TranscriptBatch:
        inputs = self.network.front_end.encode([example.items for example in examples])
        targets = [torch.tensor(self.network.target.tokens(example.goal), dtype=torch.int64) for example in examples]
        return TranscriptBatch(inputs, Ragged.from_list(targets))

    def loss(self, network: nn.Module, batch: TranscriptBatch) -> tuple[Tensor, int]:
        smoothing, blank = self.config.label_smoothing, self.network.blank
        loss = ctc_loss(network(batch.inputs), batch.targets, blank=blank, smoothing=smoothing)
        return counted_once(self.network.encoder.processes, loss, len(batch.targets.values))

    def metric(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        return self.config.select

    def score(
        self,
        network: nn.Module,
        examples: Sequence[Example],
        *,
        final: bool = True,
        pictures: Path | None = None,
        details: Details | None = None,
    ) -> dict[str, float]:
        return self._measure(network, examples, self.config.beam if final else 1, details)

    def _measure(
        self, network: nn.Module, examples: Sequence[Example], beam: int, details: Details | None
    ) -> dict[str, float]:
        outputs, scores = [""] * len(examples), [0.0] * len(examples)
        for number, (best,) in self._transcripts(network, examples, beam, 1):
            outputs[number], scores[number] = self.network.target.text(best.ids), best.log_prob
        if details is not None:
            details.wrong = wrong_texts(examples, outputs, scores)
        return transcript_scores([example.goal for example in examples], outputs)

    def _found(self, examples: Sequence[Example], beam: int | None, top: int | None) -> list[list[dict[str, Any]]]:
        """The best transcripts of each example: ``target``, ``score`` and ``times`` of each."""
        width, count = width_of(top, beam, self.config.beam), 1 if top is None else top
        self._check_lengths(examples, in_pieces=True)
        seconds, target = getattr(self.network.front_end, "seconds", None), self.network.target
        found: list[list[dict[str, Any]]] = [[] for _ in examples]
        for number, best in self._transcripts(self.network, examples, width, count):
            for one in best:
                times = one.frames if seconds is None else [round(frame * seconds, 3) for frame in one.frames]
                found[number].append({"target": target.text(one.ids), "score": one.log_prob, "times": times})
        return found

    def _search(self, log_probs: NDArray[np.float32], beam: int, n_best: int) -> list[Transcript]:
        blank = self.network.blank
        if beam == n_best == 1:
            return [greedy(log_probs, blank=blank)]
        return prefix_search(log_probs, blank=blank, beam=beam, n_best=n_best)

    def _transcripts(
        self, network: Any, examples: Sequence[Example], beam: int, n_best: int
    ) -> Iterator[tuple[int, list[Transcript]]]:
        """The number of each example, and its best transcripts."""
        return self._each(network, examples, lambda log_probs: self._search(log_probs, beam, n_best))

    @torch.inference_mode()
    def _each(
        self, network: Any, examples: Sequence[Example], made: Callable[[NDArray[np.float32]], T]
    ) -> Iterator[tuple[int, T]]:
        """The number of each example, and what is made of the log probabilities of its symbols, ``[N, V]``."""
        network.eval()
        device = fitting.device_of(network)

        def made_of(numbers: list[int]) -> list[T]:
            first = examples[numbers[0]]
            if self._in_pieces(first):  # which stands alone
                return [made(network.log_probs(in_pieces(network, first.items)).cpu().numpy())]
            inputs = network.front_end.encode([examples[number].items for number in numbers]).to(device)
            scores: Ragged = network(inputs)
            rows = scores.with_values(network.log_probs(scores.values)).to("cpu")
            return [made(part.numpy()) for part in rows.unbind()]

        for numbers, found in in_batches([self.length(example) for example in examples], device, made_of):
            yield from zip(numbers, found, strict=True)

    @torch.no_grad()
    def watched(self, example: Example) -> Watched:
        """Its answers are the symbols of the likeliest path, each at the vector where it begins."""
        self._check_lengths([example])
        network = self.network.eval()
        inputs = network.front_end.encode([example.items]).to(fitting.device_of(network))

        def chances() -> Tensor:
            return network.log_probs(network(inputs).values).float()

        found = chances().cpu()
        best = greedy(found.numpy(), blank=network.blank)
        places, symbols = torch.tensor(best.frames, dtype=torch.int64), torch.tensor(best.ids, dtype=torch.int64)
        names = [network.target.text([number]) for number in best.ids]
        return Watched(network, lambda: chances()[places, symbols], names, places)

    def baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
        return transcript_baselines(train, scored)
