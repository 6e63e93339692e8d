"""Listening to a network while it runs: which module is running, and which functions it calls."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    _global_forward_hooks_with_kwargs,
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from regard.attention import AttentionWeights
from regard.errors import ConfigError, RegardError
from regard.machine import memory
from regard.nn import Pooling
from regard.viewer.heard import Heard, Place, is_attention
from regard.viewer.recorders import FUNCTIONS, QUICK, SILENT, Row, row_of, runs_as


@dataclass(frozen=True, eq=False)
class Recorded:
    """What one attention layer did.

    Arguments:
        name: of the layer within the module that was recorded, as in "layers.0.cross_attention"; with #2 and so on
            where it ran more than once.
        role: "attention", "cross_attention" or "pooling".
        weights: of one example, on the CPU: ``[1, H, Q, W]``, a window held as a band. None where there are none.
        why: there are none, and what to do.
    """

    name: str
    role: str
    weights: AttentionWeights | None
    why: str = ""


@dataclass(eq=False)
class _Frame:
    """A module that is running."""

    module: nn.Module
    listened: bool  # before it began
    heard: bool = False  # something, inside of it


class Listener:
    """Writes down what is heard, pass by pass; hooks of single modules would change how some of PyTorch's run.

    Arguments:
        module: whose parts are listened to.
        example: which of a batch is kept.
    """

    def __init__(self, module: nn.Module, example: int) -> None:
        self.names = {part: _name(name) or type(part).__name__ for name, part in module.named_modules()}
        self.order = {name: number for number, name in enumerate(self.names.values())}
        self.example, self.thread = example, get_ident()
        self.passes: list[list[Recorded]] = []
        self._now: list[Recorded] = []  # of the pass that runs
        self._frames: list[_Frame] = []
        self._mode, self._listens, self._room = _Functions(self), False, memory() / 2

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hooks for all modules, a mode for all functions, of this thread; what is compiled runs as it is written."""
        handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, with_kwargs=True, always_call=True),
        ]
        self._listen(True)
        try:
            if "torch._dynamo" in sys.modules:
                with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"):
                    warnings.filterwarnings("ignore", message="Using `torch.compile")  # that it calls hooks twice
                    yield
            else:
                yield
        finally:
            self._listen(False)
            for handle in handles:
                handle.remove()
                _global_forward_hooks_with_kwargs.pop(handle.id, None)  # where PyTorch 2.13 forgets it

    def forget(self) -> None:
        """Lets go of what was written down: it goes with the recording, and not when a cycle of objects is found."""
        self.passes, self._now, self._frames = [], [], []

    def hear(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Writes down what a function did that has just run."""
        row = FUNCTIONS.get(function)
        caller = None if row is None or _runs_backward() else self._caller()
        if row is None or caller is None:
            return
        self._ask(row, caller, args, kwargs)
        if not self._frames:
            self._end_pass()

    def _caller(self) -> nn.Module | None:
        """The innermost module of which a method runs, be it forward or another; of a step, as nn.Softmax, its caller.

        A step has no parameters, and is not called an attention itself.
        """
        innermost: nn.Module | None = None
        frame: FrameType | None = sys._getframe(3)
        while frame is not None:
            caller = frame.f_locals.get("self")
            if isinstance(caller, nn.Module) and caller in self.names:
                innermost = caller if innermost is None else innermost
                if is_attention(self.names[caller].rpartition(".")[2], type(caller).__name__):
                    return caller
                if next(caller.parameters(), None) is not None:
                    break
            frame = frame.f_back
        return innermost

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        if not self._hears(module):
            return
        self._frames.append(_Frame(module, self._listens))
        self._listen(not runs_as(module, *QUICK))

    def _leave(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> None:
        """``rest`` is keywords and output; where the module raised, it is None alone."""
        if not self._hears(module) or not self._frames or self._frames[-1].module is not module:
            return
        self._listen(False)  # what asks runs modules too
        try:
            if len(rest) == 2 and not self._frames[-1].heard:
                self._ask_module(module, args, rest[0])
        finally:
            self._listen(self._frames.pop().listened)
        if not self._frames:
            self._end_pass()

    def _ask_module(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        row = row_of(module)
        if row is not None:
            self._ask(row, module, args, kwargs)
        elif re.search("attention|attn", type(module).__name__, re.IGNORECASE):
            self._write(Place(self.names[module], module, self.example, 0), None, SILENT)

    def _end_pass(self) -> None:
        if self._now:
            self.passes.append(self._now)
        self._now = []

    def _hears(self, module: nn.Module) -> bool:
        """Whether it is a part that runs forward, and not once more for the gradient of a checkpoint."""
        return module in self.names and get_ident() == self.thread and not _runs_backward()

    def _listen(self, on: bool) -> None:
        if on and not self._listens:
            self._mode.__enter__()  # type: ignore[no-untyped-call]
            self._listens = True
        elif not on and self._listens and self._mode is _get_current_function_mode():  # type: ignore[no-untyped-call]
            self._mode.__exit__(None, None, None)
            self._listens = False

    @torch.no_grad()
    def _ask(self, row: Row, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        place, why = Place(self.names[module], module, self.example, self._room), ""
        heard: Heard | None = None
        try:
            heard = row(place, *args, **kwargs)
        except ConfigError:
            raise
        except (RegardError, RuntimeError, TypeError, IndexError) as error:  # a network goes on
            why = f"its weights could not be computed: {error}"
        if heard is not None or why:
            self._write(place, heard, why)

    def _write(self, place: Place, heard: Heard | None, why: str) -> None:
        for frame in self._frames:
            frame.heard = True
        name = place.name if heard is None or heard.module is None else self.names[heard.module]
        crosses = place.crosses if heard is None else heard.crosses
        role = "pooling" if isinstance(place.module, Pooling) else "cross_attention" if crosses else "attention"
        times = sum(recorded.name.partition("#")[0] == name for recorded in self._now)
        weights = None if heard is None else _on_cpu(heard.weights)
        if weights is not None:
            self._room -= 4 * weights.values.numel()
        self._now.append(Recorded(name if not times else f"{name}#{times + 1}", role, weights, why))


class _Functions(TorchFunctionMode):
    """PyTorch's own way to see every function that is called; only by inheritance."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self.listener = listener

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = {} if kwargs is None else kwargs
        output = function(*args, **kwargs)
        self.listener.hear(function, args, kwargs)
        return output


def _name(name: str) -> str:
    """Without what `torch.compile` puts around a module."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _runs_backward() -> bool:
    return torch._C._current_graph_task_id() != -1


def _on_cpu(weights: AttentionWeights) -> AttentionWeights:
    values, first, lengths = weights.values.detach().float(), weights.first, weights.key_lengths
    return AttentionWeights(values.cpu(), first.cpu(), lengths.cpu(), weights.query_start)
