"""How a training goes: as a bar or plain lines on the terminal, in a journal, for TensorBoard; how it is stopped."""

from __future__ import annotations

import _thread
import hashlib
import json
import math
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from regard.errors import DataError, ModelError, UnsupportedError
from regard.files import Forgiving, check_held, explain_failures, explain_full_disk, sealed, unsealed
from regard.training.checkpoint import BOARD, JOURNAL

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


if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Journal:
    """``metrics.jsonl`` of a run folder, a JSON object a line.

    It goes on behind its first ``length`` bytes; what stands there is cut off.

    Raises:
        ModelError: these bytes do not have that ``digest``.
    """

    def __init__(self, output: Path, *, length: int, digest: str, step: int, tensorboard: bool) -> None:
        self.path = output / JOURNAL
        with ExitStack() as opened:
            with explain_failures(self.path):
                self._file = opened.enter_context(open(self.path, "a+b"))
                self._file.seek(0)
                before = self._file.read(length)
            self._digest = hashlib.sha256(before)
            if before and self._digest.hexdigest() != digest:  # of one that was deleted there is nothing to check
                raise ModelError(
                    f"{self.path}: not the journal of this training (its digest differs); copy it again or delete it"
                )
            with explain_failures(self.path):
                self._file.truncate(len(before))
            self._board = _open_board(output, step) if tensorboard else None
            opened.pop_all()

    def write(self, kind: str, step: int, values: dict[str, Any]) -> tuple[int, str]:
        """Adds a line; the length and the digest of the whole file."""
        values = {name: None if _is_endless(value) else value for name, value in values.items()}
        line = json.dumps({"kind": kind, "step": step, **values}, ensure_ascii=False).encode() + b"\n"
        check_held(self.path)
        with explain_full_disk(self.path):
            self._file.write(line)
            self._file.flush()
        self._digest.update(line)
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)
        return self._file.tell(), self._digest.hexdigest()

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
    if end.get("journal") != hashlib.sha256(before).hexdigest():
        raise ModelError(f"{path}: not the journal that was written (its digest differs); copy it again")
    return end


def _is_line(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    if not isinstance(values.get("kind"), str) or not isinstance(values.get("step"), int):
        return False
    numbers = [] if values["kind"] == "end" else [value for name, value in values.items() if name != "kind"]
    return all(
        number is None or (isinstance(number, int | float) and abs(number) < 2**1000) for number in numbers
    ) and (values["kind"] != "step" or "loss" in values)


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _open_board(output: Path, step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UnsupportedError(
            "tensorboard: it is not installed; pip install 'regard[tensorboard]', or leave the option out"
        ) from None
    return SummaryWriter(str(output / BOARD), purge_step=step + 1)


SAME = 1.0  # seconds in which a launcher may pass on the very signal that the terminal has sent already
GRACE = 30.0  # seconds that a step may go on in once it was asked to stop
HARD = 5.0  # seconds that one operation of PyTorch may then go on in, where the signal may end the process
STOPS = (signal.SIGINT, signal.SIGTERM)
_ends = {signal.SIGTERM}  # what may end the process in the middle of an operation


@contextmanager
def own_process() -> Iterator[None]:
    """Ctrl-C may end the process in the middle of an operation, as SIGTERM may: nobody else's work is in it."""
    _ends.add(signal.SIGINT)
    try:
        yield
    finally:
        _ends.remove(signal.SIGINT)


class Interrupt:
    """While entered, ``requested`` tells whether a signal came. Outside the main thread signals are left alone.

    A second signal raises KeyboardInterrupt; so does the first, ``grace`` seconds later, unless it was :meth:`heeded`.
    Python hears of neither in the middle of one operation of PyTorch, which may take minutes. A thread does: it says at
    once that there was a signal, and ends the process where ``HARD`` seconds were not enough and the signal may do
    that (:func:`own_process`).
    """

    def __init__(self, on_request: Callable[[], None], *, grace: float = GRACE) -> None:
        self.requested = False
        self._on_request, self._grace = on_request, grace
        self._when = 0.0
        self._at_once = self._heeded = False
        self._before: dict[signal.Signals, Any] = {}

    def heeded(self) -> None:
        """What is done now, a checkpoint say, is to be finished, where it was asked to stop."""
        self._heeded = self.requested

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _watched():
                self._before[number] = signal.signal(number, self._receive)
            self._reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._before:
            return
        self._heeded = True
        signal.set_wakeup_fd(self._wakeup_before)
        self._writer.close()  # which ends the thread
        self._thread.join()
        self._reader.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        is_another = number in STOPS and self.requested and self._is_another(self._when)
        if self._at_once or is_another:
            self.requested = True
            raise KeyboardInterrupt
        if not self.requested:
            self.requested, self._when = True, time.monotonic()

    def _is_another(self, first: float) -> bool:
        return time.monotonic() - first > min(SAME, self._grace / 2)

    def _watch(self) -> None:
        """Every signal, as it comes: the interpreter writes its number into the socket."""
        first, until, kills = 0.0, 0.0, False  # when the first came; when this thread acts; whether it ends the process
        while True:
            wait = None if not until else max(0.0, until - time.monotonic())
            if select.select([self._reader], [], [], wait)[0]:
                came = self._reader.recv(1)
                if not came:
                    return
                if came[0] not in self._before:
                    continue
                number = signal.Signals(came[0])
                if not first:
                    first, until = time.monotonic(), time.monotonic() + self._grace
                    self._on_request()  # not in a handler, which may interrupt the very import that printing needs
                elif number in STOPS and not self._at_once and self._is_another(first):
                    self._at_once = True
                    until, kills = time.monotonic() + HARD, number in _ends
            elif self._heeded:
                until = 0.0
            elif not self._at_once:
                self._at_once = True
                until, kills = time.monotonic() + HARD, number in _ends
                _send(number)
            elif kills:  # pragma: no cover - ends the process, and with it what measures
                say("ended in the middle of an operation; the last checkpoint stays", True)
                os._exit(128 + number)
            else:
                until = 0.0


def _watched() -> tuple[signal.Signals, ...]:
    hangup = getattr(signal, "SIGHUP", None)  # of a terminal that goes away; not on Windows
    ignored = hangup is None or signal.getsignal(hangup) == signal.SIG_IGN
    return STOPS if ignored else (*STOPS, signal.SIGHUP)


def _send(number: signal.Signals) -> None:
    """A signal to the main thread, which may be waiting."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)
