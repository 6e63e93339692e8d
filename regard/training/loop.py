"""The training loop: epochs of steps, an evaluation after each, the best weights kept, a checkpoint to go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from regard.errors import ConfigError, RegardError
from regard.files import check_held, explain_failures, remove_parts
from regard.planning import plan_epoch, split_step
from regard.training.checkpoint import (
    CURVES,
    FOLDER,
    JOURNAL,
    Identity,
    State,
    is_interrupted,
    lend,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from regard.training.compiling import compiled, uncompiled
from regard.training.config import Config
from regard.training.config_file import FILE as CONFIG
from regard.training.config_file import write_config
from regard.training.curves import draw_curves
from regard.training.learner import Collate, Learner, Loss, is_main_process, start_processes
from regard.training.optimizer import one_cycle
from regard.training.progress import GRACE, Interrupt, Journal, Progress, last_line, say
from regard.training.shortage import enough_memory
from regard.training.spread import check_same, shared

__all__ = ["Result", "is_main_process", "train"]

LOG_EVERY = 10  # steps between lines of the journal

Evaluate = Callable[[nn.Module], dict[str, float]]
Save = Callable[[nn.Module, Path], None]
Restore = Callable[[Path], None]
Stopped = Literal["finished", "patience", "interrupted"]


@dataclass(frozen=True)
class Result:
    """How a training ended.

    Arguments:
        stopped: ``finished`` all epochs, out of ``patience``, or ``interrupted`` and ready to resume.
        seconds: time spent in all sittings; ``tokens_per_second``: items a second within steps.
        steps: optimizer steps done.
    """

    stopped: Stopped
    seconds: float
    tokens_per_second: float
    steps: int


def train(
    network: nn.Module,
    *,
    lengths: Sequence[int],
    collate: Collate,
    loss: Loss,
    evaluate: Evaluate | None,
    select: str,
    config: Config,
    output: Path,
    save: Save,
    restore: Restore | None = None,
    resume: bool = False,
    data_digest: str = "",
    dev_digest: str = "",
) -> Result:
    """Trains a network, and leaves the weights that scored best with ``save``.

    Under ``torchrun`` or ``accelerate launch`` every process calls this; all evaluate, the main one writes and prints.

    Arguments:
        lengths: items in each training sequence.
        collate: makes a batch with ``.to(device)`` of sequence numbers; draws no random numbers.
        loss: ``(network, batch)`` → the loss summed over the batch, and what number of things it sums over.
        evaluate: ``network`` → metrics; None keeps the last weights instead of the best.
        select: the metric that chooses, higher is better.
        output: run folder; ``metrics.jsonl``, ``loss.png``, ``config.toml``, and ``resume/`` for the while go there.
        save: ``(network, folder)`` writes the model; ``restore``: ``(folder)`` sees to it that one from an earlier
            sitting is whole, before anything else is done.
        resume: go on from the checkpoint in ``output``, bit for bit; from the beginning where there is none yet.
        data_digest: anything that tells this training data from other of the same lengths; ``dev_digest`` of dev.

    Raises:
        ConfigError: ``output`` holds an interrupted training and ``resume`` is not given, or holds a different one.
        ShapeError: processes have different options or data.
        RegardError: the loss is no longer finite, or the disk is full.
    """
    left_off = is_interrupted(output)
    if left_off and not resume:
        raise ConfigError(f"output: {output} holds an interrupted training; resume it, delete it or name another one")
    shown = is_main_process() and not config.quiet
    accelerator, device = start_processes(config.device)
    identity = Identity.of(config, lengths, data_digest, network, accelerator.num_processes, dev_digest)
    if accelerator.num_processes > 1:
        check_same(identity, device)
    learner = Learner(network, collate=collate, loss=loss, config=config)
    state, note = State(), f"{output} holds no checkpoint yet; training from the beginning" if resume else ""
    if left_off:
        state = read_checkpoint(output, identity, learner.restore)
        if restore is not None and is_main_process() and state.epoch:
            restore(output)
        note = f"going on from step {state.step} in epoch {state.epoch + 1}"
    elif resume and (finished := _finished(output, identity)):
        if restore is not None and is_main_process():
            restore(output)
        say(f"{output} has finished its {finished.steps} steps; there is nothing to resume", shown)
        learner.give_back()
        return finished
    journal = _open_folder(output, config, state) if is_main_process() else None
    total = sum(lengths) * config.epochs
    progress = Progress(epochs=config.epochs, total=total, done=state.tokens, shown=shown)
    interrupt = Interrupt(
        lambda: progress.note(f"stopping after this step, or in {GRACE:.0f} seconds; once more stops at once")
    )
    faster = compiled(learner.network, wanted=config.compile)
    with faster, journal or nullcontext(), interrupt, progress:  # a signal must not end what starts to draw
        progress.note(note)
        run = _Run(learner, lengths, total, config, state, output, identity, journal, progress, interrupt)
        stopped = run.all_epochs(evaluate, select, save)
        run.end(stopped, select)
        learner.give_back()
    return Result(stopped, state.seconds, state.tokens / max(1e-9, state.step_seconds), state.step)


def _finished(output: Path, identity: Identity) -> Result | None:
    """How a training that needs no resuming ended, by the last line of its journal."""
    end = last_line(output / JOURNAL)
    if end is None:
        return None
    identity.check(end["identity"], output)
    return Result(end["stopped"], end["seconds"], end["tokens"] / max(1e-9, end["step_seconds"]), end["step"])


def _open_folder(output: Path, config: Config, state: State) -> Journal:
    """The run folder, clear of what a kill left half-written, and its journal up to where the state stands."""
    check_held(output)
    with explain_failures(output):
        (output / FOLDER).mkdir(parents=True, exist_ok=True)
    for folder in (output, output / FOLDER):
        remove_parts(folder)
    write_config(config, output / CONFIG)
    return Journal(
        output, length=state.journal_bytes, digest=state.journal_digest, step=state.step, tensorboard=config.tensorboard
    )


@dataclass
class _Run:
    """One sitting of a training: what it works on, how far it is, and whom it tells."""

    learner: Learner
    lengths: Sequence[int]
    total: int  # items in all epochs
    config: Config
    state: State
    output: Path
    identity: Identity
    journal: Journal | None  # in the main process
    progress: Progress
    interrupt: Interrupt

    def __post_init__(self) -> None:
        self.loss: Tensor | float = self.state.loss  # tensors, so that a GPU need not be waited for
        self.count: Tensor | int = self.state.count
        self.marks = (self.state.tokens, self.state.step_seconds)  # at the last line of the journal
        self.began = time.monotonic() - self.state.seconds
        self.saved = time.monotonic()

    def all_epochs(self, evaluate: Evaluate | None, select: str, save: Save) -> Stopped:
        while self.state.epoch < self.config.epochs:
            if 0 < self.config.patience <= self.state.waited:
                return "patience"
            if self.steps_of_epoch():
                return "interrupted"
            self.end_epoch(evaluate, select, save)
            if self.learner.agree(self.interrupt.requested) and self.state.epoch < self.config.epochs:
                return "interrupted"
        return "finished"

    def steps_of_epoch(self) -> bool:
        """The steps of the present epoch that are still to do; True if a signal ended them."""
        config, state, learner = self.config, self.state, self.learner
        parts = learner.shares * config.accumulate
        assert isinstance(config.batch_tokens, int)  # which whoever trains has settled
        plan = plan_epoch(self.lengths, budget=config.batch_tokens * parts, seed=config.seed, epoch=state.epoch)
        learner.train()
        for sequences in plan[state.step_of_epoch :]:
            start = time.perf_counter()
            items = sum(self.lengths[index] for index in sequences)
            rate = one_cycle((state.tokens + items / 2) / self.total, peak=config.learning_rate, warmup=config.warmup)
            shares = split_step(sequences, self.lengths, parts)[learner.share :: learner.shares]
            batches = [[self.lengths[index] for index in share or sequences[:1]] for share in shares]
            with enough_memory(f"step {state.step + 1}", batches, learner.network, config, self.output):
                step = learner.step(
                    shares,
                    spare=int(sequences[0]),
                    number=state.step,
                    rate=rate,
                    asked=lambda: (self.interrupt.requested, self.is_due()),
                )
            state.step += 1
            state.step_of_epoch += 1
            state.tokens += items
            self.count, self.loss = self.count + step.count, self.loss + step.loss
            self.progress.step(state.epoch, items)
            last = state.step_of_epoch == len(plan)
            told = state.step % LOG_EVERY == 0 or last
            norm = float(step.norm) if told else None  # this waits for a GPU
            state.step_seconds += time.perf_counter() - start
            if norm is not None:
                self.log(rate, norm)
            stop, save = step.orders(wait=told)
            if stop:
                self.interrupt.heeded()
            if stop or (save and not last):
                self.checkpoint()
            if stop:
                return True
        return False

    def is_due(self) -> bool:
        """Whether the main process is to write a checkpoint."""
        return self.journal is not None and time.monotonic() - self.saved > self.config.checkpoint_seconds

    def end_epoch(self, evaluate: Evaluate | None, select: str, save: Save) -> None:
        """Evaluates the averaged weights, keeps them if they are the best so far, and writes a checkpoint."""
        state = self.state
        with self.learner.averaged() as network, shared(), uncompiled(wanted=self.config.compile):
            with enough_memory(f"the evaluation of epoch {state.epoch + 1}", (), network, self.config, self.output):
                scores = {} if evaluate is None else evaluate(network)
            if evaluate is not None and select not in scores:
                raise RegardError(f"select: evaluation gave {', '.join(scores)}, not {select}; is dev like train?")
            self.interrupt.heeded()  # the score is there; what it says is kept
            score = scores.get(select)
            better = score is None or state.best is None or score > state.best
            if better and self.journal is not None:
                save(network, self.output)
        if self.journal is not None:
            self.progress.evaluation(state.epoch, select, score, best=better)
            values = {"epoch": state.epoch + 1, "seconds": self.seconds(), **scores, "best": better}
            state.journal_bytes, state.journal_digest = self.journal.write("evaluation", state.step, values)
        better = self.learner.agree(better)  # the other processes wait here
        state.best, state.waited = (score, 0) if better else (state.best, state.waited + 1)
        state.epoch, state.step_of_epoch = state.epoch + 1, 0
        self.checkpoint()

    def log(self, rate: float, norm: float) -> None:
        """A line in the journal about the steps since the last."""
        state, loss = self.state, self.mean_loss()
        tokens, seconds = self.marks
        speed = (state.tokens - tokens) / max(1e-9, state.step_seconds - seconds)
        self.marks = (state.tokens, state.step_seconds)
        self.loss = self.count = 0
        self.progress.loss(state.epoch, loss, speed)
        if self.journal is not None:
            values = {"epoch": state.epoch + 1, "seconds": self.seconds(), "loss": loss, "learning_rate": rate}
            values |= {"gradient_norm": norm, "tokens_per_second": round(speed, 1)}
            state.journal_bytes, state.journal_digest = self.journal.write("step", state.step, values)

    def checkpoint(self) -> None:
        self.mean_loss()
        self.saved = time.monotonic()
        self.state.loss, self.state.seconds = float(self.loss), self.seconds()
        tensors = self.learner.tensors()
        if self.journal is not None:
            write_checkpoint(self.output, self.state, tensors, self.identity)
        else:
            lend(tensors)

    def mean_loss(self) -> float:
        """Of the steps since the last line of the journal.

        Raises:
            RegardError: it is not finite.
        """
        self.state.count = round(float(self.count))
        loss = float(self.loss) / max(1, self.state.count)
        if not math.isfinite(loss):
            raise RegardError(
                f"the loss became {loss} by step {self.state.step}; lower learning_rate, now "
                f"{self.config.learning_rate}, or look for values in the data that are not finite"
            )
        return loss

    def end(self, stopped: Stopped, select: str) -> None:
        """Says how it ended; a finished training needs no checkpoint any more."""
        self.interrupt.heeded()
        if stopped == "interrupted":
            kept = "it can be resumed" if self.config.output is not None else "without an output nothing is kept"
            self.progress.note(f"stopped after step {self.state.step}, in epoch {self.state.epoch + 1}; {kept}")
        elif self.journal is not None:
            self.state.seconds = self.seconds()
            values: dict[str, Any] = {"stopped": stopped, "seconds": self.state.seconds}
            values |= {"step_seconds": self.state.step_seconds, "tokens": self.state.tokens}
            values |= {"identity": asdict(self.identity)}
            self.journal.end(self.state.step, values)
            draw_curves(self.output / JOURNAL, self.output / CURVES, select)
            remove_checkpoint(self.output)
        self.learner.agree(False)  # no process goes on before the files are there

    def seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)
