"""What a training leaves on disk: the checkpoint that it resumes from, and weights, a safetensors file each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.errors import ConfigError, ModelError, RegardError
from regard.files import atomic_write, check_held, digest_of, remove_parts
from regard.tensors import TensorFile, Tensors, digest_of_tensors, open_tensors, whole, write_tensors
from regard.training.config import Config
from regard.training.config_file import FILE as CONFIG

VERSION = 2
FOLDER, FILE, WEIGHTS = "resume", "state.safetensors", "model.safetensors"
HEADER = "header"  # in that of the weights: the digest of all else there
JOURNAL, CURVES, BOARD = "metrics.jsonl", "loss.png", "tensorboard"

# Options that may change between the sittings of one training: they do not change its weights.
FREE = {"train", "dev", "output", "format", "unseen_labels", "largest_record", "largest_unpacked"}
FREE |= {"delimiter", "encoding", "bad_records", "device", "checkpoint_seconds", "tensorboard", "quiet", "baselines"}


@dataclass
class State:
    """Where a training stands, all of it that is not a tensor.

    Arguments:
        step: optimizer steps done; ``epoch``: epochs finished; ``step_of_epoch``: steps done in the present one.
        tokens: items trained on; ``seconds``: time spent, evaluations too; ``step_seconds``: time spent in steps.
        best: highest score so far; ``waited``: evaluations since.
        loss, count: sums since the last line of the journal; ``journal_bytes``, ``journal_digest``: of it.
    """

    step: int = 0
    epoch: int = 0
    step_of_epoch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    best: float | None = None
    waited: int = 0
    loss: float = 0.0
    count: int = 0
    journal_bytes: int = 0
    journal_digest: str = ""


@dataclass(frozen=True)
class Identity:
    """What must be the same for a training to go on: options, data with the network made for it, and processes.

    Dev data count too: they choose the weights that are kept.
    """

    config: dict[str, Any]
    data: str
    processes: int
    dev: str = ""

    @classmethod
    def of(
        cls,
        config: Config,
        lengths: Sequence[int],
        data_digest: str,
        network: nn.Module,
        processes: int,
        dev_digest: str = "",
    ) -> Identity:
        digest = hashlib.sha256(np.asarray(lengths, dtype=np.int64).tobytes())
        digest.update(data_digest.encode())
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
        return cls(config.model_dump(mode="json", exclude=FREE), digest.hexdigest(), processes, dev_digest)

    def check(self, found: Any, output: Path) -> None:
        """Refuses to go on with what another training left.

        Raises:
            ConfigError: the first thing that differs, with both values.
            ModelError: what was left is not what a training leaves.
        """
        what_to_do = "resume with the same, or name another output to train anew"
        whole = isinstance(found, dict) and isinstance(found.get("config"), dict)
        if not whole or not {"processes", "data", "dev"} <= found.keys():
            raise ModelError(f"{output}: what it tells of its training was altered; name another output to train anew")
        then = found["config"] | {"processes": found["processes"]}
        for name, now in (self.config | {"processes": self.processes}).items():
            if name in then and then[name] != now:
                raise ConfigError(f"{name}: {output} was trained with {then[name]!r}, now {now!r}; {what_to_do}")
        for name, then, now in (("train", found["data"], self.data), ("dev", found["dev"], self.dev)):
            if then != now:
                raise ConfigError(f"{name}: {output} was trained on other data; {what_to_do}")


def is_interrupted(output: Path) -> bool:
    """Whether a folder holds a training that can go on."""
    return (output / FOLDER / FILE).is_file()


def write_checkpoint(output: Path, state: State, tensors: dict[str, Tensor], identity: Identity) -> None:
    """Replaces the checkpoint of a run; a kill or an error at any moment leaves the previous one whole.

    Where tensors are spread over processes, all others call :func:`lend` meanwhile.
    """
    text = json.dumps({"version": VERSION, "state": asdict(state), "identity": asdict(identity)})
    with atomic_write(output / FOLDER / FILE, binary=True) as file:
        write_tensors(file, tensors, lambda digest: {"regard": text, "sha256": digest}, beside=text)


def lend(tensors: dict[str, Tensor]) -> None:
    """This process's parts of tensors, for the one that is writing them; in the order in which it does."""
    for name in sorted(tensors):
        whole(tensors[name].detach())


def remove_checkpoint(output: Path) -> None:
    """Deletes the checkpoint of a run, and its folder unless something else is in it."""
    check_held(output)
    remove_parts(output / FOLDER)
    (output / FOLDER / FILE).unlink()
    if not any((output / FOLDER).iterdir()):
        (output / FOLDER).rmdir()


