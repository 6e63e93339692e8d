"""Guessing what is hidden (BERT): pretraining on raw text or vectors, from which the other tasks can start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regard.data import Example, Source
from regard.data.items import fewest
from regard.errors import ConfigError, DataError, UnsupportedError
from regard.front_ends import FRONT_ENDS
from regard.parallel.rows import counted_once
from regard.ragged import sent
from regard.tasks import files, fitting
from regard.tasks.batches import in_batches
from regard.tasks.candidates import USUAL, as_pairs, best_of, check_top, given
from regard.tasks.model import Columns, Details, Scores
from regard.tasks.model_base import ModelBase
from regard.tasks.pretrain.masking import choose
from regard.tasks.pretrain.network import MaskedBatch, MaskedNetwork
from regard.tasks.pretrain.options import PretrainConfig
from regard.tasks.pretrain.truths import Truth, truth_for
from regard.training.config import make_config, with_options
from regard.viewer.telltales import Watched


class MaskedModel(ModelBase[PretrainConfig, MaskedNetwork]):
    """Learns to guess hidden parts of raw sequences; ``Labeler(pretrained=...)`` and the others start from its encoder.

    The keywords are the options of `regard train pretrain`, with the same defaults; those of the network belong here,
    those of data and training to :meth:`fit`.

    >>> model = MaskedModel(front_end="symbols", dim=32, depth=1, heads=2, dropout=0.0)
    >>> _ = model.fit(["one two three four", "two three four five"] * 40, epochs=20, batch_tokens=200, average=0)
    >>> model.predict(["one two [MASK] four"])
    ['one two three four']

    Raises:
        ConfigError: an option that does not exist, or a value that one does not take.
    """

    @with_options(PretrainConfig, "Network")
    def __init__(self, **options: Any) -> None:
        super().__init__(make_config(PretrainConfig, options))

    @with_options(PretrainConfig, "Data", "Reading", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | float | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
    ) -> MaskedModel:
        """Trains on a file or an iterable of raw sequences, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a text file, one sequence a line, which may be larger than memory; a file of vectors; an
                iterable of texts or arrays ``[N, C]``; or a table with a column of them.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            options: those of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        return fitting.fit(self, train, dev, output, options, resume=resume)

    @with_options(PretrainConfig, "Reading")
    def evaluate(self, source: Source, *, format: str = "auto", **reading: Any) -> dict[str, float]:
        """How well what is hidden is guessed: ``accuracy`` and ``likelihood``, e^−loss; or ``explained`` of vectors."""
        examples = files.read(self, source, format=format, **reading)
        self.check(examples)
        return self.score(self.network, examples)

    @with_options(PretrainConfig, "Reading")
    def predict(self, source: Source, *, format: str = "auto", **reading: Any) -> list[str]:
        """Texts with each blank, written [MASK], filled in with the likeliest token or word."""
        if files.item_kind(self.config) in ("vectors", "recordings"):
            raise UnsupportedError(f"a model with front_end={self.config.front_end} reads no text with blanks to fill")
        return [answer["target"] for answer in self.answers(source, format=format, **reading)]

    @with_options(PretrainConfig, "Reading")
    def candidates(
        self, source: Source, *, top: int = USUAL, format: str = "auto", **reading: Any
    ) -> list[list[list[tuple[str, float]]]]:
        """For each blank of every text the ``top`` likeliest tokens or words with their probabilities, best first."""
        answers = self.answers(source, top=top, format=format, **reading)
        return [[as_pairs(some, "text") for some in answer["candidates"]] for answer in answers]

    @with_options(PretrainConfig, "Reading")
    def answers(
        self, source: Source, *, format: str = "auto", top: int | None = None, **reading: Any
    ) -> list[dict[str, Any]]:
        """For each example ``target``, the text with its blanks filled, and ``scores``, how likely each guess is.

        With ``top`` also ``candidates``, for each blank so many of the likeliest guesses.
        """
        check_top(top)
        examples = given(self, source, format, **reading)
        self.check_sizes(examples)
        for example in examples:
            if files.may_be_longer(example, self.config.longest_windowed):
                files.check_windowed(self.config, example, len(self.truth.blanks(str(example.items))[1]))
        return [self._filled(str(example.items), top) for example in examples]

    @property
    def truth(self) -> Truth:
        """What is guessed, tokens, words or vectors."""
        return truth_for(self.config.front_end, self.network.front_end)

    def _filled(self, text: str, top: int | None) -> dict[str, Any]:
        parts, scores = self._parts(text), []
        candidates: list[list[dict[str, Any]]] = []
        for place in range(0, len(parts), 2):
            inputs, chances = self._chances(parts[place])
            best = chances.max(1)
            parts[place] = self.truth.fill(parts[place], inputs, best.indices)
            scores += [round(chance, 6) for chance in best.values.tolist()]
            for some in () if top is None else best_of(chances, range(chances.shape[1]), top, "text"):
                candidates.append([{**one, "text": self.truth.name(one["text"])} for one in some])
        answer = {"target": "".join(parts), "scores": scores}
        return answer if top is None else answer | {"candidates": candidates}

    def _parts(self, text: str) -> list[str]:
        """A text whole, or, where learned positions end before it does, in parts with the white space between them."""
        reach, truth = self.config.position_reach, self.truth
        if self.config.positions != "learned" or len(truth.blanks(text)[1]) <= reach:
            return [text]
        parts, between, filled = [""], "", 0
        words = re.split(r"(\s+)", text)
        for word, space in zip_longest(words[::2], words[1::2], fillvalue=""):
            size = len(truth.blanks(word)[1])
            if filled and filled + size > reach:
                parts += [between, word]
                filled = size
            else:
                parts[-1] += between + word
                filled += size
            between = space
        return parts

    @torch.no_grad()
    def _chances(self, text: str) -> tuple[Any, Tensor]:
        """A text encoded, and for each of its blanks the chance of every token or word."""
        network, truth = self.network.eval(), self.truth
        device = fitting.device_of(network)
        inputs, blanks = truth.blanks(text)
        scores = network.fill(inputs.to(device), blanks.to(device))
        scores[:, truth.barred()] = -torch.inf
        return inputs, scores.float().softmax(1).cpu()

    # The protocol of regard.tasks.model

    def front_ends(self) -> dict[str, str]:
        if FRONT_ENDS[self.config.front_end].grid:
            raise ConfigError(
                f"front_end: parts of images are not guessed, got {self.config.front_end}; choose one of text, "
                "vectors or sound, or train another task on images"
            )
        return {"front_end": self.config.front_end}

    def columns(self) -> Columns:
        return {"column": None, "item_column": self.config.text_column}

    def check_sizes(self, examples: Sequence[Example]) -> None:
        for example in examples:
            if files.may_be_longer(example, self.config.longest_windowed):
                files.check_windowed(self.config, example, fewest(example.items))

    def check(self, examples: Sequence[Example]) -> None:
        """What is long is read in windows; what is too long for that is refused."""
        for example in examples:
            if files.may_be_longer(example, self.config.longest_windowed):
                files.check_windowed(self.config, example, fewest(example.items))
                files.check_windowed(self.config, example, self.length(example))

    def build(self, front_ends: dict[str, nn.Module]) -> MaskedNetwork:
        config, front_end = self.config, front_ends["front_end"]
        outputs = truth_for(config.front_end, front_end).outputs()
        if outputs == 0:
            raise DataError("something to guess, such as a word that comes twice", "nothing in the whole training data")
        return MaskedNetwork(
            front_end,
            fitting.make_encoder(config),
            dim=config.dim,
            width=config.of_part("front_end").dim,
            outputs=outputs,
            activation=config.activation,
            norm_eps=config.norm_eps,
        )

    def collate(self, examples: Sequence[Example]) -> MaskedBatch:
        front_end, longest = self.network.front_end, files.longest_window(self.config)
        parts: list[Any] = []
        for example in examples:
            long = self.length(example) > longest
            parts += front_end.split(example.items, longest) if long else [example.items]
        return self.truth.batch(parts, whole_words=self.config.whole_words)

    def loss(self, network: nn.Module, batch: MaskedBatch) -> tuple[Tensor, int]:
        rows = sent(choose(batch.groups, self.config.mask_share), fitting.device_of(network))
        scores, truth = network(batch.inputs, rows), self.truth.of(batch)[rows]
        loss, count, _ = self.truth.guessed(scores, truth, label_smoothing=self.config.label_smoothing)
        return counted_once(self.network.encoder.processes, loss, count)

    def metric(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        return self.truth.metric

    @torch.inference_mode()
    def score(
        self,
        network: nn.Module,
        examples: Sequence[Example],
        *,
        final: bool = True,
        pictures: Path | None = None,
        details: Details | None = None,
    ) -> dict[str, float]:
        """Always with the same items hidden."""
        network.eval()
        device, truth = fitting.device_of(network), self.truth

        def guessed(numbers: list[int]) -> tuple[float, int, float]:
            choosing = torch.Generator().manual_seed(numbers[0])
            replacing = torch.Generator(device).manual_seed(numbers[0] + 2**32)
            batch = self.collate([examples[number] for number in numbers]).to(device)
            rows = sent(choose(batch.groups, self.config.mask_share, choosing), device)
            scores = network(batch.inputs, rows, replacing)
            loss, count, right = truth.guessed(scores, truth.of(batch)[rows], label_smoothing=0.0)
            return float(loss), count, float(right)

        total, count, right = 0.0, 0, 0.0
        for _, (loss, some, hits) in in_batches([self.length(example) for example in examples], device, guessed):
            total, count, right = total + loss, count + some, right + hits
        return truth.metrics(total, count, right)

    @torch.no_grad()
    def watched(self, example: Example) -> Watched:
        """Its answers are the likeliest guesses for the blanks of a text."""
        if files.item_kind(self.config) in ("vectors", "recordings"):
            raise UnsupportedError(f"a model with front_end={self.config.front_end} reads no text with blanks to fill")
        network, truth = self.network.eval(), self.truth
        device = fitting.device_of(network)
        inputs, blanks = (part.to(device) for part in truth.blanks(str(example.items)))

        def chances() -> Tensor:
            scores = network.fill(inputs, blanks).float()
            return scores.index_fill(1, torch.tensor(truth.barred(), dtype=torch.int64), -torch.inf).log_softmax(1)

        rows, places = chances().argmax(1), blanks.nonzero()[:, 0].cpu()
        names = [truth.name(row) for row in rows.tolist()]
        return Watched(network, lambda: chances().gather(1, rows[:, None])[:, 0], names, places)

    def baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
        """Always guessing the most frequent one, or the mean."""
        return self.truth.baseline(self.collate([example]) for example in train[:10_000])
