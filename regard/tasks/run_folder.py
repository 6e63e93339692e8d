"""What a finished run leaves behind, written and read: weights, vocabulary, scores. Nothing in it is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from regard.errors import ModelError
from regard.files import atomic_write
from regard.training.states import states

WEIGHTS, MODEL, SCORES, CARD, CONFIG = "model.safetensors", "model.json", "scores.json", "README.md", "config.toml"


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


def write_json(value: Any, path: Path) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object that :func:`write_json` wrote.

    Raises:
        ModelError: the file is missing, or does not hold one.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; is {path.parent} a run folder that was trained?") from None
    except ValueError as error:
        raise ModelError(f"{path}: not whole JSON ({error}); copy it again or train again") from error
    if not isinstance(value, dict):
        raise ModelError(
            f"{path}: holds a JSON {type(value).__name__} instead of an object; copy it again or train again"
        )
    return value


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _shape(shape: torch.Size | None) -> str:
    return "nothing" if shape is None else str(list(shape))
