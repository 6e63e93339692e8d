"""What happened in a training, one JSON object a line (``metrics.jsonl``), and for TensorBoard where that is wanted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from regard.errors import DataError, UnsupportedError
from regard.files import explain_failures, explain_full_disk

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FILE = "metrics.jsonl"


class Journal:
    """``metrics.jsonl`` of a run folder, from its first ``length`` bytes on; what stands behind them is cut off."""

    def __init__(self, output: Path, *, length: int, step: int, tensorboard: bool) -> None:
        self.path = output / FILE
        with explain_failures(self.path):
            self._file = open(self.path, "ab")  # noqa: SIM115
            os.truncate(self.path, min(length, os.path.getsize(self.path)))
        self._board = _open_board(output, step) if tensorboard else None

    def write(self, kind: str, step: int, values: dict[str, Any]) -> int:
        """Adds a line and returns the length of the file."""
        line = json.dumps({"kind": kind, "step": step, **values}, ensure_ascii=False)
        with explain_full_disk(self.path):
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)
        return os.path.getsize(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal, in order; none where there is no file.

    Raises:
        DataError: a line is not JSON.
    """
    if not path.is_file():
        return []
    lines = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):  # a kill leaves a line without end
        try:
            lines.append(json.loads(line))
        except ValueError:
            raise DataError("a JSON object", repr(line[:40].decode(errors="replace")), path=path, line=number) from None
    return lines


def _open_board(output: Path, step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UnsupportedError(
            "tensorboard: it is not installed; pip install 'regard[tensorboard]', or leave the option out"
        ) from None
    return SummaryWriter(str(output / "tensorboard"), purge_step=step + 1)
