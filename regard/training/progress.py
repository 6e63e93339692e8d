"""How a training goes: as a bar or plain lines on the terminal, in a journal, for TensorBoard."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from regard.errors import DataError, ModelError, UnsupportedError
from regard.files import explain_failures, explain_full_disk, sealed, unsealed

LINE_EVERY = 30.0  # seconds between plain lines within an epoch


class Progress:
    """Shows loss, score, items per second and time left on stderr. Only the main process shows anything.

    Arguments:
        epochs: planned; ``total``: items in all of them; ``done``: items of earlier sittings.
        shown: False keeps silent.
        console: where to, instead of stderr.
    """

    def __init__(self, *, epochs: int, total: int, done: int, shown: bool, console: Console | None = None) -> None:
        self._epochs, self._total, self._done, self._start = epochs, total, done, done
        self._console = console or Console(stderr=True, quiet=not shown, highlight=False)
        self._began = self._last_line = time.monotonic()
        self._loss, self._score, self._speed = "", "", ""
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            refresh_per_second=2,
            speed_estimate_period=120,
            disable=not shown or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=done, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, epoch: int, items: int) -> None:
        """So many items more are done, in an epoch counted from 0."""
        self._done += items
        if not self._bar.disable:
            state = "  ".join(part for part in (self._loss, self._score, self._speed) if part)
            self._bar.update(self._task, advance=items, description=self._epoch(epoch), state=state)

    def loss(self, epoch: int, loss: float, speed: float) -> None:
        """The mean loss of the last steps, and how many items a second they took."""
        self._loss, self._speed = f"loss {loss:.4f}", f"{speed:,.0f} items/s"
        if self._bar.disable and time.monotonic() - self._last_line > LINE_EVERY:
            self._line(epoch)

    def evaluation(self, epoch: int, name: str, score: float | None, *, best: bool) -> None:
        """An epoch is over; its score, where there is one."""
        if score is not None:
            self._score = f"{name} {100 * score:.2f} %" + (" (best)" if best else "")
        self._line(epoch)

    def note(self, text: str) -> None:
        """A line that stays, unless it is empty."""
        if text:
            self._console.print(text, soft_wrap=True, markup=False)

    def _line(self, epoch: int) -> None:
        self._last_line = time.monotonic()
        parts = (self._epoch(epoch), self._loss, self._score, self._speed, self._left())
        self.note("  ".join(part for part in parts if part))

    def _epoch(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self._epochs}"

    def _left(self) -> str:
        if self._done == self._start or self._done >= self._total:
            return ""
        seconds = (time.monotonic() - self._began) * (self._total - self._done) / (self._done - self._start)
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes}:{seconds:02d} left"


def say(text: str, shown: bool) -> None:
    """One line outside any training."""
    Console(stderr=True, quiet=not shown, highlight=False).print(text, soft_wrap=True, markup=False)


if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

JOURNAL = "metrics.jsonl"  # one JSON object a line


class Journal:
    """``metrics.jsonl`` of a run folder, from its first ``length`` bytes on; what stands behind them is cut off.

    Raises:
        ModelError: these bytes do not have that ``digest``.
    """

    def __init__(self, output: Path, *, length: int, digest: str, step: int, tensorboard: bool) -> None:
        self.path = output / JOURNAL
        with explain_failures(self.path):
            self._file = open(self.path, "a+b")  # noqa: SIM115
            self._file.seek(0)
            before = self._file.read(length)
        self._digest = hashlib.sha256(before)
        if before and self._digest.hexdigest() != digest:  # of one that was deleted there is nothing to check
            self._file.close()
            raise ModelError(
                f"{self.path}: not the journal of this training (its digest differs); copy it again or delete it"
            )
        with explain_failures(self.path):
            self._file.truncate(len(before))
        self._board = _open_board(output, step) if tensorboard else None

    def write(self, kind: str, step: int, values: dict[str, Any]) -> tuple[int, str]:
        """Adds a line; the length and the digest of the whole file."""
        line = json.dumps({"kind": kind, "step": step, **values}, ensure_ascii=False).encode() + b"\n"
        with explain_full_disk(self.path):
            self._file.write(line)
            self._file.flush()
        self._digest.update(line)
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)
        return os.path.getsize(self.path), self._digest.hexdigest()

    def end(self, step: int, values: dict[str, Any]) -> None:
        """Adds the last line, which tells whether any was altered."""
        line = {"kind": "end", "step": step, **values, "journal": self._digest.hexdigest()}
        self.write("end", step, sealed(line))

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


def last_line(path: Path) -> dict[str, Any] | None:
    """The line that :meth:`Journal.end` wrote; None where a training has not come to its end.

    Raises:
        DataError: a line is not JSON.
        ModelError: the journal was altered.
    """
    lines = read_journal(path)
    if not lines or lines[-1]["kind"] != "end":
        return None
    end, before = unsealed(lines[-1], path), path.read_bytes()[:-1].rpartition(b"\n")[0] + b"\n"
    if end.get("journal") not in (None, hashlib.sha256(before).hexdigest()):
        raise ModelError(f"{path}: not the journal that was written (its digest differs); copy it again")
    return end


def _open_board(output: Path, step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UnsupportedError(
            "tensorboard: it is not installed; pip install 'regard[tensorboard]', or leave the option out"
        ) from None
    return SummaryWriter(str(output / "tensorboard"), purge_step=step + 1)
