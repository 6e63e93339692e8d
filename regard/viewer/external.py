"""The page of a network that is not ours: any module of PyTorch, or a folder of `transformers`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.errors import ConfigError, RegardError, UnsupportedError
from regard.viewer.page.axes import Axis, text_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.recording import Recorded, Recording, record

Found = tuple[nn.Module, Any, Sequence[str] | None]  # what it is called with, and the names of positions
ROLES = {"attention": "to itself", "cross_attention": "to what is read", "pooling": "to all"}
HOW = "a folder that transformers wrote, or FILE.py:NAME or MODULE:NAME of a function that makes a module and its input"


def external_page(spec: str, text: str | None) -> Page:
    """The page of a network that is named as on the command line.

    Arguments:
        spec: a folder that `transformers` wrote, which then reads ``text``; or ``FILE.py:NAME`` or ``MODULE:NAME``, of
            a function that gives a module, what it is called with (a tuple, or a dict of keywords), and, where it
            likes, the names of the positions. It is given the text, if it takes an argument.

    Raises:
        ConfigError: it is none of both.
        RegardError: nothing in it attends, or what attends gives no weights.
    """
    made = _of_folder(Path(spec), text) if Path(spec).is_dir() else _made(spec, text)
    module, called, names = made
    training = module.training
    module.eval()
    try:
        with torch.no_grad(), record(module) as recording:
            module(**called) if isinstance(called, Mapping) else module(*called)
    finally:
        module.train(training)
    return recording_page(recording, names, title=text or spec)


def recording_page(recording: Recording, names: Sequence[str] | None = None, *, title: str = "attention") -> Page:
    """The page of what was recorded.

    Arguments:
        names: of the positions, for those axes that have as many, texts or numbers; None: their numbers.

    Raises:
        RegardError: nothing in it attends, or what attends gives no weights.
    """
    if not recording:
        raise RegardError("nothing in this network attends, or in no way that can be heard; see regard.record")
    heard = [layer for layer in recording if layer.weights is not None]
    if not heard:
        raise RegardError(f"{recording[0].name} gives no weights: {recording[0].why}")
    if names is not None:
        names = [str(name) for name in (names.tolist() if isinstance(names, Tensor | np.ndarray) else names)]
    axes: dict[str, Axis] = {}
    stacks = []
    for number, layers in enumerate(_alike(recording)):
        first = next((layer for layer in layers if layer.weights is not None), None)
        queries, keys = (0, 0) if first is None else _sizes(first)
        query, key = (_axis(axes, count, names) for count in (queries, keys))
        title_of = f"{_part(layers[0].name)} {ROLES.get(layers[0].role, layers[0].role)}".strip()
        stacks.append(Stack(f"stack{number}", title_of, query, key, layers))
    return Page(title, axes, stacks)


def _alike(recording: Recording) -> list[list[Recorded]]:
    """Layers of one part, role and size together."""
    found: dict[tuple[Any, ...], list[Recorded]] = {}
    for layer in recording:
        size = None if layer.weights is None else _sizes(layer)
        found.setdefault((_part(layer.name), layer.role, size), []).append(layer)
    return list(found.values())


def _part(name: str) -> str:
    """A name up to its first number: "encoder.layer.3.attention" is of "encoder.layer"."""
    parts = name.split(".")
    first = next((place for place, part in enumerate(parts) if part.isdigit()), len(parts))
    return ".".join(parts[:first])


def _sizes(layer: Recorded) -> tuple[int, int]:
    weights = layer.weights
    assert weights is not None
    return weights.values.shape[2] if weights.offsets is None else len(weights.values), int(weights.key_lengths[0])


def _axis(axes: dict[str, Axis], count: int, names: Sequence[str] | None) -> str:
    """The name of the axis of so many positions."""
    name = f"positions-{count}"
    if names is not None and len(names) == count:
        axes.setdefault(name, text_axis(names))
    else:
        axes.setdefault(name, Axis(kind="vectors", count=count))
    return name


def _of_folder(folder: Path, text: str | None) -> Found:
    if text is None:
        raise ConfigError(f"INPUT: a text that the model in {folder} reads; add one")
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise UnsupportedError("transformers is not installed: pip install transformers") from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        module = AutoModel.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        why = str(error).splitlines()[0]
        raise ConfigError(f"torch: {folder} is no folder that transformers opens: {why}") from None
    called = tokenizer(text, return_tensors="pt", truncation=True)
    names = [str(tokenizer.decode([token])) for token in called["input_ids"][0].tolist()]
    if module.config.is_encoder_decoder:
        called["decoder_input_ids"] = called["input_ids"][:, :1]
    return module, dict(called), names


def _made(spec: str, text: str | None) -> Found:
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise ConfigError(f"torch: {HOW}; got '{spec}'")
    function = getattr(_module(place), name, None)
    if not callable(function):
        raise ConfigError(f"torch: there is no function '{name}' in {place}")
    takes = bool(inspect.signature(function).parameters)
    made = function(text) if takes else function()
    module, called, names = made if isinstance(made, tuple) and len(made) == 3 else (*_pair(made, spec), None)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"torch: {spec} must give a module and its input, got {type(module).__name__} first")
    return module, called if isinstance(called, (tuple, list, Mapping)) else (called,), names


def _pair(made: Any, spec: str) -> tuple[Any, Any]:
    if not isinstance(made, tuple) or len(made) != 2:
        raise ConfigError(f"torch: {spec} must give a module and its input (and names), got {type(made).__name__}")
    return made


def _module(place: str) -> Any:
    try:
        if not place.endswith(".py"):
            sys.path.insert(0, "")
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        if spec is None or spec.loader is None:
            raise ImportError(place)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except (ImportError, FileNotFoundError) as error:
        raise ConfigError(f"torch: {place} cannot be imported: {error}") from None
