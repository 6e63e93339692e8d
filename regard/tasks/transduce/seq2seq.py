"""A new sequence for a sequence (N→M): the Transformer, for translation or pronunciation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example, Source
from regard.data.items import fewest
from regard.decoding.search import Hypothesis, sample, search
from regard.errors import ConfigError
from regard.nn import build_decoder
from regard.tasks import files, fitting
from regard.tasks.batches import in_batches
from regard.tasks.candidates import USUAL, given, width_of
from regard.tasks.maps import sequence_maps
from regard.tasks.model import Columns, Details, Scores
from regard.tasks.model_base import ModelBase
from regard.tasks.pages import page_of
from regard.tasks.transduce.baselines import text_baselines
from regard.tasks.transduce.metrics import text_scores
from regard.tasks.transduce.options import TransduceConfig
from regard.tasks.transduce.transformer import SHORTEST_LIMIT, Find, PairBatch, Transformer, shifted
from regard.tasks.wrong import wrong_texts
from regard.training.config import make_config, with_options
from regard.viewer.maps import Maps, PairMaps
from regard.viewer.recording import record
from regard.viewer.telltales import Watched

logger = logging.getLogger(__name__)
REPLAYING = ("cuda",)  # devices on which a step is recorded, and done again by one call


class Seq2Seq(ModelBase[TransduceConfig, Transformer]):
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
        super().__init__(make_config(TransduceConfig, options))

    @with_options(TransduceConfig, "Data", "Reading", "Training")
    def fit(
        self,
        train: Source,
        dev: Source | float | None = None,
        output: str | Path | None = None,
        *,
        resume: bool = False,
        **options: Any,
    ) -> Seq2Seq:
        """Trains on a file or an iterable of pairs, and keeps the weights that did best on ``dev``.

        Arguments:
            train, dev: a path in any format of docs/formats.md (with ``train_target`` and ``dev_target`` where the
                targets are a file of their own), an iterable of ``(source, target)``, or a table.
            output: run folder to write; without it nothing is left on disk.
            resume: go on from the checkpoint in ``output``, bit for bit.
            options: those of training, as on the command line.

        Raises:
            DataError: a record that cannot be read, with file and line.
            ConfigError: a value that an option does not take, or a run folder that holds another run.
        """
        return fitting.fit(self, train, dev, output, options, resume=resume)

    @with_options(TransduceConfig, "Reading")
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
        """Scores against true targets: see :func:`regard.tasks.transduce.metrics.text_scores`.

        ``errors`` is a file to write, .tsv, .csv or .jsonl: a row for each wrong text, that of the best score first.
        ``reading``: options of reading that are not to be as in training, ``source_column`` or ``delimiter``, say.
        """
        details = fitting.details_for(False, errors)
        examples = files.read(self, source, target=target, format=format, **reading)
        self.check(examples)
        width = self.config.beam if beam is None else beam
        scores = self._measure(self.network, examples, width, details)
        return fitting.with_details(scores, details, by_label=False, errors=errors)

    @with_options(TransduceConfig, "Reading")
    def predict(self, source: Source, *, format: str = "auto", beam: int | None = None, **reading: Any) -> list[str]:
        """The best output for every source, in order: texts, lists of words or arrays ``[N, C]``, or a file of them."""
        return [found[0][0] for found in self.candidates(source, top=1, format=format, beam=beam, **reading)]

    @with_options(TransduceConfig, "Reading")
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
        **reading: Any,
    ) -> list[list[tuple[str, float]]]:
        """As :meth:`candidates`, but drawn at random, ``samples`` for every source; see `regard.decoding.search`."""
        generator = None
        if seed is not None:
            generator = torch.Generator(fitting.device_of(self.network)).manual_seed(seed)
        draw = partial(sample, samples=samples, temperature=temperature, top_k=top_k, top_p=top_p)
        return self._texts(given(self, source, format, **reading), draw, generator)

    @with_options(TransduceConfig, "Reading")
    def candidates(
        self,
        source: Source,
        *,
        top: int | None = None,
        format: str = "auto",
        beam: int | None = None,
        **reading: Any,
    ) -> list[list[tuple[str, float]]]:
        """The ``top`` outputs for every source with their scores, ``log p / length ^ penalty``, best first.

        They are five, or as many as the ``beam`` has, unless given.
        """
        if top is None:
            top = USUAL if beam is None else min(USUAL, beam)
        return self._texts(given(self, source, format, **reading), self._find(top, beam))

    def _find(self, top: int | None, beam: int | None) -> Find:
        return partial(search, beam=width_of(top, beam, self.config.beam), n_best=1 if top is None else top)

    @with_options(TransduceConfig, "Reading")
    def answers(
        self,
        source: Source,
        *,
        format: str = "auto",
        beam: int | None = None,
        top: int | None = None,
        samples: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | None = None,
        **reading: Any,
    ) -> list[dict[str, Any]]:
        """For each example its ``target`` and the ``score``; with ``top`` also ``candidates``, each with both.

        Arguments:
            beam, top: of a search, as in :meth:`candidates`.
            samples, temperature, top_k, top_p, generator: of outputs drawn at random in its place.

        Raises:
            ConfigError: options of both.
        """
        drawing = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        drawn: dict[str, Any] = {name: value for name, value in drawing.items() if value is not None}
        if samples is None:
            if drawn or generator is not None:
                raise ConfigError(f"{min(drawn, default='generator')}: for outputs drawn at random; add --samples 1")
            find = self._find(top, beam)
        elif beam is not None or top is not None:
            raise ConfigError("samples: outputs are found by a beam or drawn; leave out --samples, or --beam and --top")
        else:
            find = partial(sample, samples=samples, **drawn)
        texts = self._texts(given(self, source, format, **reading), find, generator)
        found = [[{"target": text, "score": score} for text, score in some] for some in texts]
        if samples is not None:
            return [{"candidates": some} if samples > 1 else some[0] for some in found]
        return [some[0] if top is None else some[0] | {"candidates": some} for some in found]

    @torch.inference_mode()
    def attention(self, items: Any, target: str | None = None) -> PairMaps:
        """Who attends to whom: source and target to themselves, target to source. The target is predicted if None."""
        example = files.read(self, [items], labelled=False)[0]
        network = self.network.eval()
        encoder = sequence_maps(self, example)
        written = self.predict([example])[0] if target is None else target
        batch = self.collate([replace(example, goal=written)]).to(fitting.device_of(network))
        with record(network.decoder) as recording:
            network(batch.inputs, batch.tokens)
        names = network.target.names(written)
        own, cross = recording.of_role("attention"), recording.of_role("cross_attention")
        own_maps, cross_maps = Maps(own, names[1:], names[:-1]), Maps(cross, names[1:], encoder.items)
        return PairMaps(encoder, own_maps, cross_maps, partial(page_of, self, replace(example, goal=written)))

    # The protocol of regard.tasks.model

    def front_ends(self) -> dict[str, str]:
        config = self.config
        if config.sequence_parallel > 1:
            raise ConfigError(
                f"sequence_parallel: a decoder reads each sequence whole, got {config.sequence_parallel}; leave it out"
            )
        if not config.shared_vocabulary:
            return {"front_end": config.front_end, "target": config.target_units}
        if config.front_end != config.target_units:
            raise ConfigError(
                f"shared_vocabulary: source and target must be of one kind, got front_end '{config.front_end}' and "
                f"target_units '{config.target_units}'"
            )
        if config.embedding_dim not in (None, config.dim):
            raise ConfigError(
                f"shared_vocabulary: the target's vectors are of dim {config.dim}, and the source's of embedding_dim "
                f"{config.embedding_dim}; leave one out"
            )
        return {"front_end": config.front_end}

    def columns(self) -> Columns:
        return {"column": self.config.target_column, "item_column": self.config.source_column}

    def texts_of(self, part: str, train: Sequence[Example]) -> Iterable[Any]:
        if part == "target":
            return files.Values(train, "goal")
        return files.Values(train, "items", "goal") if self.config.shared_vocabulary else files.Values(train, "items")

    def check_sizes(self, examples: Sequence[Example]) -> None:
        for example in examples:
            self._check_size(example)

    def _check_size(self, example: Example) -> None:
        files.check_length(self.config, example, fewest(example.items), what="source")
        if example.goal is not None:
            files.check_length(self.config, example, fewest(example.goal), what="target")

    def check(self, examples: Sequence[Example]) -> None:
        """What is too long to be read whole is refused: a part of it would have another meaning."""
        network = self.network
        for example in examples:
            self._check_size(example)
            files.check_length(self.config, example, network.front_end.count(example.items), what="source")
            if example.goal is not None:
                length = network.target.count(example.goal)  # the end is written and not read
                files.check_length(self.config, example, length, what="target", places=length - 1)

    def build(self, front_ends: dict[str, nn.Module]) -> Transformer:
        front_end, target = front_ends["front_end"], front_ends.get("target", front_ends["front_end"])
        config, grid = self.config, self.config.is_grid
        decoder = build_decoder(
            dim=config.dim,
            depth=config.depth if config.decoder_depth is None else config.decoder_depth,
            heads=config.heads,
            feed_forward_dim=config.feed_forward_dim,
            positions=config.positions,
            position_reach=config.position_reach,
            window=None if grid else config.window,
            score=config.score,
            normalizer=config.normalizer,
            norm=config.norm,
            norm_eps=config.norm_eps,
            embedding_norm=config.embedding_norm,
            dropout=config.dropout,
            activation=config.activation,
            implementation=config.implementation,
            memory_positions=config.memory_positions,
            memory_grid=grid,
        )
        return Transformer(front_end, fitting.make_encoder(config), target, decoder, dim=config.dim, tied=config.tied)

    def _texts(
        self, examples: Sequence[Example], find: Find, generator: torch.Generator | None = None
    ) -> list[list[tuple[str, float]]]:
        self.check(examples)
        found = self._search(self.network, examples, find, generator)
        return [[(self._text(one.ids), one.score) for one in some] for some in found]

    def length(self, example: Example) -> int:
        source = int(self.network.front_end.count(example.items))
        return source + (0 if example.goal is None else int(self.network.target.count(example.goal)))

    def collate(self, examples: Sequence[Example]) -> PairBatch:
        inputs = self.network.front_end.encode([example.items for example in examples])
        targets = self.network.target.encode([example.goal for example in examples])
        return PairBatch(inputs, *shifted(targets))

    def loss(self, network: nn.Module, batch: PairBatch) -> tuple[Tensor, int]:
        logits = network(batch.inputs, batch.tokens).values.float()
        loss = F.cross_entropy(logits, batch.following, reduction="sum", label_smoothing=self.config.label_smoothing)
        return loss, len(batch.following)

    def metric(self, train: Sequence[Example], dev: Sequence[Example] | None) -> str:
        if self.config.select != "auto":
            return self.config.select
        return "bleu" if self.config.target_units == "subwords" else "exact"

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
        best = [found[0] for found in self._search(network, examples, partial(search, beam=beam))]
        outputs = [self._text(one.ids) for one in best]
        if details is not None:
            details.wrong = wrong_texts(examples, outputs, [one.score for one in best])
        return text_scores([example.goal for example in examples], outputs)

    @torch.inference_mode()
    def _search(
        self, network: Any, examples: Sequence[Example], find: Find, generator: torch.Generator | None = None
    ) -> list[list[Hypothesis]]:
        """The best hypotheses for every source.

        Arguments:
            find: a search with its own options filled in.
            generator: if it draws from one, a number of that seeds one for each batch, in whichever process it is made.
        """
        network.eval()
        config, device = self.config, fitting.device_of(network)
        find = partial(find, length_penalty=config.length_penalty)
        most = config.position_reach - 1 if config.positions == "learned" else None
        width = find.keywords.get("samples", find.keywords.get("beam", 1))
        replay = network.replay(width, most) if device.type in REPLAYING else None
        write = partial(network.find, longest_output=config.longest_output, most=most, replay=replay)
        found: list[list[Hypothesis]] = [[] for _ in examples]
        seed = None if generator is None else int(torch.randint(2**48, (), generator=generator, device=device))

        def found_for(numbers: list[int]) -> list[list[Hypothesis]]:
            how = find
            if seed is not None:
                how = partial(find, generator=torch.Generator(device).manual_seed(seed + numbers[0]))
            inputs = network.front_end.encode([examples[number].items for number in numbers]).to(device)
            batch: list[list[Hypothesis]] = write(inputs, how)
            return batch

        for numbers, batch in in_batches([self.length(example) for example in examples], device, found_for):
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

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.network.target.text(tokens))

    @torch.no_grad()
    def watched(self, example: Example) -> Watched:
        """Its answers are the tokens of the target, which is predicted unless the example has one."""
        network = self.network.eval()
        written = self.predict([example])[0] if example.goal is None else example.goal
        batch = self.collate([replace(example, goal=written)]).to(fitting.device_of(network))

        def run() -> Tensor:
            rows: Tensor = network(batch.inputs, batch.tokens).values.float().log_softmax(1)
            return rows.gather(1, batch.following[:, None])[:, 0]

        return Watched(network, run, network.target.names(written)[1:], torch.arange(len(batch.following)))

    def baselines(self, train: Sequence[Example], scored: Sequence[Example]) -> Scores:
        return text_baselines(train, scored)
