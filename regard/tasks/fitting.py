"""What all tasks have in common: options settled, a network trained into a run folder and scored, and used."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from regard.data import Example, Source
from regard.data.share import share_of
from regard.errors import ConfigError, RegardError
from regard.front_ends import learn_front_end, restore_front_end
from regard.image import check_whole
from regard.machine import memory, processes
from regard.nn import build_encoder, set_window
from regard.nn.undrawn import undrawn
from regard.tasks.card import data_of, write_scores
from regard.tasks.continuing import continued
from regard.tasks.examples import read_both, warn_of
from regard.tasks.files import digest, item_kind
from regard.tasks.model import Details, Model, Scores
from regard.tasks.run_folder import restore_run, save_run, taken
from regard.tasks.start import NOTHING, Start, open_start, take_over, with_options_of
from regard.tasks.wrong import check_ending, write_wrong
from regard.training.budget import batch_tokens_of
from regard.training.checkpoint import WEIGHTS, load_weights
from regard.training.config import Config, Window, Windows, check_tokenizer, make_config
from regard.training.learner import choose_device, is_main_process
from regard.training.spread import shared

M = TypeVar("M", bound=Model)


def made(network: Any, model: object) -> Any:
    """The network of a model, once there is one.

    Raises:
        RegardError: there is none yet.
    """
    if network is None:
        name = type(model).__name__
        raise RegardError(f"this {name} has no network yet: call fit(...), or open a run folder with regard.load")
    return network


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def fit(
    model: M,
    train: Source,
    dev: Source | float | None,
    output: str | Path | None,
    options: dict[str, Any],
    *,
    resume: bool,
    cut: Callable[[Sequence[Example]], Sequence[Example]] = lambda examples: examples,
) -> M:
    """Trains, and leaves in ``model`` and in ``output`` the weights that did best on ``dev``.

    Arguments:
        cut: makes shorter examples of those of training, where they may be too long for a step.
    """
    from regard.tasks.folds import train_on_folds

    options = {name: str(given) if isinstance(given, Path) else given for name, given in options.items()}
    for name, given in (("train", train), ("dev", dev), ("output", output)):
        options[name] = str(given) if isinstance(given, str | Path) else None
    if isinstance(dev, int | float) or (isinstance(dev, Path) and share_of(str(dev)) is not None):
        options["dev"] = os.path.join(".", dev) if isinstance(dev, Path) else dev
    model.config = make_config(type(model.config), model.config.model_dump(exclude_unset=True) | options)
    _check_processes(model.config, processes(), output)
    if model.config.folds is not None and dev is not None:
        raise ConfigError("folds: each is scored on its own part of train, got dev data too; leave one of both out")
    with ExitStack() as stack:
        if output is None:
            resume = False  # from the nothing in a folder of its own
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="regard-"))
        else:
            folder = str(output)
        stack.enter_context(taken(Path(folder), resume=resume))
        start = resolve(model)
        left_out: dict[str, int] = {}
        examples, dev_examples = read_both(model, train, dev, left_out)
        warn = partial(warn_of, model, examples, dev_examples)
        about: dict[str, Any] = {"bad_records": left_out} if any(left_out.values()) else {}
        if model.config.folds is not None:
            train_on_folds(model, examples, Path(folder), start, resume=resume, about=about, cut=cut, warn=warn)
            return model
        if (share := share_of(model.config.dev)) is not None:
            about["measured_on"] = f"{100 * share:g} % of train, seed {model.config.seed}"
        return train_on(model, cut(examples), dev_examples, Path(folder), start, resume=resume, about=about, warn=warn)


def _check_processes(config: Config, processes: int, output: str | Path | None) -> None:
    """Refuses what several processes do not do, and sequences that are shared by more than there are."""
    if config.sequence_parallel > 1 and processes % config.sequence_parallel:
        raise ConfigError(
            f"sequence_parallel: {config.sequence_parallel} processes are to share each sequence, got {processes} in "
            f"all, no multiple of it; start them with torchrun --nproc-per-node={config.sequence_parallel}"
        )
    if config.sequence_parallel > 1 and config.is_grid:
        raise ConfigError(
            f"sequence_parallel: rows and columns of images are not cut yet, got front_end {config.front_end}; leave "
            "it out"
        )
    if config.compile and (config.shard or config.sequence_parallel > 1):
        name = "shard" if config.shard else "sequence_parallel"
        raise ConfigError(f"compile: layers are compiled that are whole in each process, got {name}; leave one out")
    if processes == 1:
        if config.shard:
            raise ConfigError(
                "shard: several processes are to hold a part of the weights each, got 1; start them with torchrun "
                "--nproc-per-node=2"
            )
        return
    if output is None:
        raise ConfigError("output: required with several processes, which share the run folder")
    if config.folds is not None:
        raise ConfigError("folds: one process trains a network for each; leave them out, or start it alone")
    if config.baselines == "all":
        raise ConfigError("baselines: all trains other encoders, which one process does; choose simple or none")


def resolve(model: Model) -> Start:
    """Settles all options, before anything is read: those that a network to start from asks for, too.

    Raises:
        ConfigError: options that do not go together.
    """
    start = NOTHING
    if model.config.continue_from is not None:
        model.config, start = continued(model.config)
    elif model.config.pretrained is not None:
        start = open_start(model.config.pretrained)
        model.config = with_options_of(start, model.config)
    config = model.config
    check_tokenizer(config, model.front_ends().values())
    device = choose_device(config.device)
    with undrawn("meta"):
        encoder = make_encoder(config)  # which refuses sizes that do not go together
    parts = processes() if config.shard else 1
    parameters = count_parameters(encoder)
    _check_memory(parameters, device, parts)
    model.config = config.model_copy(update={"batch_tokens": batch_tokens_of(config, parameters, device)})
    return start


def _check_memory(parameters: int, device: torch.device, parts: int) -> None:
    """Refuses an encoder of which the machine cannot hold the weights; nor, on the CPU, gradients and two moments.

    In shards, a process has one of so many parts of the latter.
    """
    needed = parameters * 4 * (1 + 3 / parts if device.type == "cpu" else 1)  # bytes
    if needed > (there := memory()):
        raise ConfigError(
            f"dim, depth, feed_forward_dim: an encoder of {parameters:,} parameters needs {needed / 2**30:,.0f} GiB, "
            f"got a machine with {there / 2**30:,.0f}; choose smaller ones"
        )


def train_on(
    model: M,
    train: Sequence[Example],
    dev: Sequence[Example] | None,
    output: Path,
    start: Start,
    *,
    resume: bool,
    about: dict[str, Any],
    warn: Callable[[], None] = lambda: None,
) -> M:
    """Trains on examples that were read, with options that are settled, and scores the weights that did best.

    Arguments:
        about: what the scores tell beside themselves.
        warn: called before training, once everything is checked.
    """
    scored = train if dev is None else dev
    training = learn(model, train, dev, output, start, resume=resume, warn=warn)
    details = Details()
    with shared():
        own = model.score(model.network, scored, pictures=output if is_main_process() else None, details=details)
    if is_main_process():
        model.scores = {"measured_on": "train" if dev is None else "dev", "training": training, **about}
        model.scores["data"] = data_of(model, train=train, dev=dev)
        model.scores["scores"] = {"regard": own}
        if details.by_label:
            model.scores["by_label"] = details.by_label
        write_scores(model, output)  # whatever becomes of the baselines, the run is whole
        if model.config.baselines != "none":
            model.scores["scores"] |= baselines_of(model, train, dev, scored)
            write_scores(model, output)
    return model


def learn(
    model: Model,
    train: Sequence[Example],
    dev: Sequence[Example] | None,
    output: Path,
    start: Start,
    *,
    resume: bool,
    scored: Sequence[Example] = (),
    warn: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Leaves in ``model`` and ``output`` the weights that did best on dev, the last without; how long it took.

    Arguments:
        scored: examples that are to be scored later; they are checked, and nothing else.
        warn: called before training, once everything is checked.
    """
    from regard.training.loop import train as run_training

    for examples in (train, dev or (), scored):
        model.check_sizes(examples)
    network = _new_network(model, train, start)
    for examples in (train, dev or (), scored):
        model.check(examples)
        if item_kind(model.config) == "images" and model.config.bad_records != "skip":
            check_whole(example.items for example in examples)
    warn()
    result = run_training(
        network,
        lengths=[model.length(example) for example in train],
        collate=lambda indices: model.collate([train[index] for index in indices]),
        loss=model.loss,
        evaluate=None if dev is None else lambda network: model.score(network, dev, final=False),
        select=model.metric(train, dev),
        config=model.config,
        output=output,
        save=lambda network, folder: save_run(model, network, folder),
        restore=lambda folder: restore_run(model, folder),
        resume=resume,
        data_digest=digest(train, model.vocabulary()),
        dev_digest="" if dev is None else digest(dev),
    )
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    load_weights(network, output / WEIGHTS)
    return {"seconds": result.seconds, "tokens_per_second": result.tokens_per_second}


