"""Guessing what is hidden (BERT): pretraining on raw text or vectors, from which the other tasks can start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example, read_texts
from regard.errors import UnsupportedError
from regard.front_ends.tokens import MASK
from regard.tasks import fitting
from regard.tasks.examples import Source, cut_into_words, read_raw
from regard.tasks.masked_network import MaskedBatch, MaskedNetwork
from regard.tasks.network import learn_front_end, make_encoder, restore_front_end
from regard.training.config import PretrainConfig, make_config, with_options
from regard.training.masking import choose
from regard.viewer.maps import Maps


class MaskedModel:
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
        self.config = make_config(PretrainConfig, options)
        self.scores: dict[str, Any] = {}
        self._network: MaskedNetwork | None = None

    @property
    def network(self) -> MaskedNetwork:
        """The network, once there is one."""
        network: MaskedNetwork = fitting.network_of(self)
        return network

    @with_options(PretrainConfig, "Data", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
    ) -> MaskedModel:
        """Trains on a file or an iterable of raw sequences, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a text file, one sequence a line, which may be larger than memory; a file of vectors; or an
                iterable of texts or arrays ``[N, C]``.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            The rest are the options of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        return fitting.fit(self, train, dev, output, options, resume=resume)

    def evaluate(self, source: Source) -> dict[str, float]:
        """How well what is hidden is guessed: ``accuracy`` and ``likelihood``, e^−loss; or ``explained`` of vectors."""
        return self._score(self.network, read_raw(source, self.config))

    def predict(self, source: Source) -> list[str]:
        """Texts with each blank, written [MASK], filled in with the likeliest token or word."""
        return [self._filled(str(example.items)) for example in self._texts(source)]

    def candidates(self, text: str, n_best: int = 5) -> list[list[tuple[str, float]]]:
        """The likeliest tokens or words for each blank of a text, with their chances."""
        [example] = self._texts([text])
        best = self._chances(str(example.items))[1].topk(n_best, 1)
        return [
            [(self._name(number), chance) for number, chance in zip(numbers, chances, strict=True)]
            for numbers, chances in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def attention(self, items: Any) -> Maps:
        """Who attends to whom in one sequence: a map ``[N, N]`` for every layer and head."""
        return fitting.attention_maps(self.network, read_raw([items], self.config)[0])

    def describe(self) -> dict[str, Any]:
        """What the network is made of, and how many parameters each part has."""
        return {"task": "pretrain", **fitting.parts_of(self.network)}

    # Filling blanks

    def _texts(self, source: Source) -> Sequence[Example]:
        if self.config.front_end == "vectors":
            raise UnsupportedError("a model with front_end=vectors reads no text with blanks to fill")
        return read_texts(source)

    def _name(self, number: int) -> str:
        front_end = self.network.front_end
        name = list(front_end.known_words)[number] if self.config.front_end == "words" else front_end.text([number])
        return str(name).strip()

    def _filled(self, text: str) -> str:
        tokens, chances = self._chances(text)
        best = chances.argmax(1)
        if tokens is None:
            for number in best.tolist():
                text = text.replace(MASK, self._name(number), 1)
            return text
        tokens[tokens == self.network.front_end.special[MASK]] = best
        return str(self.network.front_end.text(tokens.tolist()))

    @torch.no_grad()
    def _chances(self, text: str) -> tuple[Tensor | None, Tensor]:
        """The tokens of a text, if it has any, and for each of its blanks the chance of every token or word."""
        network = self.network.eval()
        front_end, device = network.front_end, fitting.device_of(network)
        if self.config.front_end == "words":
            words = cut_into_words(text, apart=MASK)
            tokens, inputs = None, front_end.encode([words])
            blanks = torch.tensor([word == MASK for word in words], dtype=torch.bool)
        else:
            inputs = front_end.encode([text])
            tokens = inputs.tokens
            blanks = tokens == front_end.special[MASK]
        scores = network.fill(inputs.to(device), blanks.to(device))
        if tokens is not None:
            scores[:, list(front_end.special.values())] = -torch.inf
        return tokens, scores.float().softmax(1).cpu()

    # What the functions of regard.tasks.fitting ask for

    def _read(self, source: Source, part: str) -> Sequence[Example]:
        return read_raw(source, self.config)

    def _learn(self, train: Sequence[Example], dev: Sequence[Example] | None) -> MaskedNetwork:
        sequences = fitting.Items(train)
        return self._build(learn_front_end(self.config, self.config.front_end, sequences))

    def _build(self, front_end: nn.Module) -> MaskedNetwork:
        config = self.config
        outputs = {"vectors": "mean", "words": "known_words"}.get(config.front_end)
        return MaskedNetwork(
            front_end,
            make_encoder(config),
            dim=config.dim,
            outputs=None if outputs is None else len(getattr(front_end, outputs)),
            activation=config.activation,
            norm_eps=config.norm_eps,
        )

    def _length(self, example: Example) -> int:
        return int(self.network.front_end.count(example.items))

    def _collate(self, examples: Sequence[Example]) -> MaskedBatch:
        front_end, longest = self.network.front_end, self.config.longest
        parts: list[Any] = []
        for example in examples:
            long = self._length(example) > longest
            parts += front_end.split(example.items, longest) if long else [example.items]
        inputs = front_end.encode(parts)
        if self.config.front_end == "vectors":
            return MaskedBatch(
                inputs, torch.arange(len(inputs.values)), (inputs.values - front_end.mean) / front_end.std
            )
        if self.config.front_end == "words":
            known = torch.tensor(front_end.known_rows([word for part in parts for word in part]), dtype=torch.int64)
            return MaskedBatch(inputs, torch.arange(len(known)).masked_fill(known < 0, -1), known)
        units = self._units(parts, inputs.tokens)
        return MaskedBatch(inputs, units, inputs.tokens)

    def _units(self, texts: list[str], tokens: Tensor) -> Tensor:
        """Which tokens are hidden together: those of a word where ``whole_words``; never a special one."""
        special = torch.tensor(list(self.network.front_end.special.values()))
        if not self.config.whole_words:
            return torch.arange(len(tokens)).masked_fill(torch.isin(tokens, special), -1)
        units: list[int] = []
        for text in texts:
            first = max(units, default=-1) + 1
            words = self.network.front_end.word_numbers(text)
            units += [-1, *(first + word for word in words), -1]
        return torch.tensor(units, dtype=torch.int64).masked_fill(torch.isin(tokens, special), -1)

    def _loss(self, network: nn.Module, batch: MaskedBatch) -> tuple[Tensor, int]:
        chosen = choose(batch.units, self.config.mask_share)
        loss, count = self._guessed(network(batch.inputs, chosen), batch.truth[chosen])[:2]
        return loss, count

    def _guessed(self, scores: Tensor, truth: Tensor) -> tuple[Tensor, int, float]:
        """The summed loss, how many were guessed, how many rightly (of vectors: the sum of their squares)."""
        if self.config.front_end == "vectors":
            return (
                F.mse_loss(scores.float(), truth, reduction="sum") / truth.shape[1],
                len(truth),
                float(truth.square().mean(1).sum()),
            )
        loss = F.cross_entropy(scores.float(), truth, reduction="sum", label_smoothing=self.config.label_smoothing)
        return loss, len(truth), float((scores.argmax(1) == truth).sum()) if len(truth) else 0.0

    def _select(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        return "explained" if self.config.front_end == "vectors" else "accuracy"

    @torch.inference_mode()
    def _score(self, network: nn.Module, examples: Sequence[Example], *, final: bool = True) -> dict[str, float]:
        """Always with the same items hidden."""
        network.eval()
        device = fitting.device_of(network)
        generator = torch.Generator(device).manual_seed(0)
        total, count, right = 0.0, 0, 0.0
        for numbers in fitting.batches_by_length(self, examples):
            batch = self._collate([examples[number] for number in numbers]).to(device)
            chosen = choose(batch.units, self.config.mask_share, generator)
            loss, some, hits = self._guessed(network(batch.inputs, chosen, generator), batch.truth[chosen])
            total, count, right = total + float(loss), count + some, right + hits
        if self.config.front_end == "vectors":
            return {"explained": 1 - total / max(1e-9, right)}
        mean = torch.tensor(-total / max(1, count))
        return {"accuracy": right / max(1, count), "likelihood": float(mean.exp())}

    def _baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> fitting.Scores:
        """Always guessing the most frequent one, or the mean."""
        if self.config.front_end == "vectors":
            return {"mean vector": {"explained": 0.0}}
        counts = [Counter(self._collate([example]).truth.tolist()) for example in train[:10_000]]
        special = set(getattr(self.network.front_end, "special", {}).values()) | {-1}
        total: Counter[int] = sum(counts, Counter())
        often = max((row for row in total if row not in special), key=total.__getitem__)
        share = total[often] / sum(count for row, count in total.items() if row not in special)
        return {"most frequent": {"accuracy": share}}

    def _draw(self, scored: Sequence[Example], folder: Path) -> None:
        """There is nothing to draw."""

    def _vocabulary(self) -> dict[str, Any]:
        return {"front_end": self.network.front_end.vocabulary()}

    def _restore(self, vocabulary: dict[str, Any]) -> MaskedNetwork:
        return self._build(restore_front_end(self.config, self.config.front_end, vocabulary["front_end"]))
