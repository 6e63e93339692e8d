"""Ctrl-C and SIGTERM: the first asks a training to stop cleanly, the second stops it at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SAME = 1.0  # seconds in which a launcher may pass on the very signal that the terminal has sent already


class Interrupt:
    """While entered, ``requested`` tells whether a signal came. Outside the main thread signals are left alone."""

    def __init__(self, on_request: Callable[[], None]) -> None:
        self.requested = False
        self._on_request = on_request
        self._when = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested, self._when = True, time.monotonic()
            self._on_request()
        elif time.monotonic() - self._when > SAME:
            raise KeyboardInterrupt