def details_for(by_label: bool, errors: str | Path | None) -> Details | None:
    """Where an evaluation takes down what is asked for beside scores; None where nothing is.

    Raises:
        ConfigError: a file of errors of which the name does not tell how it is written.
    """
    if errors is not None:
        check_ending(errors)
    return Details() if by_label or errors is not None else None


def with_details(
    scores: dict[str, Any], details: Details | None, *, by_label: bool, errors: str | Path | None
) -> dict[str, Any]:
    """Scores with those of each label, if they are asked for; and the file of errors is written."""
    if details is not None and errors is not None:
        write_wrong(details.wrong, errors)
    return scores | {"by_label": details.by_label} if details is not None and by_label else scores


def _new_network(model: Model, train: Sequence[Example], start: Start) -> nn.Module:
    """A network for the training data, with the weights to start from."""
    torch.manual_seed(model.config.seed)
    if start.whole is not None:
        model.restore(start.vocabularies)
    known: list[str] | None = None if start.whole is None else getattr(model, "labels", None)
    model.learn_labels(train, known)
    front_ends = {}
    for part, kind in model.front_ends().items():
        vocabulary = start.vocabularies.get(part)
        if vocabulary is not None:
            front_ends[part] = restore_front_end(kind, vocabulary, model.config.of_part(part))
        else:
            front_ends[part] = learn_front_end(kind, model.texts_of(part, train), model.config.of_part(part))
    network = model.network = model.build(front_ends)
    if start.whole is not None:
        load_weights(network, start.whole / WEIGHTS)
    elif start.parts:
        take_over(network, start)
    return network


