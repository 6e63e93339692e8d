"""Safetensors files, https://huggingface.co/docs/safetensors: read without a map, and written alike every time.

The library maps a file and hands out tensors that lie in it: one that is cut short or written into before it is copied
ends the process, or changes the weights. And it writes metadata in an order that differs from one call to the next.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from torch import Tensor

LONGEST_HEADER = 100_000_000  # bytes, as in the library
LARGEST = 2**63  # what PyTorch counts with
KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


NAMES = {dtype: kind for kind, dtype in KINDS.items()}


class Tensors(Protocol):
    """Tensors by name: a dict, or a file of which each is read when it is asked for."""

    def get(self, name: str, /) -> Tensor | None:
        """The tensor of that name; None where there is none."""


class BadTensors(ValueError):
    """A file that is not whole safetensors."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a file: its kind of numbers, its shape, and its bytes, counted behind the header."""

    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int


class TensorFile:
    """The header of an open file, and its tensors when they are asked for.

    Arguments:
        file: opened to read bytes.

    Raises:
        BadTensors: it is no safetensors file, or not a whole one.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise BadTensors(f"its header has no length that fits in {size:,} bytes")
        self._begin = 8 + length
        header = _parsed(file.read(length))
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        if not isinstance(self.metadata, dict) or not all(isinstance(text, str) for text in self.metadata.values()):
            raise BadTensors("its metadata are not texts")
        self.entries = {name: _entry(name, about) for name, about in header.items()}
        end = 0
        for entry in sorted(self.entries.values(), key=lambda entry: (entry.start, entry.stop)):
            if entry.start != end:
                raise BadTensors(f"its tensors do not follow each other, at byte {end:,}")
            end = entry.stop
        if self._begin + end != size:
            raise BadTensors(f"its header asks for {self._begin + end:,} bytes, the file has {size:,}")

    def get(self, name: str, /) -> Tensor | None:
        """The tensor of that name, see :meth:`read`; None where there is none."""
        return self.read(name) if name in self.entries else None

    def read(self, name: str) -> Tensor:
        """One tensor, in memory of its own.

        Raises:
            BadTensors: numbers of a kind that cannot be read, or a file that has become shorter.
        """
        entry = self.entries[name]
        if entry.kind not in KINDS:
            raise BadTensors(f"'{name}' holds {entry.kind}, only {', '.join(KINDS)} can be read")
        tensor = torch.empty(entry.shape, dtype=KINDS[entry.kind])
        if not tensor.numel():
            return tensor
        self._file.seek(self._begin + entry.start)
        if self._file.readinto(bytes_of(tensor)) != tensor.nbytes:  # type: ignore[attr-defined]
            raise BadTensors(f"the file became shorter while '{name}' was read")
        return tensor

    def read_all(self) -> dict[str, Tensor]:
        """Every tensor by its name; see :meth:`read`."""
        return {name: self.read(name) for name in self.entries}


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """A safetensors file while it is read.

    Raises:
        BadTensors: it is no safetensors file, or not a whole one.
        OSError: it cannot be opened.
    """
    with Path(path).open("rb") as file:
        yield TensorFile(file)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be spread over processes; every one that has a part must call this."""
    found: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return found


def write_tensors(
    file: IO[bytes], tensors: Mapping[str, Tensor], sealed: Callable[[str], dict[str, str]], *, beside: str = ""
) -> None:
    """Writes tensors one by one, so that one is whole in memory at a time; the same ones are the same bytes.

    Arguments:
        file: one in which it can be gone back.
        sealed: metadata of the digest that :func:`digest_of_tensors` gives, always of one length.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))  # at multiples of their size
    starts, entries, stop = {}, {}, 0
    for name in order:
        starts[name], stop = stop, stop + tensors[name].nbytes
        kind, shape = NAMES[tensors[name].dtype], list(tensors[name].shape)
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [starts[name], stop]}

    def write_header(digest: str) -> int:
        header = {"__metadata__": dict(sorted(sealed(digest).items())), **entries}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        file.seek(0)
        return file.write(len(text).to_bytes(8, "little") + text)

    begin = write_header("0" * 64)

    def written(name: str) -> Tensor:
        tensor = whole(tensors[name].detach()).cpu().contiguous()
        file.seek(begin + starts[name])
        file.write(bytes_of(tensor))
        return tensor

    write_header(digest_of_tensors(tensors, written, beside=beside))


def digest_of_tensors(names: Iterable[str], read: Callable[[str], Tensor], *, beside: str = "") -> str:
    """The SHA-256 of a text and of tensors, in the order of their names, each read as its turn comes."""
    digest = hashlib.sha256(beside.encode())
    for name in sorted(names):
        tensor = read(name)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(bytes_of(tensor))
    return digest.hexdigest()


def bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a tensor that is on the CPU and contiguous."""
    return tensor.view(-1).view(torch.uint8).numpy().data


def _parsed(header: bytes) -> dict[str, Any]:
    try:
        value = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise BadTensors(f"its header is not JSON, {error}") from None
    if not isinstance(value, dict):
        raise BadTensors("its header is not a JSON object")
    return value


def _entry(name: str, about: Any) -> Entry:
    try:
        kind, shape, (start, stop) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
        whole = all(type(number) is int and 0 <= number < LARGEST for number in (*shape, start, stop))
        whole = whole and prod(max(1, side) for side in shape) < LARGEST  # beside a side of 0, too
        fits = stop - start == prod(shape) * KINDS[kind].itemsize if kind in KINDS else isinstance(kind, str)
    except (KeyError, TypeError, ValueError):
        whole = fits = False
    if not whole or not fits or start > stop:
        raise BadTensors(f"'{name}' has no sound entry in its header")
    return Entry(kind, shape, start, stop)
