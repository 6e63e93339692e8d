"""What a run leaves behind, written and read: weights, vocabularies, options, scores. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from regard.data import Example
from regard.errors import ConfigError, ModelError
from regard.files import atomic_write, read_json, write_json
from regard.front_ends import restore_front_end
from regard.tasks import MODEL
from regard.tasks.card import write_card
from regard.tasks.model import Model
from regard.training.checkpoint import is_interrupted, states
from regard.training.config import FILE as CONFIG
from regard.training.config import read_config, write_config

WEIGHTS, SCORES, CARD = "model.safetensors", "scores.json", "README.md"
M = TypeVar("M", bound=Model)


def check_free(output: Path, *, resume: bool) -> None:
    """Refuses to train into a folder that holds a finished run.

    Raises:
        ConfigError: what stands there, and what to do.
    """
    for place in (output, *output.parents):
        if place.is_file():
            raise ConfigError(f"output: {place} is a file; name a folder to write the run into")
    if not resume and (output / WEIGHTS).is_file():
        raise ConfigError(f"output: {output} already holds a run; choose another folder, delete it, or resume it")
    if not resume and is_interrupted(output):
        raise ConfigError(f"output: {output} holds an interrupted training; resume it, delete it or name another one")


def save_run(model: Model, network: nn.Module, folder: Path) -> None:
    """Weights, vocabularies and options, from which :func:`open_run` makes the model again."""
    save_weights(network, folder / WEIGHTS)
    write_json({"task": model.config.task, **model.vocabulary()}, folder / MODEL)
    write_config(model.config, folder / CONFIG)


def write_scores(model: Model, folder: Path, train: Sequence[Example], dev: Sequence[Example] | None) -> None:
    """The scores, as JSON and in the model card."""
    write_json(model.scores, folder / SCORES)
    write_card(model, folder / CARD, train, dev)


def open_run(model: M, folder: Path) -> M:
    """Fills a new model with what a training left in a folder.

    Raises:
        ModelError: a file is missing, damaged, or from a newer version.
    """
    vocabulary = read_json(folder / MODEL)
    model.config = read_config(folder / CONFIG, type(model.config))
    try:
        model.restore(vocabulary)
        kinds = model.front_ends()
        model.network = model.build(
            {part: restore_front_end(kind, vocabulary[part], model.config) for part, kind in kinds.items()}
        )
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder / MODEL}: a part is missing or altered ({error})") from error
    load_weights(model.network, folder / WEIGHTS)
    if (folder / SCORES).is_file():
        model.scores = read_json(folder / SCORES)
    return model


def digest(examples: Iterable[Example], vocabulary: object = None) -> str:
    """Tells one set of examples, and what was learned from it, from another."""
    whole = hashlib.sha256(json.dumps(vocabulary).encode())
    for example in examples:
        items = example.items.tobytes() if isinstance(example.items, np.ndarray) else repr(example.items).encode()
        whole.update(items + repr(example.goal).encode())
    return whole.hexdigest()


def save_weights(network: nn.Module, path: Path) -> None:
    """The weights as safetensors, with a digest that tells an altered file from a whole one."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in states(network).items()}
    with atomic_write(path, binary=True) as file:
        file.write(save(tensors, metadata={"format": "pt", "sha256": _digest(tensors)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of :func:`save_weights`.

    Raises:
        ModelError: the file is missing, truncated or altered.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; a run folder holds {WEIGHTS} once its first evaluation is done")
    try:
        with safe_open(path, framework="pt") as file:
            digest = (file.metadata() or {}).get("sha256")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error}); copy it again or train again") from error
    if digest != _digest(tensors):
        raise ModelError(f"{path}: the weights are not those that were saved (their digest differs); copy it again")
    return tensors


def load_weights(network: nn.Module, path: Path) -> None:
    """Fills the network from :func:`save_weights`.

    Raises:
        ModelError: the file is missing, truncated, altered, or belongs to another network.
    """
    tensors = read_weights(path)
    own = states(network)
    expected = {name: tensor.shape for name, tensor in own.items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != found:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise ModelError(
            f"{path}: weights and {CONFIG} belong to different networks, first at '{wrong[0]}': "
            f"config asks for {_shape(expected.get(wrong[0]))}, the file has {_shape(found.get(wrong[0]))}"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _shape(shape: torch.Size | None) -> str:
    return "nothing" if shape is None else str(list(shape))
