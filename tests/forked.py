"""Python in a process of its own that begins at once: forked from one that has loaded what a training loads.

To load PyTorch, its compiler, scikit-learn and matplotlib takes three seconds. Tests of streams, of launchers and of
what is loaded start Python from nothing; those of signals, kills and processes that meet need not.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "torch._dynamo",
        "torch.distributed.fsdp",
        "accelerate",
        "sklearn.feature_extraction.text",
        "sklearn.metrics",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
    ]
)


class Forked:
    """Runs what follows `python` in a shell: ``-m module …``, ``-c code …`` or ``script …``.

    What it writes goes into files, so that it waits for no reader.
    """

    def __init__(
        self, *arguments: str | Path, cwd: str | Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        streams = [DupFd(file.fileno()) for file in self._files]
        given = [str(argument) for argument in arguments]
        own = (given, str(cwd or Path.cwd()), env or dict(os.environ), streams)
        self._process = FORKS.Process(target=_run, args=own)
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def out(self) -> str:
        """What it wrote so far."""
        return self._written(0)

    @property
    def err(self) -> str:
        return self._written(1)

    def _written(self, number: int) -> str:
        file = self._files[number]
        return self._told[number] if file.closed else os.pread(file.fileno(), 1 << 24, 0).decode()

    @property
    def code(self) -> int | None:
        """As it ended: a negative number is that of a signal. None while it runs."""
        return self._process.exitcode

    def until(self, happened: Callable[[], object]) -> None:
        """Waits while it runs, which must not end before."""
        while not happened():
            assert self.code is None, (self.code, self.out, self.err)
            time.sleep(0.005)

    def send(self, number: int) -> None:
        if self.code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.end(10)

    def end(self, seconds: float = 120) -> int:
        """Waits until it ends, and gives its code."""
        self._process.join(seconds)
        assert self.code is not None, (f"it still runs after {seconds} seconds", self.out, self.err)
        self._told = [self.out, self.err]
        for file in self._files:
            file.close()
        return self.code

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def together(processes: int, *arguments: str | Path, cwd: Path | None = None) -> list[Forked]:
    """As `torchrun` starts them, but for the launcher; to the end, which must be a good one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = []
    for rank in range(processes):
        own = shared | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1}
        env = os.environ | {name: str(value) for name, value in own.items()}
        started.append(Forked(*arguments, cwd=cwd, env=env))
    for process in started:
        assert process.end(300) == 0, process.err
    return started


def _run(arguments: list[str], folder: str, environment: dict[str, str], streams: list[Any]) -> None:
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.detach(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which what a script starts in the background ignores
    how, *rest = arguments
    if how == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(how).parent))
        runpy.run_path(how, run_name="__main__")
