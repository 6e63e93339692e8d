"""Sound that comes through a pipe, whose end is not known: raw samples, or a wav file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError
from regard.recording import UNKNOWN_SIZE, checked_rate

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # what a wav file calls its samples
TYPES = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 24): "<i4", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}
OTHERS = {b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"FORM": "aiff", b"caff": "caf", b"RF64": "rf64"}
EXPECTED = "a wav file, or raw samples, through a pipe"


@dataclass(frozen=True, eq=False)
class Piped:
    """Samples as they come.

    Arguments:
        file: what is read.
        rate: Hz.
        channels: whose samples take turns.
        bits: of a sample.
        dtype: of samples once they are read.
        begun: bytes that were read already.
        size: bytes in all; None for all that come.
    """

    file: IO[bytes]
    rate: int
    channels: int = 1
    bits: int = 16
    dtype: str = "<i2"
    begun: bytes = b""
    size: int | None = None

    def blocks(self, seconds: float) -> Iterator[NDArray[Any]]:
        """``[N, channels]``, so many seconds at once; what is no whole sample at the end is left out."""
        width = self.channels * self.bits // 8
        count, left, held = max(1, round(seconds * self.rate)) * width, self.size, self.begun
        while left is None or left > 0:
            wanted = count if left is None else min(count, left)
            content = held + self.file.read(wanted - len(held)) if len(held) < wanted else held
            content, held = content[:wanted], content[wanted:]
            if len(content) >= width:
                yield self._samples(content[: len(content) // width * width])
            if len(content) < wanted:
                return
            left = None if left is None else left - wanted

    def _samples(self, content: bytes) -> NDArray[Any]:
        if self.bits == 24:  # the upper bytes of 32
            padded = np.zeros((len(content) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
            return padded.reshape(-1).view(self.dtype).reshape(-1, self.channels)
        return np.frombuffer(content, self.dtype).reshape(-1, self.channels)


def open_piped(file: IO[bytes], rate: int, *, name: str) -> Piped:
    """What comes: a wav file where it begins as one, else samples of 16 bits, the lower byte first, of one channel.

    Arguments:
        rate: of raw samples, Hz.
        name: of the pipe, for messages.

    Raises:
        DataError: a file of another kind, or a wav that is damaged or packed.
    """
    begun = file.read(4)
    for sign, kind in OTHERS.items():
        if begun.startswith(sign):
            raise DataError(EXPECTED, f"a file of {kind}, which cannot be read before its end; name it", path=name)
    if begun != b"RIFF":
        return Piped(file, rate, begun=begun)
    if file.read(8)[4:] != b"WAVE":
        raise DataError(EXPECTED, "a RIFF file that is no wav", path=name)
    layout = None
    while len(head := file.read(8)) == 8:
        part, size = struct.unpack("<4sI", head)
        if part == b"data" and layout is not None:
            known = UNKNOWN_SIZE[0] < size < UNKNOWN_SIZE[1]
            return Piped(file, *layout, size=size if known else None)
        content = file.read(size + size % 2)
        if part == b"fmt ":
            layout = _layout(content, name)
    raise DataError(EXPECTED, "a wav that ends before its samples begin", path=name)


def _layout(content: bytes, name: str) -> tuple[int, int, int, str]:
    """Rate, channels, bits and type of samples, of what a wav says of them."""
    if len(content) < 16:
        raise DataError(EXPECTED, "a wav with a damaged header", path=name)
    coding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if coding == EXTENSIBLE and len(content) >= 26:
        coding = struct.unpack("<H", content[24:26])[0]
    if (coding, bits) not in TYPES:
        raise DataError(EXPECTED, f"a wav of coding {coding} with {bits} bits; unpack it, or name the file", path=name)
    if not channels:
        raise DataError(EXPECTED, "a wav of no channels", path=name)
    return checked_rate(rate, name), channels, bits, TYPES[coding, bits]
