"""What attention layers did while a network ran, without changing what comes out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention import AttentionWeights
from regard.errors import ConfigError
from regard.viewer.heard import is_whole, whole_weights
from regard.viewer.listening import Listener, Recorded

if TYPE_CHECKING:
    from regard.viewer.page.build import Page

__all__ = ["Recorded", "Recording", "record"]


class Recording(Sequence[Recorded]):
    """What each attention layer did with one example, in the order of the network.

    After several forward passes it is the last of ``runs``. A pass that goes on where the one before ended, with its
    keys in a cache, as when a text is written word by word, belongs to the same run and adds its rows.

    Arguments:
        layers: what was recorded already.

    >>> recording = Recording.of([torch.eye(3)[None], torch.ones(1, 3, 3) / 3])
    >>> recording, recording["layers.1"].role, recording[0].weights.row(1).tolist()
    (Recording(2 attention), 'attention', [[0.0, 1.0, 0.0]])
    """

    def __init__(self, layers: Iterable[Recorded] = ()) -> None:
        given = list(layers)
        self._passes = [given] if given else []
        self._order: dict[str, int] = {}  # of names in the network
        self._known = len(self._passes), self._passes  # runs of so many passes

    @classmethod
    def of(cls, layers: Iterable[Tensor], role: str = "attention") -> Recording:
        """Of weights ``[H, Q, K]`` that are there already, one for each layer."""
        weights = (whole_weights(layer.detach().float().cpu()[None]) for layer in layers)
        return cls(Recorded(f"layers.{number}", role, layer) for number, layer in enumerate(weights))

    @property
    def runs(self) -> list[Recording]:
        """One for each forward pass that did not go on with the one before, first to last."""
        return [Recording(run) for run in self._runs()]

    def of_role(self, role: str) -> Recording:
        """Those of a role alone: "attention", "cross_attention" or "pooling"."""
        return Recording(layer for layer in self if layer.role == role)

    def within(self, part: str) -> Recording:
        """Those of a part of the network alone, as in "encoder"."""
        return Recording(layer for layer in self if f"{layer.name}.".startswith(f"{part}."))

    def __len__(self) -> int:
        return len(self._last())

    @overload
    def __getitem__(self, place: int | str) -> Recorded: ...
    @overload
    def __getitem__(self, place: slice) -> Recording: ...
    def __getitem__(self, place: int | str | slice) -> Recorded | Recording:
        """By number, or by name."""
        layers = self._last()
        if isinstance(place, slice):
            return Recording(layers[place])
        if isinstance(place, int):
            return layers[place]
        found = next((layer for layer in layers if layer.name == place), None)
        if found is None:
            raise KeyError(f"no attention is called '{place}'; there are {', '.join(layer.name for layer in layers)}")
        return found

    def __repr__(self) -> str:
        roles = Counter(layer.role for layer in self)
        return f"Recording({', '.join(f'{count} {role}' for role, count in roles.items()) or 'nothing'})"

    def page(self, names: Sequence[str] | None = None) -> Page:
        """The page that shows it: ``.write("page.html")`` makes a file of it; a notebook displays it by itself.

        Arguments:
            names: of the positions, for sequences that have as many; None: their numbers.

        Raises:
            RegardError: nothing was recorded, or nothing that has weights.
        """
        from regard.viewer.external import recording_page

        return recording_page(self, names)

    def _repr_html_(self) -> str:
        from regard.viewer.pictures import framed_or_why

        return framed_or_why(self.page) if self else repr(self)

    def _last(self) -> list[Recorded]:
        runs = self._runs()
        return runs[-1] if runs else []

    def _runs(self) -> list[list[Recorded]]:
        if self._known[0] != len(self._passes):
            self._known = len(self._passes), _runs_of(self._passes, self._order)
        return self._known[1]


@contextmanager
def record(module: Any, *, example: int = 0) -> Iterator[Recording]:
    """Records who attends to whom inside any module of PyTorch, while it runs and as it runs.

    It hears :func:`regard.attend`, ``F.scaled_dot_product_attention``, ``nn.MultiheadAttention``, PyTorch's transformer
    layers, softmax in a module that is called an attention, and so the models of `transformers`. Weights are computed
    beside the output, from the same query and key, without dropout. What comes out of the module is the same to the
    bit; of what was compiled, which runs as it was written meanwhile, it is the same but for rounding.

    Arguments:
        module: any, whose parts may be called by themselves too; of a model of the toolkit it is the network.
        example: which of each batch is kept, from 0. Padding is left out.

    Raises:
        ConfigError: the batch has fewer examples.

    >>> network = nn.TransformerEncoderLayer(8, nhead=2, batch_first=True).eval()
    >>> with record(network) as recording:
    ...     output = network(torch.randn(1, 5, 8))
    >>> recording[0].name, recording[0].weights
    ('self_attn', AttentionWeights(dense, values [1, 2, 5, 5] float32))
    """
    module = module if isinstance(module, nn.Module) else getattr(module, "network", module)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"module: a torch.nn.Module is recorded, got {type(module).__name__}")
    if example < 0:
        raise ConfigError(f"example: it is counted from 0, got {example}")
    listener, recording = Listener(module, example), Recording()
    recording._passes, recording._order = listener.passes, listener.order
    try:
        with listener.listening():
            yield recording
    finally:
        listener.forget()


def _runs_of(passes: Sequence[list[Recorded]], order: dict[str, int]) -> list[list[Recorded]]:
    """Passes joined to runs, each in the order of the network."""
    runs: list[dict[str, list[Recorded]]] = []
    for layers in passes:
        if not runs or not _goes_on(runs[-1], layers):
            runs.append({})
        for layer in layers:
            runs[-1].setdefault(layer.name, []).append(layer)

    def place(name: str) -> int:
        return order.get(name.partition("#")[0], order.get(name, len(order)))

    return [[_joined(run[name]) for name in sorted(run, key=place)] for run in runs]


def _goes_on(run: dict[str, list[Recorded]], layers: list[Recorded]) -> bool:
    """Whether a pass is of other parts of the network, or its self-attentions have all keys of the run and their own.

    What attends to others alone belongs to what attended to itself before, row by row.
    """
    again = [layer for layer in layers if layer.name in run]
    if any((layer.weights is None) != (run[layer.name][-1].weights is None) for layer in again):
        return False
    own = [layer for layer in again if layer.role == "attention" and layer.weights is not None]
    if not again or own:
        return all(_follows(run[layer.name][-1].weights, layer.weights) for layer in own)
    rows = {name: sum(_rows(part) for part in parts) for name, parts in run.items()}
    most = max((rows[name] for name, parts in run.items() if parts[0].role == "attention"), default=0)
    return all(rows[layer.name] + _rows(layer) <= most for layer in again)


def _rows(layer: Recorded) -> int:
    return 0 if layer.weights is None else layer.weights.values.shape[2]


def _follows(before: AttentionWeights | None, after: AttentionWeights | None) -> bool:
    if before is None or after is None or not (is_whole(before) and is_whole(after)):
        return False
    return int(after.key_lengths) == int(before.key_lengths) + after.values.shape[2]


def _joined(parts: list[Recorded]) -> Recorded:
    """The rows of several passes, one below the other."""
    last, weights = parts[-1], [part.weights for part in parts if part.weights is not None]
    if len(weights) < 2:
        return last
    keys = int(weights[-1].key_lengths)
    values = torch.cat([F.pad(one.values, (0, keys - one.values.shape[-1])) for one in weights], 2)  # [1, H, Q, K]
    return Recorded(last.name, last.role, whole_weights(values, weights[0].query_start))
