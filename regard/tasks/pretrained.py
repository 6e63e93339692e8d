"""Starting from a network that was trained before: a run folder of any task, or a BERT of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from regard.errors import ConfigError, ModelError
from regard.tasks import run_folder
from regard.training.config import CONFIGS, Config, make_config, panel_of
from regard.training.config_file import read_config

C = TypeVar("C", bound=Config)
FREE = {"dropout", "implementation", "window", "causal", "pretrained", "tokenizer", "case"}  # not of the weights


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What a new model takes over.

    Arguments:
        options: of the network, which the weights ask for.
        vocabulary: of the front end.
        parts: tensors by name for each part: "front_end", "encoder", and what else there is ("head", "pool").
    """

    options: dict[str, Any]
    vocabulary: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]


def open_pretrained(folder: str) -> Pretrained:
    """Reads a run folder (``model.json``) or a Hugging Face one (``config.json``).

    Raises:
        ModelError: it is neither, or a file in it is missing, damaged or of another architecture.
    """
    weights = Path(folder) / run_folder.WEIGHTS
    return _open(folder, weights.stat().st_mtime_ns if weights.is_file() else 0)


@lru_cache(maxsize=1)
def _open(folder: str, changed: int) -> Pretrained:
    """Read once for a training, and again once its weights have changed."""
    path = Path(folder)
    if (path / run_folder.MODEL).is_file():
        return _of_run(path)
    if (path / "config.json").is_file():
        return _of_bert(path)
    raise ModelError(f"{path}: neither a run folder ({run_folder.MODEL}) nor a Hugging Face one (config.json)")


def _of_run(folder: Path) -> Pretrained:
    model = run_folder.read_json(folder / run_folder.MODEL)
    if model.get("task") not in CONFIGS or "front_end" not in model:
        raise ModelError(f"{folder / run_folder.MODEL}: a part is missing or altered; copy it again or train again")
    config = read_config(folder / run_folder.CONFIG, CONFIGS[model["task"]])
    shared = [name for name in Config.model_fields if panel_of(Config, name) == "Network" and name not in FREE]
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in run_folder.read_weights(folder / run_folder.WEIGHTS).items():
        part, rest = name.split(".", 1) if "." in name else ("", name)
        parts.setdefault(part, {})[rest] = tensor
    return Pretrained({name: getattr(config, name) for name in shared}, model["front_end"], parts)


def _of_bert(folder: Path) -> Pretrained:
    from regard.tasks.bert_read import read_bert

    bert = read_bert(folder)
    parts = {"front_end": {"embedding.weight": bert.embedding}, "encoder": bert.encoder}
    parts |= {} if bert.masked_head is None else {"head": bert.masked_head}
    parts |= {} if bert.pooler is None else {"pool": bert.pooler}
    return Pretrained(bert.options, {"tokenizer": bert.tokenizer}, parts)


def fit_options(config: C, pretrained: Pretrained) -> C:
    """The options of a training with those that the weights ask for.

    Raises:
        ConfigError: an option was given another value.
    """
    if config.tokenizer is not None:
        raise ConfigError(f"tokenizer: the pretrained network has its own, got {config.tokenizer!r}; leave it out")
    for name, value in pretrained.options.items():
        given = getattr(config, name)
        if name in config.model_fields_set and given != value:
            raise ConfigError(f"{name}: the pretrained network has {value!r}, got {given!r}; leave it out")
    given = config.model_dump(exclude_unset=True) | pretrained.options
    if pretrained.options["positions"] == "learned" and "longest" not in config.model_fields_set:
        given["longest"] = min(config.longest, pretrained.options["position_reach"])
    return make_config(type(config), given)


@torch.no_grad()
def take_over(network: nn.Module, pretrained: Pretrained) -> None:
    """Copies front end and encoder into a new network; what is not there keeps its first values.

    Raises:
        ModelError: a tensor has another shape.
    """
    for part in ("front_end", "encoder"):
        _copy(getattr(network, part), pretrained.parts.get(part, {}), part)
    for part in ("pool", "masked_head"):
        own = getattr(network, part, None)
        found = pretrained.parts.get("head" if part == "masked_head" else part, {})
        if own is not None and own.state_dict().keys() == found.keys():
            _copy(own, found, part)


def _copy(module: nn.Module, tensors: Mapping[str, Tensor], part: str) -> None:
    for name, own in module.state_dict().items():
        found = tensors.get(name)
        if found is None:
            continue
        if found.shape != own.shape:
            raise ModelError(f"{part}.{name}: expected shape {list(own.shape)}, the file has {list(found.shape)}")
        own.copy_(found)
