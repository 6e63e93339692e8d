"""What all tasks have in common: options resolved, data read, a network trained into a run folder and scored."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from regard.data import Example, Source, reading
from regard.data.formats import ending, find_format
from regard.data.lines import STDIN
from regard.errors import ConfigError, DataError, RegardError
from regard.front_ends import learn_front_end, restore_front_end
from regard.tasks import run_folder
from regard.tasks.model import Model, Scores, count_parameters, item_kind, make_encoder
from regard.tasks.start import NOTHING, Start, open_start, take_over, with_options_of
from regard.training.config import Config, check_tokenizer, make_config
from regard.training.learner import choose_device, is_main_process
from regard.viewer.maps import Maps
from regard.viewer.recording import record

M = TypeVar("M", bound=Model)
PREDICT_TOKENS = 4000  # items in a batch of prediction; larger ones leave the cache, and their memory is mapped anew


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


# Reading


def read(model: Model, source: Source, *, labelled: bool = True, **how: Any) -> Sequence[Example]:
    """The examples of a file or an iterable as the model's options say, unless ``how`` says otherwise.

    Raises:
        DataError: a record that cannot be read, or that this front end does not take.
    """
    return reading.read(source, **_how(model, source, labelled=labelled, **how))


def iter_read(model: Model, source: Source, *, labelled: bool = False, **how: Any) -> Iterator[Example]:
    """The same one by one, as they come in."""
    return reading.iter_read(source, **_how(model, source, labelled=labelled, **how))


def _how(model: Model, source: Source, *, labelled: bool, format: str = "auto", **how: Any) -> dict[str, Any]:
    config = model.config
    if format == "auto" and config.format != "auto" and isinstance(source, str | Path):
        format = _format_of(source, config, labelled=labelled)
    kind = item_kind(config)
    if not labelled and config.predicts_from is not None and kind == "words":
        kind = config.predicts_from
    given = {name: value for name, value in how.items() if value is not None}
    return {"goal": config.goal, "items": kind, "labelled": labelled, "format": format} | dict(model.columns()) | given


def _format_of(source: str | Path, config: Any, *, labelled: bool) -> str:
    """A file that ends as that of training did is in its format; another in the one that its name tells, if any."""
    if str(source) != STDIN and config.train is not None and ending(source) == ending(config.train):
        return str(config.format)
    try:
        return find_format(source, goal=config.goal, labelled=labelled).name
    except DataError:
        return str(config.format)


class Values:
    """The items, or goals, of examples one after another, as often as they are asked for, not held in memory."""

    def __init__(self, examples: Sequence[Example], *names: str) -> None:
        self.examples, self.names = examples, names

    def __iter__(self) -> Iterator[Any]:
        return (getattr(example, name) for name in self.names for example in self.examples)


def check_length(
    config: Config,
    example: Example,
    length: int,
    *,
    what: str = "sequence",
    windowed: bool = False,
    places: int | None = None,
) -> None:
    """Refuses what cannot be taken whole: more than learned positions tell apart, or, unless ``windowed``, ``longest``.

    Arguments:
        length: of the example, as the network counts it; ``places``: positions that it takes, if not as many.
        what: it is called.

    Raises:
        DataError: with its place, what to do.
    """
    reach = config.position_reach
    if config.positions == "learned" and (length if places is None else places) > reach:
        raise example.place.error(
            f"a {what} of at most {reach} items, where learned positions end (split it, or train with a larger "
            "`position_reach`, or with positions that have no end: relative, sinusoidal)",
            f"one of {length}",
        )
    if length > config.longest and not windowed:
        raise example.place.error(
            f"a {what} of at most {config.longest} items (split it, or train with a larger `longest`)",
            f"one of {length}",
        )


def longest_window(config: Config) -> int:
    """How many items are read at once of a sequence that may be cut."""
    return min(config.longest, config.position_reach) if config.positions == "learned" else config.longest


# Training


def fit(
    model: M,
    train: Source,
    dev: Source | None,
    output: str | Path | None,
    options: dict[str, Any],
    *,
    resume: bool,
) -> M:
    """Trains, and leaves in ``model`` and in ``output`` the weights that did best on ``dev``."""
    options = {name: str(given) if isinstance(given, Path) else given for name, given in options.items()}
    for name, given in (("train", train), ("dev", dev), ("output", output)):
        options[name] = str(given) if isinstance(given, str | Path) else None
    model.config = make_config(type(model.config), model.config.model_dump(exclude_unset=True) | options)
    if output is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("output: required with several processes, which share the run folder")
    if output is not None:
        run_folder.check_free(Path(output), resume=resume)
    start = resolve(model)
    examples = _read_part(model, train, "train")
    dev_examples = None if dev is None else _read_part(model, dev, "dev")
    if output is not None:
        return train_on(model, examples, dev_examples, Path(output), start, resume=resume)
    with tempfile.TemporaryDirectory(prefix="regard-") as folder:
        return train_on(model, examples, dev_examples, Path(folder), start, resume=False)


def resolve(model: Model) -> Start:
    """Settles all options, before anything is read: those that a network to start from asks for, too.

    Raises:
        ConfigError: options that do not go together.
    """
    start = NOTHING
    if model.config.pretrained is not None:
        start = open_start(model.config.pretrained)
        model.config = with_options_of(start, model.config)
    config = model.config
    check_tokenizer(config, model.front_ends().values())
    choose_device(config.device)
    with torch.device("meta"):
        make_encoder(config)  # which refuses sizes that do not go together
    return start


def _read_part(model: Model, source: Source, part: str) -> Sequence[Example]:
    return read(model, source, format=model.config.format, target=getattr(model.config, f"{part}_target", None))


def train_on(
    model: M,
    train: Sequence[Example],
    dev: Sequence[Example] | None,
    output: Path,
    start: Start,
    *,
    resume: bool,
) -> M:
    """Trains on examples that were read, with options that are settled."""
    from regard.training.loop import train as run_training

    network = _new_network(model, train, start)
    for examples in (train, dev or ()):
        model.check(examples)
    result = run_training(
        network,
        lengths=[model.length(example) for example in train],
        collate=lambda indices: model.collate([train[index] for index in indices]),
        loss=model.loss,
        evaluate=None if dev is None else lambda network: model.score(network, dev, final=False),
        select=model.metric(train, dev),
        config=model.config,
        output=output,
        save=lambda network, folder: run_folder.save_run(model, network, folder),
        resume=resume,
        data_digest=run_folder.digest(train, model.vocabulary()),
        dev_digest="" if dev is None else run_folder.digest(dev),
    )
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    run_folder.load_weights(network, output / run_folder.WEIGHTS)
    if is_main_process():
        scores = _scores(model, train, dev, output)
        speed = {"seconds": result.seconds, "tokens_per_second": result.tokens_per_second}
        model.scores = {"measured_on": "train" if dev is None else "dev", "scores": scores, "training": speed}
        run_folder.write_scores(model, output, train, dev)
    return model


def _new_network(model: Model, train: Sequence[Example], start: Start) -> nn.Module:
    """A network for the training data, with the weights to start from."""
    torch.manual_seed(model.config.seed)
    model.learn_labels(train)
    front_ends = {}
    for part, kind in model.front_ends().items():
        known = start.vocabularies.get(part)
        if known is not None:
            front_ends[part] = restore_front_end(kind, known, model.config)
        else:
            front_ends[part] = learn_front_end(kind, model.texts_of(part, train), model.config)
    network = model.network = model.build(front_ends)
    if start.parts:
        take_over(network, start)
    return network


def _scores(model: Model, train: Sequence[Example], dev: Sequence[Example] | None, pictures: Path) -> Scores:
    """The model beside its baselines, on dev where there is one."""
    scored = train if dev is None else dev
    scores = {"regard": model.score(model.network, scored, pictures=pictures)}
    if model.config.baselines != "none":
        scores |= model.baselines(train, scored)
    if model.config.baselines == "all":
        for kind in ("pointwise", "sliding"):
            scores[f"{kind} encoder"] = _other_encoder(model, kind, train, dev)
    return scores


def _other_encoder(
    model: Model, kind: str, train: Sequence[Example], dev: Sequence[Example] | None
) -> dict[str, float]:
    """What an encoder of another kind with as many parameters scores, trained in the same way from nothing."""
    other: Any = type(model)()
    plain = {"encoder": kind, "window": None, "pretrained": None, "tokenizer": None, "baselines": "none"}
    other.config = model.config.model_copy(update=plain | dict.fromkeys(("train", "dev", "output")))
    start = Start(vocabularies={part: model.vocabulary()[part] for part in model.front_ends()})
    size = _equal_size(other, train, start, model.network)
    other.config = other.config.model_copy(update={"feed_forward_dim": size})
    with tempfile.TemporaryDirectory(prefix="regard-") as folder:
        train_on(other, train, dev, Path(folder), start, resume=False)
    scores: dict[str, float] = other.scores["scores"]["regard"]
    return scores


def _equal_size(model: Model, train: Sequence[Example], start: Start, network: Any) -> int:
    """The inner width that gives this model's encoder as many parameters as the network's own."""
    sizes = []
    for width in (64, 128):
        model.config = model.config.model_copy(update={"feed_forward_dim": width})
        sizes.append(count_parameters(_new_network(model, train, start).encoder))  # type: ignore[arg-type]
    more = sizes[1] - sizes[0]  # 0 without layers, where any width will do
    return 64 if more == 0 else max(1, 64 + round((count_parameters(network.encoder) - sizes[0]) * 64 / more))


# Predicting


def batches_by_length(model: Model, examples: Sequence[Example]) -> Iterator[list[int]]:
    """Numbers of examples of about one length, at most `PREDICT_TOKENS` items in all; a longer one stands alone."""
    lengths = [model.length(example) for example in examples]
    return fill(sorted(range(len(examples)), key=lengths.__getitem__), lengths, PREDICT_TOKENS)


def fill(order: Iterable[int], lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Consecutive indices in batches of at most ``budget`` items; a longer sequence stands alone."""
    batch: list[int] = []
    filled = 0
    for index in order:
        if batch and filled + lengths[index] > budget:
            yield batch
            batch, filled = [], 0
        batch.append(index)
        filled += lengths[index]
    if batch:
        yield batch


@torch.inference_mode()
def attention_maps(model: Model, items: Any) -> Maps:
    """Who attends to whom in one sequence, by layer and head of the encoder."""
    example, network = read(model, [items], labelled=False, items=item_kind(model.config))[0], model.network.eval()
    check_length(model.config, example, network.front_end.count(example.items), windowed=True)
    inputs = network.front_end.encode([example.items]).to(device_of(network))
    with record(network.encoder) as layers:
        network.encoder(network.front_end(inputs))
    if not layers:
        raise RegardError("this encoder does not attend, so there is nothing to show; see the option `encoder`")
    names = network.front_end.names(example.items)
    return Maps([weights.dense()[0] for weights in layers], names)  # [H, N, N] each


def parts_of(network: nn.Module) -> dict[str, Any]:
    """How many parameters each part of a network has."""
    parts = {name: count_parameters(part) for name, part in network.named_children()}
    return {"parameters": sum(parts.values()), "parts": parts}
