"""How a training goes: as a bar or plain lines on the terminal, in a journal, for TensorBoard; and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from regard.errors import DataError, UnsupportedError
from regard.files import explain_failures, explain_full_disk
from regard.streams import Forgiving

SAME = 1.0  # seconds in which a launcher may pass on the very signal that the terminal has sent already
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
        self._console = console or _messages(shown)
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
    _messages(shown).print(text, soft_wrap=True, markup=False)


def _messages(shown: bool) -> Console:
    """On stderr; a terminal or a pipe that goes away ends no training."""
    return Console(file=Forgiving(sys.stderr), quiet=not shown, highlight=False)  # type: ignore[arg-type]


class Interrupt:
    """While entered, ``requested`` tells whether a signal came. Outside the main thread signals are left alone.

    A terminal that goes away asks too, unless ``nohup`` or the like has it ignored.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self.requested = False
        self._on_request = on_request
        self._when = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self._watched():
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _watched(self) -> list[signal.Signals]:
        hangup = getattr(signal, "SIGHUP", None)  # not on Windows
        ignored = hangup is None or signal.getsignal(hangup) == signal.SIG_IGN
        return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested, self._when = True, time.monotonic()
            self._on_request()
        elif number in (signal.SIGINT, signal.SIGTERM) and time.monotonic() - self._when > SAME:
            raise KeyboardInterrupt


if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

JOURNAL = "metrics.jsonl"  # one JSON object a line


class Journal:
    """``metrics.jsonl`` of a run folder, from its first ``length`` bytes on; what stands behind them is cut off."""

    def __init__(self, output: Path, *, length: int, step: int, tensorboard: bool) -> None:
        self.path = output / JOURNAL
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
        DataError: a line is no object with a kind, a step, and numbers.
    """
    if not path.is_file():
        return []
    lines = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):  # a kill leaves a line without end
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if not _is_line(values):
            found = repr(line[:40].decode(errors="replace"))
            raise DataError("a JSON object as training writes it", found, path=path, line=number)
        lines.append(values)
    return lines


def _is_line(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    if not isinstance(values.get("kind"), str) or not isinstance(values.get("step"), int):
        return False
    numbers = [] if values["kind"] == "end" else [value for name, value in values.items() if name != "kind"]
    return all(isinstance(number, int | float) and abs(number) < 2**1000 for number in numbers) and (
        values["kind"] != "step" or "loss" in values
    )


def _open_board(output: Path, step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UnsupportedError(
            "tensorboard: it is not installed; pip install 'regard[tensorboard]', or leave the option out"
        ) from None
    return SummaryWriter(str(output / "tensorboard"), purge_step=step + 1)
