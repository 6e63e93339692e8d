"""`regard stream`: answers as sound comes in, from a pipe or a file."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.cli.common import (
    INTERRUPTED,
    Device,
    OtherWindow,
    OtherWindows,
    Run,
    Smooth,
    change_window,
    open_model,
    refuse_unknown,
)
from regard.errors import ConfigError, DataError

if TYPE_CHECKING:
    from regard.tasks.label.reader import Labelled
    from regard.tasks.streams import Stream

STDIN, STDIN_NAME = "-", "<stdin>"


def stream(
    run: Run,
    file: Annotated[str, typer.Argument(help="Sound file; - is standard input, a wav or raw samples.")] = STDIN,
    rate: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="HZ",
            help="Of raw samples, 16 bits each, one channel; that of the model if unset.",
            show_default=False,
        ),
    ] = None,
    chunk: Annotated[float, typer.Option(min=1.0, max=60_000.0, metavar="MS", help="What is taken in at once.")] = 80.0,
    every: Annotated[bool, typer.Option("--every", help="A line for each vector, not each run of a label.")] = False,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Pace a file as a microphone would, and tell how late answers are.")
    ] = False,
    smooth: Smooth = None,
    window: OtherWindow = None,
    windows: OtherWindows = None,
    device: Device = "auto",
) -> None:
    """Label or write down sound as it comes in: JSON lines, each as soon as it is certain."""
    model = open_model(run, device)
    change_window(model, window, windows)
    if not hasattr(model, "stream"):
        raise ConfigError(f"stream: a {model.config.task} model says nothing before all has come; predict takes files")
    if not hasattr(model.network.front_end, "seconds"):
        raise ConfigError(f"stream: of sound; this model has the front end {model.config.front_end}, Python streams it")
    if realtime and file == STDIN:
        raise ConfigError("realtime: paces a file; standard input comes at a pace of its own")
    options = {} if smooth is None else {"smooth": smooth}
    refuse_unknown(options, model.stream, model.config.task)
    rate, chunks = _opened(file, rate, chunk / 1000, model.network.front_end.settings.sample_rate)
    clock = Clock(rate) if realtime else None
    stopped = _answer(model.stream(rate=rate, **options), chunks, Lines(every=every), clock)
    if clock is not None:
        typer.echo(clock.told(), err=True)
    if stopped:
        raise typer.Exit(INTERRUPTED)


def _answer(certain: Stream[Any], chunks: Iterator[Any], lines: Lines, clock: Clock | None) -> bool:
    """Prints what becomes certain, and all else at the end; whether that was Ctrl-C."""
    is_stopped = False
    try:
        for samples in chunks if clock is None else clock.paced(chunks):
            with _whole():
                answers = certain.push(samples)
                if clock is not None:
                    clock.answered(answers)
                _print(lines.push(answers))
    except KeyboardInterrupt:
        is_stopped = True
    _print(lines.push(certain.close()))
    _print(lines.close())
    return is_stopped


@contextmanager
def _whole() -> Iterator[None]:
    """Ctrl-C waits for the end of this, so that no chunk is half done; a second one does not."""
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _opened(file: str, rate: int | None, seconds: float, usual: int) -> tuple[int, Iterator[Any]]:
    """The rate of the samples, and the samples, so many seconds at once."""
    from regard.piped import open_piped
    from regard.recording import Recording

    if file != STDIN:
        if rate is not None:
            raise ConfigError(f"rate: for raw samples on standard input, got {rate} with a file, which tells its own")
        recording = Recording.from_file(file)
        return recording.rate, recording.own_blocks(seconds)
    if sys.stdin is None or sys.stdin.closed:
        raise DataError("a file, or sound on standard input", "standard input closed", path=STDIN_NAME)
    piped = open_piped(sys.stdin.buffer, usual if rate is None else rate, name=STDIN_NAME)
    return piped.rate, piped.blocks(seconds)


class Lines:
    """Answers as lines to print; labels of vectors as segments, runs of one label, each when it is over.

    Arguments:
        every: whether each vector has a line of its own.
    """

    def __init__(self, *, every: bool) -> None:
        self._every = every
        self._run: Labelled | None = None  # that is not over yet

    def push(self, answers: Iterable[Any]) -> Iterator[dict[str, Any]]:
        for answer in answers:
            if self._every or not hasattr(answer, "label"):
                yield answer._asdict()
            elif self._run is not None and self._run.label == answer.label:
                self._run = self._run._replace(end=answer.end)
            else:
                yield from self.close()
                self._run = answer

    def close(self) -> Iterator[dict[str, Any]]:
        """The run that was not over, if it is of a label."""
        from regard.data.segments import OUTSIDE

        if self._run is not None and self._run.label != OUTSIDE:
            yield {"start": self._run.start, "end": self._run.end, "label": self._run.label}
        self._run = None


def _print(lines: Iterable[dict[str, Any]]) -> None:
    for line in lines:
        typer.echo(json.dumps(line, ensure_ascii=False))  # which flushes


class Clock:
    """Gives samples when a microphone would have heard them, and takes down how late their answers are.

    Arguments:
        rate: of the samples, Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._began = self._came = self._heard = 0.0  # seconds: when the first and the last came, how many in all
        self.took: list[float] = []  # seconds for each chunk
        self.late: list[float] = []  # seconds from the end of each vector to its answer

    def paced(self, chunks: Iterable[Any]) -> Iterator[Any]:
        """Each chunk at its time."""
        for samples in chunks:
            if not self.took:  # what opens a file takes its time
                self._began = time.perf_counter()
            self._heard += len(samples) / self._rate
            time.sleep(max(0.0, self._began + self._heard - time.perf_counter()))
            self._came = time.perf_counter()
            yield samples

    def answered(self, answers: Iterable[Any]) -> None:
        now = time.perf_counter()
        self.took.append(now - self._came)
        self.late += [now - self._began - answer.end for answer in answers]

    def told(self) -> str:
        """For people."""
        import numpy as np

        if not self.took:
            return "nothing came"
        half, most = (1000 * np.percentile(self.took, share) for share in (50, 99))
        text = f"a chunk takes {half:.1f} ms, 99 % at most {most:.1f} ms; real-time factor "
        text += f"{sum(self.took) / self._heard:.3f}"
        if self.late:
            half, most = (1000 * np.percentile(self.late, share) for share in (50, 99))
            text += f"; answers are {half:.0f} ms behind the end of what they tell of, 99 % at most {most:.0f} ms"
        return text