def read_checkpoint(output: Path, identity: Identity, restore: Callable[[Tensors], None]) -> State:
    """The state of :func:`write_checkpoint`; its tensors go to ``restore``, which reads one after the other.

    Raises:
        ModelError: the file is damaged or from a newer version.
        ConfigError: it belongs to a training with other options, data or processes.
    """
    path = output / FOLDER / FILE
    hint = f"delete {path.parent} to train anew"
    with _opened(path, "checkpoint", hint) as file:
        try:
            about = json.loads(file.metadata["regard"])
            version, identified, values = about["version"], about["identity"], dict(about["state"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{path}: not a whole checkpoint ({error}); {hint}") from error
        if version != VERSION:
            raise ModelError(
                f"{path}: version {version}, this regard knows {VERSION}; resume with the one that wrote it"
            )
        digest = digest_of_tensors(file.entries, file.read, beside=file.metadata["regard"])
        if file.metadata.get("sha256") != digest:
            raise ModelError(
                f"{path}: not the checkpoint that was saved (its digest differs); copy it again, or {hint}"
            )
        identity.check(identified, output)
        restore(file)
    return State(**values)


def save_weights(network: nn.Module, path: Path, *, config: Config, vocabulary: dict[str, Any]) -> None:
    """The weights as safetensors, with a digest that tells an altered file from a whole one.

    Arguments:
        config, vocabulary: what they were trained with, which :func:`check_beside` finds beside them again.
    """
    tensors = states(network)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    options, words = json.dumps(config.model_dump(mode="json", exclude=FREE)), digest_of(vocabulary)

    def sealed(digest: str) -> dict[str, str]:
        about = {"format": "pt", "sha256": digest, "config": options, "vocabulary": words}
        return about | {HEADER: _header_digest(about, shapes)}

    with atomic_write(path, binary=True) as file:
        write_tensors(file, tensors, sealed)


def check_beside(path: Path, *, config: Config, vocabulary: dict[str, Any]) -> bool:
    """Refuses options or vocabularies that are not those with which the weights at ``path`` were trained.

    False of weights of an earlier version, which do not know.

    Raises:
        ModelError: the first thing that differs, or the file is damaged.
    """
    if not path.is_file():
        return False  # which is said where they are read
    with _open_weights(path) as file:
        metadata = file.metadata
        then = json.loads(metadata["config"]) if "config" in metadata else None
        if not isinstance(then, dict | None):
            raise ValueError("its options are not an object")
    if then is None:
        return False
    for name, now in config.model_dump(mode="json", exclude=FREE).items():
        if name in then and then[name] != now:
            raise ModelError(
                f"{path.parent / CONFIG}: {name} is {now!r}, the weights were trained with {then[name]!r}; put that "
                "back, or copy the file again"
            )
    if metadata.get("vocabulary") != digest_of(vocabulary):
        raise ModelError(f"{path}: the weights and model.json are of two trainings; copy the whole folder again")
    return True


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of :func:`save_weights`.

    Raises:
        ModelError: the file is missing, truncated or altered.
    """
    with _open_weights(path) as file:
        digest, tensors = file.metadata.get("sha256"), file.read_all()
    if digest != digest_of_tensors(tensors, tensors.__getitem__):
        raise ModelError(f"{path}: the weights are not those that were saved (their digest differs); copy it again")
    return tensors


@contextmanager
def _opened(
    path: Path, what: str = "safetensors file", hint: str = "copy it again or train again"
) -> Iterator[TensorFile]:
    try:
        with open_tensors(path) as file:
            yield file
    except RegardError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a whole {what} ({error}); {hint}") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Fills the network from :func:`save_weights`.

    Raises:
        ModelError: the file is missing, truncated, altered, or belongs to another network.
    """
    tensors = read_weights(path)
    own = states(network)
    _check_shapes(own, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def check_weights(network: nn.Module, path: Path) -> None:
    """Refuses a file that :func:`load_weights` would refuse to load into a network, by its names and shapes alone.

    The network may be one without memory, on the device "meta".

    Raises:
        ModelError: the file is missing or truncated, or belongs to another network.
    """
    with _open_weights(path) as file:
        shapes = {name: entry.shape for name, entry in file.entries.items()}
    _check_shapes(states(network), shapes, path)


@contextmanager
def _open_weights(path: Path) -> Iterator[TensorFile]:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; a run folder holds {WEIGHTS} once its first evaluation is done")
    with _opened(path) as file:
        about = {name: text for name, text in file.metadata.items() if name != HEADER}
        is_earlier = HEADER not in file.metadata and about.keys() <= {"format", "sha256", "config", "vocabulary"}
        shapes = {name: entry.shape for name, entry in file.entries.items()}
        if not is_earlier and file.metadata.get(HEADER) != _header_digest(about, shapes):
            raise ValueError("its header is not the one that was written")
        yield file


def _header_digest(about: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> str:
    return digest_of([about, shapes])


def _check_shapes(own: dict[str, Tensor], found: dict[str, tuple[int, ...]], path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if expected != found:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise ModelError(
            f"{path}: weights and {CONFIG} belong to different networks, first at '{wrong[0]}': "
            f"config asks for {_shape(expected.get(wrong[0]))}, the file has {_shape(found.get(wrong[0]))}"
        )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else str(list(shape))


def states(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers that are kept; of those that share memory, the first."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), (name, tensor))
    return dict(found.values())
