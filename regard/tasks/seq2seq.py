"""A new sequence for a sequence (N→M): the Transformer, for translation or pronunciation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example
from regard.errors import ConfigError
from regard.front_ends.tokens import END, MASK, PAD, START, UNKNOWN
from regard.nn import build_decoder
from regard.tasks import fitting
from regard.tasks.examples import Source, read_sources, too_long
from regard.tasks.network import learn_front_end, make_encoder, restore_front_end
from regard.tasks.text_baselines import text_baselines
from regard.tasks.transformer import PairBatch, Transformer, shifted
from regard.training.config import TransduceConfig, make_config, with_options
from regard.training.search import Hypothesis, sample, search
from regard.training.text_metrics import text_scores
from regard.viewer.maps import Maps, PairMaps
from regard.viewer.recording import record

logger = logging.getLogger(__name__)
SHORTEST_LIMIT = 20  # items that any output may have


class Seq2Seq:
    """Learns to make a new sequence of a sequence: a translation, a pronunciation.

    The keywords are the options of `regard train transduce`, with the same defaults; those of the network belong here,
    those of data and training to :meth:`fit`.

    >>> model = Seq2Seq(front_end="characters", target_units="symbols", dim=32, depth=1, heads=2, dropout=0.0)
    >>> words = [("ab", "A B"), ("ba", "B A"), ("aa", "A A"), ("bb", "B B")] * 20
    >>> _ = model.fit(words, epochs=20, batch_tokens=100, average=0)
    >>> model.predict(["ba"])
    ['B A']

    Raises:
        ConfigError: an option that does not exist, or a value that one does not take.
    """

    @with_options(TransduceConfig, "Network")
    def __init__(self, **options: Any) -> None:
        self.config = make_config(TransduceConfig, options)
        self.scores: dict[str, Any] = {}
        self._network: Transformer | None = None

    @property
    def network(self) -> Transformer:
        """The network, once there is one."""
        network: Transformer = fitting.network_of(self)
        return network

    @with_options(TransduceConfig, "Data", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
    ) -> Seq2Seq:
        """Trains on a file or an iterable of pairs, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a path in any format of docs/formats.md (with ``train_target`` and ``dev_target`` where the
                targets are a file of their own), or an iterable of ``(source, target)``.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            The rest are the options of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        return fitting.fit(self, train, dev, output, options, resume=resume)

    def evaluate(
        self, source: Source, *, target: str | Path | None = None, format: str = "auto", beam: int | None = None
    ) -> dict[str, float]:
        """Scores against true targets: see :func:`regard.training.text_metrics.text_scores`."""
        examples = read_sources(source, self.config, target=target, format=format)
        return self._measure(self.network, examples, beam or self.config.beam)

    def predict(self, source: Source, *, format: str = "auto", beam: int | None = None) -> list[str]:
        """The best output for every source, in order: texts, lists of words or arrays ``[N, C]``, or a file of them."""
        return [found[0][0] for found in self.candidates(source, format=format, beam=beam)]

    def sample(
        self,
        source: Source,
        *,
        samples: int = 1,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int | None = None,
        format: str = "auto",
    ) -> list[list[tuple[str, float]]]:
        """As :meth:`candidates`, but drawn at random, ``samples`` for every source; see `regard.training.search`."""
        generator = None
        if seed is not None:
            generator = torch.Generator(fitting.device_of(self.network)).manual_seed(seed)
        draw = partial(sample, samples=samples, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        return self._candidates(source, format, draw)

    def candidates(
        self, source: Source, *, format: str = "auto", beam: int | None = None, n_best: int = 1
    ) -> list[list[tuple[str, float]]]:
        """The ``n_best`` outputs for every source with their scores, ``log p / length ^ penalty``, best first."""
        return self._candidates(source, format, partial(search, beam=beam or self.config.beam, n_best=n_best))

    @torch.inference_mode()
    def attention(self, items: Any, target: str | None = None) -> PairMaps:
        """Who attends to whom: source and target to themselves, target to source. The target is predicted if None."""
        example = read_sources([items], self.config, labelled=False)[0]
        network = self.network.eval()
        encoder = fitting.attention_maps(network, example)
        written = self.predict([items])[0] if target is None else target
        batch = self._collate([replace(example, target=written)]).to(fitting.device_of(network))
        with record(network.decoder) as layers:
            network(batch.inputs, batch.tokens)
        names = network.target.names(written)
        maps = [weights.dense()[0] for weights in layers]  # of each layer to itself and to the source, in turn
        return PairMaps(encoder, Maps(maps[::2], names[1:], names[:-1]), Maps(maps[1::2], names[1:], encoder.items))

    def describe(self) -> dict[str, Any]:
        """What the network is made of, and how many parameters each part has."""
        return {"task": "transduce", **fitting.parts_of(self.network)}

    # What the functions of regard.tasks.fitting ask for

    def _read(self, source: Source, part: str) -> Sequence[Example]:
        target = self.config.train_target if part == "train" else self.config.dev_target
        return read_sources(source, self.config, target=target)

    def _learn(self, train: Sequence[Example], dev: Sequence[Example] | None) -> Transformer:
        config = self.config
        sources, targets = [example.items for example in train], [str(example.target) for example in train]
        if config.shared_vocabulary:
            if config.front_end != config.target_units:
                raise ConfigError(
                    f"shared_vocabulary: source and target must be of one kind, got front_end '{config.front_end}' and "
                    f"target_units '{config.target_units}'"
                )
            front_end = target = learn_front_end(config, config.front_end, [*sources, *targets])
        else:
            front_end = learn_front_end(config, config.front_end, sources)
            target = learn_front_end(config, config.target_units, targets)
        network = self._network = self._build(front_end, target)
        for example in (*train, *(dev or [])):
            self._check_length(example)
        return network

    def _build(self, front_end: nn.Module, target: nn.Module) -> Transformer:
        config = self.config
        decoder = build_decoder(
            dim=config.dim,
            depth=config.depth if config.decoder_depth is None else config.decoder_depth,
            heads=config.heads,
            feed_forward_dim=config.feed_forward_dim,
            positions=config.positions,
            position_reach=config.position_reach,
            window=config.window,
            score=config.score,
            normalizer=config.normalizer,
            norm=config.norm,
            norm_eps=config.norm_eps,
            embedding_norm=config.embedding_norm,
            dropout=config.dropout,
            activation=config.activation,
            implementation=config.implementation,
        )
        return Transformer(front_end, make_encoder(config), target, decoder, dim=config.dim, tied=config.tied)

    def _candidates(
        self, source: Source, format: str, find: Callable[..., list[list[Hypothesis]]]
    ) -> list[list[tuple[str, float]]]:
        examples = read_sources(source, self.config, format=format, labelled=False)
        found = self._search(self.network, examples, find)
        return [[(self._text(one.ids), one.score) for one in some] for some in found]

    def _check_length(self, example: Example) -> None:
        """What is too long to be read whole is refused: a part of it would have another meaning."""
        network, longest = self.network, self.config.longest
        sides = [("source", network.front_end.count(example.items))]
        if example.target is not None:
            sides.append(("target", network.target.count(example.target)))
        for what, length in sides:
            if length > longest:
                raise too_long(example, length, longest, what)

    def _length(self, example: Example) -> int:
        source = int(self.network.front_end.count(example.items))
        return source + (0 if example.target is None else int(self.network.target.count(example.target)))

    def _collate(self, examples: Sequence[Example]) -> PairBatch:
        inputs = self.network.front_end.encode([example.items for example in examples])
        targets = self.network.target.encode([str(example.target) for example in examples])
        return PairBatch(inputs, *shifted(targets))

    def _loss(self, network: nn.Module, batch: PairBatch) -> tuple[Tensor, int]:
        logits = network(batch.inputs, batch.tokens).values.float()
        loss = F.cross_entropy(logits, batch.following, reduction="sum", label_smoothing=self.config.label_smoothing)
        return loss, len(batch.following)

    def _select(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        if self.config.select != "auto":
            return self.config.select
        return "bleu" if self.config.target_units == "subwords" else "exact"

    def _score(self, network: nn.Module, examples: Sequence[Example], *, final: bool = True) -> dict[str, float]:
        return self._measure(network, examples, self.config.beam if final else 1)

    def _measure(self, network: nn.Module, examples: Sequence[Example], beam: int) -> dict[str, float]:
        outputs = [self._text(found[0].ids) for found in self._search(network, examples, partial(search, beam=beam))]
        return text_scores([str(example.target) for example in examples], outputs)

    @torch.inference_mode()
    def _search(
        self, network: Any, examples: Sequence[Example], find: Callable[..., list[list[Hypothesis]]]
    ) -> list[list[Hypothesis]]:
        """The best hypotheses for every source; ``find`` is a search with its own options filled in."""
        network.eval()
        found: list[list[Hypothesis]] = [[] for _ in examples]
        for example in examples:
            self._check_length(example)
        for numbers in fitting.batches_by_length(self, examples):
            batch = self._search_batch(network, [examples[number] for number in numbers], find)
            for number, hypotheses in zip(numbers, batch, strict=True):
                found[number] = hypotheses
        cut = sum(not hypotheses[0].finished for hypotheses in found)
        if cut:
            logger.warning(
                "%d of %d outputs did not end by themselves: they were cut at %d items and %g times their source",
                cut,
                len(found),
                SHORTEST_LIMIT,
                self.config.longest_output,
            )
        return found

    def _search_batch(
        self, network: Any, examples: list[Example], find: Callable[..., list[list[Hypothesis]]]
    ) -> list[list[Hypothesis]]:
        device, special = fitting.device_of(network), network.target.special
        memory = network.encode(network.front_end.encode([example.items for example in examples]).to(device))
        cache = network.decoder.start(memory)

        def step(tokens: Tensor) -> Tensor:
            scores: Tensor = network.scores(network.decoder.step(network.embed(tokens), cache))
            return scores.float().log_softmax(1)

        limits = SHORTEST_LIMIT + (memory.lengths * self.config.longest_output).long()
        if self.config.positions == "learned":
            limits = limits.clamp(max=self.config.position_reach - 1)
        return find(
            step,
            cache.keep,
            begin=special[START],
            end=special[END],
            max_lengths=limits,
            banned=[special[name] for name in (PAD, UNKNOWN, START, MASK) if name in special],
            length_penalty=self.config.length_penalty,
        )

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.network.target.text(tokens))

    def _baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> fitting.Scores:
        return text_baselines(train, scored)

    def _draw(self, scored: Sequence[Example], folder: Path) -> None:
        """There is nothing to draw."""

    def _vocabulary(self) -> dict[str, Any]:
        network = self.network
        own = {"front_end": network.front_end.vocabulary()}
        return own if self.config.shared_vocabulary else own | {"target": network.target.vocabulary()}

    def _restore(self, vocabulary: dict[str, Any]) -> Transformer:
        front_end = restore_front_end(self.config, self.config.front_end, vocabulary["front_end"])
        if self.config.shared_vocabulary:
            return self._build(front_end, front_end)
        return self._build(front_end, restore_front_end(self.config, self.config.target_units, vocabulary["target"]))
