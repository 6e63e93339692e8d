"""A folder as `transformers` saves a model: config.json, and the weights in one safetensors file or in several."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from regard.errors import ModelError
from regard.files import read_json
from regard.formats.huggingface.names import Shapes
from regard.tensors import BadTensors, Entry, TensorFile, open_tensors

logger = logging.getLogger(__name__)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}  # ours
THEIR_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new"}
NUMBERS = ("F16", "BF16", "F32", "F64")
MOST_FILES = 1000  # of one model
OF_ANOTHER = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack")


def read_config(folder: Path, *, kind: str, holds: str) -> dict[str, Any]:
    """``config.json``, of which nothing is checked.

    Arguments:
        kind: what is read, as messages call it.
        holds: what else its folder holds.

    Raises:
        ModelError: there is none.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(
            f"{path}: no such file; a {kind}'s folder holds {CONFIG}, {holds}, "
            "as save_pretrained of `transformers` writes them"
        )
    return read_json(path)


def checked_config(
    path: Path,
    given: dict[str, Any],
    defaults: Mapping[str, Any],
    only: Mapping[str, Any],
    *,
    kind: str,
    keys: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """What such a file holds with the defaults of what it leaves out, by BERT's names.

    Arguments:
        defaults: what `transformers` takes where a key is left out; sizes are whole numbers.
        only: values that a key must have.
        keys: those that are not called as BERT's are, by BERT's names.

    Raises:
        ModelError: it tells of something else.
    """
    berts = {theirs: ours for ours, theirs in keys.items()}
    config = {**defaults, **{berts.get(key, key): value for key, value in given.items()}}
    for key, wanted in only.items():
        if config.get(key) != wanted:
            raise ModelError(
                f"{path}: {key} is {config.get(key)!r}, only {wanted!r} can be read; name the folder of a plain {kind}"
            )
    if config["hidden_act"] not in tuple(ACTIVATIONS):
        raise ModelError(
            f"{path}: {keys.get('hidden_act', 'hidden_act')} must be one of {', '.join(ACTIVATIONS)}, "
            f"got {config['hidden_act']!r}; name the folder of another {kind}"
        )
    _check_sizes(path, config, defaults, keys)
    return config


def _check_sizes(path: Path, config: dict[str, Any], defaults: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    for key, default in defaults.items():
        value, least = config[key], 0 if key in ("num_hidden_layers", "pad_token_id") else 1
        if type(default) is int and (type(value) is not int or value < least):
            raise ModelError(
                f"{path}: {keys.get(key, key)} must be a whole number from {least}, got {value!r}; copy it again"
            )
    eps = config["layer_norm_eps"]
    if type(eps) not in (int, float) or not 0 < eps < 1:
        raise ModelError(f"{path}: layer_norm_eps must be a number between 0 and 1, got {eps!r}; copy it again")
    dim, heads = (keys.get(key, key) for key in ("hidden_size", "num_attention_heads"))
    if config["hidden_size"] % config["num_attention_heads"]:
        raise ModelError(
            f"{path}: {dim} must be a multiple of {heads}, got {config['hidden_size']} and "
            f"{config['num_attention_heads']}"
        )


@dataclass(frozen=True, eq=False)
class Weights:
    """The tensors of a folder, read when they are asked for.

    Arguments:
        path: of the file, or of the index of several, as messages name it.
        files: by the name of each tensor.
        names: as they stand in the files, by the names that they are called by.
    """

    path: Path
    files: dict[str, TensorFile]
    names: dict[str, str]

    @property
    def entries(self) -> dict[str, Entry]:
        return {name: self.files[full].entries[full] for name, full in self.names.items()}

    def read(self, name: str) -> Tensor:
        """One tensor, as float32."""
        full = self.names[name]
        return self.files[full].read(full).float()


@contextmanager
def open_weights(folder: Path, plain: Callable[[str], str]) -> Iterator[Weights]:
    """The weights while they are read, each tensor called by what ``plain`` makes of its name.

    Raises:
        ModelError: there are none, a file is damaged, or two have one name.
    """
    path = _weights_of(folder)
    file = path
    try:
        with ExitStack() as stack:
            files: dict[str, TensorFile] = {}
            for file in [path] if path.name == WEIGHTS else _parts(path):
                opened = stack.enter_context(open_tensors(file))
                files |= dict.fromkeys(opened.entries, opened)
            file = path
            yield Weights(path, files, _plain_names(path, files, plain))
    except FileNotFoundError:
        raise ModelError(f"{file}: no such file, which {path.name} names; copy it beside it") from None
    except (OSError, BadTensors) as error:
        raise ModelError(f"{file}: not a whole safetensors file ({error}); copy it again") from error


def _weights_of(folder: Path) -> Path:
    """The file of weights, or the index of several; what else a folder may hold is refused with what to do."""
    path = folder / WEIGHTS
    others = [name for name in OF_ANOTHER if (folder / name).is_file()]
    for whole in (path, folder / INDEX):
        if whole.is_file():
            for other in others:
                logger.info("%s: not read, as only %s is", folder / other, WEIGHTS)
            return whole
    if others:
        raise ModelError(
            f"{folder}: holds {others[0]} but no {WEIGHTS}, and only that is read, as opening the others may run code "
            "of whoever wrote them; if you trust it, open it with `transformers` and call model.save_pretrained(FOLDER)"
        )
    raise ModelError(f"{path}: no such file; copy it beside {CONFIG}")


def _parts(index: Path) -> list[Path]:
    """The files that an index names, all of which lie beside it."""
    files = read_json(index).get("weight_map")
    names = sorted(set(map(str, files.values()))) if isinstance(files, dict) else []
    if not 0 < len(names) <= MOST_FILES or any(Path(name).name != name or "\\" in name for name in names):
        raise ModelError(
            f"{index}: weight_map must name a file beside it for each tensor, got {json.dumps(files)[:80]}; "
            "copy it again"
        )
    return [index.parent / name for name in names]


def _plain_names(path: Path, names: Iterable[str], plain: Callable[[str], str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for full in names:
        name = plain(full)
        if name in found:
            raise ModelError(f"{path}: '{name}' stands there twice, as {found[name]} and {full}; save the model again")
        found[name] = full
    return found


def check_depth(weights: Weights, depth: int) -> None:
    """Refuses more layers than there are tensors: the names of any number of them would take any memory."""
    if depth > len(weights.names):
        raise ModelError(
            f"{weights.path}: holds {len(weights.names)} tensors, {CONFIG} asks for {depth} layers; "
            "copy both from one place"
        )


def check_tensors(weights: Weights, wanted: Shapes, *, kind: str, left_out: tuple[str, ...]) -> None:
    """Refuses weights that lack a tensor, have one of another shape or kind of numbers, or one that is no part.

    Arguments:
        kind: what they are, as messages call it.
        left_out: how names begin that may be there too.

    Raises:
        ModelError: the first of them.
    """
    path, found = weights.path, weights.entries
    for name, shape in wanted.items():
        if name not in found:
            raise ModelError(f"{path}: '{name}' is missing, {CONFIG} asks for {list(shape)}; copy both from one place")
        if found[name].shape != shape:
            raise ModelError(
                f"{path}: '{name}' has shape {list(found[name].shape)}, {CONFIG} asks for {list(shape)}; "
                "copy both from one place"
            )
    surplus = sorted(name for name in found if name not in wanted and not name.startswith(left_out))
    if surplus:
        raise ModelError(
            f"{path}: '{surplus[0]}' is no part of {kind}, which {CONFIG} says it is; copy both from one place"
        )
    for name in wanted:
        if found[name].kind not in NUMBERS:
            raise ModelError(
                f"{path}: '{name}' holds {found[name].kind}, only {', '.join(NUMBERS)} can be read; "
                "save the model again in float32"
            )
