"""Starting from a network that was trained before: a run folder of any task, or a BERT or ViT of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from regard.attention.check import window_sides
from regard.errors import ConfigError, ModelError
from regard.files import read_json, unsealed
from regard.formats.huggingface.packaged import PACKAGED, folder_of, how_to_install, is_installed
from regard.tasks import MODEL, TASKS, task_of
from regard.tasks.classify.baselines import OF_TEXTS
from regard.training.checkpoint import WEIGHTS, check_beside, read_weights
from regard.training.config import Config, make_config, panel_of
from regard.training.config_file import FILE as CONFIG
from regard.training.config_file import read_config

C = TypeVar("C", bound=Config)
WINDOWS = {"window", "windows", "causal"}
FREE = {"dropout", "implementation", "architecture", "pretrained", "tokenizer", "case", *WINDOWS}  # not of the weights
TAKEN = (
    "front_end",
    "encoder",
    "pool",
    "masked_head",
    "mask",
)  # the parts that a new network takes over, if it has them


@dataclass(frozen=True, eq=False)
class Start:
    """What a new network begins with; nothing, unless given.

    Arguments:
        options: of the network, which the weights ask for.
        proposed: options that it was used with, which may be given others.
        vocabularies: of front ends, by the part that they are.
        parts: tensors by name for each part; one that is a tensor itself has it under "".
        whole: a run folder that is gone on with: all of its weights, and what its head knows.
    """

    options: dict[str, Any] = field(default_factory=dict)
    proposed: dict[str, Any] = field(default_factory=dict)
    vocabularies: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    whole: Path | None = None


NOTHING = Start()
ENGLISH = "minilm"  # of PACKAGED


def open_start(folder: str | Path) -> Start:
    """Reads a run folder (``model.json``), a Hugging Face one (``config.json``), or one of the names in `PACKAGED`.

    Raises:
        ModelError: it is neither, or a file in it is missing, damaged or of another architecture.
    """
    path = folder_of(folder)
    if (path / MODEL).is_file():
        return _of_run(path)
    if (path / "config.json").is_file():
        given = read_json(path / "config.json")
        is_vit = given.get("model_type") == "vit" or "architecture" in given  # of transformers, and of timm
        return _of_vit(path) if is_vit else _of_bert(path)
    raise ModelError(
        f"{path}: neither a run folder ({MODEL}) nor a Hugging Face one (config.json), nor {' or '.join(PACKAGED)}"
    )


def _of_run(folder: Path) -> Start:
    vocabulary = unsealed(read_json(folder / MODEL), folder / MODEL, required=False)
    if "front_end" not in vocabulary:
        raise ModelError(f"{folder / MODEL}: a part is missing or altered; copy it again or train again")
    config = read_config(folder / CONFIG, TASKS[task_of(folder)].config, whole=True)
    check_beside(folder / WEIGHTS, config=config, vocabulary=vocabulary)
    free = FREE - WINDOWS if window_shapes_weights(config) else FREE
    shared = [name for name in Config.model_fields if panel_of(Config, name) == "Network" and name not in free]
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in read_weights(folder / WEIGHTS).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    options = {name: getattr(config, name) for name in shared}
    proposed = {"architecture": config.architecture}
    return Start(options, proposed, {"front_end": vocabulary["front_end"]}, parts)


def window_shapes_weights(config: Config) -> bool:
    """Whether another window asks for weights of another shape: those of neighbours, or a table that ends with it."""
    if config.encoder in ("sliding", "convolution"):
        return True
    windows = [config.window] if config.windows is None else config.windows
    each = zip(*(window_sides(window, config.causal) for window in windows), strict=True)  # lefts, and rights
    return config.positions == "relative" and any(
        all(side is not None and side < config.position_reach for side in sides) for sides in each
    )


def _of_bert(folder: Path) -> Start:
    from regard.formats.huggingface.read import read_bert

    bert = read_bert(folder)
    parts = {"front_end": {"embedding.weight": bert.embedding}, "encoder": bert.encoder}
    parts |= {} if bert.masked_head is None else {"masked_head": bert.masked_head}
    parts |= {} if bert.pooler is None else {"pool": bert.pooler}
    options, proposed = dict(bert.options), {"ngrams": 0}  # which knows more, and is to be exported as it is
    proposed["architecture"] = options.pop("architecture")
    return Start(options, proposed, {"front_end": {"tokenizer": bert.tokenizer}}, parts)


def _of_vit(folder: Path) -> Start:
    from regard.formats.huggingface.read_vit import read_vit

    vit = read_vit(folder)
    parts = {"front_end": vit.patches, "encoder": vit.encoder} | ({} if vit.pooler is None else {"pool": vit.pooler})
    return Start(vit.options, {"image_size": vit.image_size}, {"front_end": vit.vocabulary}, parts)


def advice(model: Any) -> str | None:
    """What there is to start from, where a network of texts made from nothing does worse than counting their words."""
    scores = model.scores["scores"]
    if model.config.pretrained is not None or model.scores["measured_on"] == "train" or OF_TEXTS not in scores:
        return None
    metric = model.metric((), ())
    if scores["regard"][metric] >= scores[OF_TEXTS][metric]:
        return None
    missing = "" if is_installed(ENGLISH) else f" ({how_to_install(ENGLISH)})"
    return (
        f"{OF_TEXTS} does better than this network, which began with nothing; "
        f"--from {ENGLISH} --learning-rate 3e-4 --dropout 0.1 begins with a BERT of English{missing}"
    )


def with_options_of(start: Start, config: C) -> C:
    """The options of a training with those that the weights to start from ask for.

    Raises:
        ConfigError: an option was given another value.
    """
    if config.tokenizer is not None:
        raise ConfigError(f"tokenizer: the pretrained network has its own, got {config.tokenizer!r}; leave it out")
    for name, value in start.options.items():
        given = getattr(config, name)
        if name in config.model_fields_set and given != value:
            raise ConfigError(f"{name}: the pretrained network has {value!r}, got {given!r}; leave it out")
    proposed = {name: value for name, value in start.proposed.items() if name in type(config).model_fields}
    given = proposed | config.model_dump(exclude_unset=True) | start.options
    if start.options["positions"] == "learned" and "longest" not in config.model_fields_set:
        given["longest"] = min(config.longest, start.options["position_reach"])
    return make_config(type(config), given)


@torch.no_grad()
def take_over(network: nn.Module, start: Start) -> None:
    """Copies what a new network has of the parts of an old one; what is not there keeps its first values.

    A head is taken whole, or not at all where it is of another kind.

    Raises:
        ModelError: a tensor of front end or encoder has another shape.
    """
    for part in TAKEN:
        own, found = _state(getattr(network, part, None)), start.parts.get(part, {})
        same = own.keys() == found.keys() and all(own[name].shape == found[name].shape for name in own)
        if part in ("front_end", "encoder") or same:
            _copy(own, found, part)


def _state(part: nn.Module | Tensor | None) -> Mapping[str, Tensor]:
    if isinstance(part, Tensor):
        return {"": part}
    return {} if part is None else part.state_dict()


def _copy(own: Mapping[str, Tensor], found: Mapping[str, Tensor], part: str) -> None:
    for name in own.keys() & found.keys():
        if found[name].shape != own[name].shape:
            raise ModelError(
                f"{part}.{name}: expected shape {list(own[name].shape)}, the file has {list(found[name].shape)}"
            )
        own[name].copy_(found[name])