def baselines_of(
    model: Model, train: Sequence[Example], dev: Sequence[Example] | None, scored: Sequence[Example]
) -> Scores:
    """What simple things score, and encoders of other kinds if that is asked for."""
    scores = model.baselines(train, scored)
    if model.config.baselines == "all":
        for kind in ("pointwise", "sliding"):
            scores[f"{kind} encoder"] = _other_encoder(model, kind, train, dev, scored)
    return scores


def _other_encoder(
    model: Model, kind: str, train: Sequence[Example], dev: Sequence[Example] | None, scored: Sequence[Example]
) -> dict[str, float]:
    """What an encoder of another kind with as many parameters scores, trained in the same way from nothing."""
    other: Any = type(model)()
    plain = {"encoder": kind, "baselines": "none"}
    unset = dict.fromkeys(
        ("window", "windows", "pretrained", "continue_from", "tokenizer", "train", "dev", "folds", "output")
    )
    other.config = model.config.model_copy(update=plain | unset)
    start = Start(vocabularies={part: model.vocabulary()[part] for part in model.front_ends()})
    size = _equal_size(other.config, count_parameters(model.network.encoder))
    other.config = other.config.model_copy(update={"feed_forward_dim": size})
    with tempfile.TemporaryDirectory(prefix="regard-") as folder:
        learn(other, train, dev, Path(folder), start, resume=False, scored=scored)
    scores: dict[str, float] = other.score(other.network, scored)
    return scores


def _equal_size(config: Config, parameters: int) -> int:
    """The inner width that gives an encoder so many parameters."""
    with undrawn("meta"):
        fewer, more = (
            count_parameters(make_encoder(config.model_copy(update={"feed_forward_dim": width}))) for width in (64, 128)
        )
    # Without layers they are as many with any width.
    return 64 if more == fewer else max(1, 64 + round((parameters - fewer) * 64 / (more - fewer)))


def change_window(model: Model, *, window: Window = None, windows: Windows = None) -> None:
    """Lets the encoder of a model attend within another window than it was trained with, or in one for each layer.

    Raises:
        ConfigError: an encoder that does not attend, or windows that are none.
    """
    config = model.config.model_dump(exclude_unset=True) | {"window": window, "windows": windows}
    set_window(model.network.encoder, window, windows=windows)
    model.config = make_config(type(model.config), config)


def parts_of(network: nn.Module) -> dict[str, Any]:
    """How many parameters each part of a network has."""
    parts = {name: count_parameters(part) for name, part in network.named_children()}
    return {"parameters": sum(parts.values()), "parts": parts}


def make_encoder(config: Config) -> nn.Module:
    """The encoder that the options ask for."""
    return build_encoder(
        config.encoder,
        dim=config.dim,
        embedding_dim=config.embedding_dim,
        depth=config.depth,
        heads=config.heads,
        feed_forward_dim=config.feed_forward_dim,
        positions=config.positions,
        position_reach=config.position_reach,
        window=config.window,
        windows=config.windows,
        causal=config.causal,
        grid=config.is_grid,
        score=config.score,
        normalizer=config.normalizer,
        norm=config.norm,
        norm_eps=config.norm_eps,
        embedding_norm=config.embedding_norm,
        activation=config.activation,
        dropout=config.dropout,
        implementation=config.implementation,
    )


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
