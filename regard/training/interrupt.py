"""Ctrl-C and SIGTERM while training: the step in hand is finished, unless it takes too long."""

from __future__ import annotations

import _thread
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from regard.training.progress import say

SAME = 1.0  # seconds in which a launcher may pass on the very signal that the terminal has sent already
GRACE = 30.0  # seconds that a step may go on in once it was asked to stop
HARD = 5.0  # seconds that one operation of PyTorch may then go on in after SIGTERM
NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While entered, ``requested`` tells whether a signal came. Outside the main thread signals are left alone.

    A second signal raises KeyboardInterrupt; so does the first, ``grace`` seconds later, unless it was :meth:`heeded`.
    Python hears of neither in the middle of one operation of PyTorch, which may take minutes. A thread does: it says at
    once that there was a signal, and ends the process where SIGTERM asked for it and ``HARD`` seconds were not enough.
    """

    def __init__(self, on_request: Callable[[], None], *, grace: float = GRACE) -> None:
        self.requested = False
        self._on_request, self._grace = on_request, grace
        self._untold = threading.Lock()  # taken by the one, handler or thread, that tells of the first signal
        self._when = 0.0
        self._at_once = self._heeded = False
        self._before: dict[signal.Signals, Any] = {}

    def heeded(self) -> None:
        """What is done now, a checkpoint say, is to be finished, where it was asked to stop."""
        self._heeded = self.requested

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
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
        if self._at_once or (self.requested and self._is_another(self._when)):
            self.requested = True
            raise KeyboardInterrupt
        if not self.requested:
            self.requested, self._when = True, time.monotonic()
            self._tell()

    def _is_another(self, first: float) -> bool:
        return time.monotonic() - first > min(SAME, self._grace / 2)

    def _tell(self) -> None:
        if self._untold.acquire(blocking=False):
            self._on_request()

    def _watch(self) -> None:
        """Every signal, as it comes: the interpreter writes its number into the socket."""
        first, until, kills = 0.0, 0.0, False  # when the first came; when this thread acts; whether it ends the process
        while True:
            wait = None if not until else max(0.0, until - time.monotonic())
            if select.select([self._reader], [], [], wait)[0]:
                came = self._reader.recv(1)
                if not came:
                    return
                if came[0] not in NUMBERS:
                    continue
                number = signal.Signals(came[0])
                if not first:
                    first, until = time.monotonic(), time.monotonic() + self._grace
                    self._tell()
                elif not self._at_once and self._is_another(first):
                    self._at_once = True
                    until, kills = time.monotonic() + HARD, number == signal.SIGTERM
            elif self._heeded:
                until = 0.0
            elif not self._at_once:
                self._at_once = True
                until, kills = time.monotonic() + HARD, number == signal.SIGTERM
                _send(number)
            elif kills:
                say("ended in the middle of an operation; the last checkpoint stays", True)
                os._exit(128 + signal.SIGTERM)
            else:
                until = 0.0


def _send(number: signal.Signals) -> None:
    """A signal to the main thread, which may be waiting."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)
