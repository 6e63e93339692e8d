"""The options of a call: as they are given, and as every implementation reads them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from numbers import Integral
from typing import Literal, NamedTuple, TypedDict, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad

from regard.errors import ShapeError
from regard.ragged import on_host, shape_of

Normalizer = Literal["softmax", "relu", "sigmoid"]
Window = int | tuple[int | None, int | None] | None  # to each side, or (left, right); None for no limit
WHOLE = (int, torch.SymInt)  # the latter where a network is traced
Sequences = tuple[tuple[int, int, int, int], ...]  # query start, query stop, key start, key stop


def whole(number: object) -> int | None:
    """Any kind of whole number, NumPy's too, as Python's own; None where it is no number, or not whole."""
    if isinstance(number, bool):
        return None
    if isinstance(number, WHOLE):
        return number  # type: ignore[return-value]
    return int(number) if isinstance(number, Integral) else None


def shown(number: object) -> str:
    """What was given as a number or a pair, for messages; where a network is traced, one of NumPy is a tensor."""
    parts = number if isinstance(number, tuple | list) else (number,)
    if torch.compiler.is_compiling() and any(isinstance(part, np.ndarray | Tensor) for part in parts):
        return "NumPy's, of which torch.compile makes a tensor (take int(...) or float(...) of it outside)"
    return repr(number)


@dataclass(frozen=True, eq=False)
class Additive:
    """The score ``Σ_d weight[h, d] · tanh(query_d + key_d)`` of a query and a key already projected; not scaled.

    Arguments:
        weight: ``[H, D]``, may need a gradient.

    Bahdanau, Cho and Bengio 2014, "Neural Machine Translation by Jointly Learning to Align and Translate".
    """

    weight: Tensor

    def __repr__(self) -> str:
        return f"Additive(weight {shape_of(self.weight)})"


@dataclass(frozen=True, eq=False)
class RelativeBias:
    """A bias that depends on nothing but the head and how far the key stands from the query.

    ``bias[h, q, k] = table[h, clamp(position(k) − position(q), −left, right) + left]``, so that keys further off than
    the table reaches take its first or last entry.

    Arguments:
        table: ``[H, left+right+1]``, may need a gradient; −inf in it means "may not see".
        left: positions that the table reaches before the query; None puts the query in the middle.

    >>> import torch
    >>> RelativeBias(torch.zeros(4, 33)).left
    16
    """

    table: Tensor
    left: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "left", zero_of(self.table, self.left, "RelativeBias table", ("left", "right")))

    def __repr__(self) -> str:
        return f"RelativeBias(table {shape_of(self.table)}, left {self.left})"

    @property
    def reach(self) -> tuple[int, int]:
        """How many positions the table reaches before and after the query."""
        left = 0 if self.left is None else self.left
        return left, self.table.shape[-1] - 1 - left


def zero_of(table: object, given: object, name: str, sides: tuple[str, str]) -> int:
    """Which entry of a bias by distance is distance 0, the middle one unless given.

    Arguments:
        table: refused unless it is a tensor ``[H, before+after+1]``.
        name, sides: what messages call it, and what stands before and after distance 0.
    """
    before, after = sides
    if not isinstance(table, Tensor) or table.dim() != 2 or table.shape[1] < 1:
        found = list(table.shape) if isinstance(table, Tensor) else type(table).__name__
        raise ShapeError(f"{name} must be a tensor of shape [H, {before}+{after}+1], got {found}")
    width = table.shape[1]
    if given is None:
        if width % 2 == 0:
            raise ShapeError(
                f"{name}: an even width, {width}, has no middle; say with {before}= which entry is distance 0"
            )
        return width // 2
    place = whole(given)
    if place is None or not 0 <= place < width:
        raise ShapeError(
            f"{name}: {before} must be a whole number from 0 to {width - 1} for a table of {width}, got {shown(given)}"
        )
    return place


class AttendOptions(TypedDict, total=False):
    """What :func:`regard.attend` takes by keyword, where it also says what each means and defaults to."""

    score: str | Additive
    normalizer: str
    window: Window
    causal: bool
    offsets: Tensor | None
    key_offsets: Tensor | None
    query_start: int
    key_mask: Tensor | None
    bias: Tensor | RelativeBias | None
    scale: float | None
    dropout_p: float


class CommonOptions(TypedDict, total=False):
    """Those that attention over sequences and over images both take."""

    score: str | Additive
    normalizer: str
    offsets: Tensor | None
    scale: float | None
    dropout_p: float


class Choices(TypedDict):
    """What the spec of either says of scores and weights."""

    additive_weight: Tensor | None
    seed: Tensor | None
    normalizer: Normalizer
    scale: float
    dropout_p: float


class Spec(NamedTuple):
    """All of a call but query, key and value, checked and frozen: the one table of what a call consists of.

    In this order the fields are the arguments of the operator that a traced network calls: first what may need a
    gradient, then the other tensors, then the rest.

    Window, causal, the limits of a sequence and ``query_start`` come down to one run of keys per query row: the query
    at position p of its sequence may see positions ``p-left ... p+right``. ``key_mask``, and −inf in a bias or a table,
    hide more.
    """

    additive_weight: Tensor | None  # [H, D] of an additive score; None: the scaled dot product
    bias: Tensor | None  # broadcastable to [B, H, Q, K]
    table: Tensor | None  # [H, L] of a relative bias
    offsets: Tensor | None  # [B+1], on any device; None: the dense layout
    key_offsets: Tensor | None
    key_mask: Tensor | None  # [B, K], True = may be attended
    seed: Tensor | None  # [1] int64, on the CPU; None: no dropout
    table_left: int  # the table's entry of distance 0
    normalizer: Normalizer
    left: int | None
    right: int | None
    query_start: int
    scale: float
    dropout_p: float
    first_row: int = 0  # of a call that is a part of another: which row of it is this one's first, for dropout
    first_key: int = 0

    def learned(self) -> dict[str, Tensor]:
        """What may need a gradient beside query, key and value, by name, where it is given."""
        return {name: x for name, x in zip(LEARNED, self, strict=False) if isinstance(x, Tensor)}


_TYPES: dict[object, str] = {Tensor | None: "Tensor?", int | None: "int?", int: "SymInt", float: "float"}


def type_in_schema(hint: object) -> str:
    """The type of a field as PyTorch's schemas write it; a choice of words is a string."""
    return "str" if get_origin(hint) is Literal else _TYPES[hint]


SCHEMA = {name: type_in_schema(hint) for name, hint in get_type_hints(Spec).items()}
TENSORS = sum(kind == "Tensor?" for kind in SCHEMA.values())  # how many fields, the first ones, are tensors
LEARNED = Spec._fields[:3]


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums are held in: float32 for the half types."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def under_autocast(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As PyTorch casts them for its own attention: the floats in autocast's type where it is on, but for float64."""
    device = "cpu" if query.is_cpu else query.device.type  # the first is sooner said: this runs at every call
    if not _is_on(device):
        return query, key, value
    dtype = torch.get_autocast_dtype(device)

    def cast(x: Tensor) -> Tensor:
        return x.to(dtype) if x.is_floating_point() and x.dtype != torch.float64 else x

    return cast(query), cast(key), cast(value)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Within, sums are held in the type that was chosen for them."""
    return torch.autocast(device.type, enabled=False) if _is_on(device.type) else nullcontext()


def _is_on(device: str) -> bool:
    return device != "meta" and torch.is_autocast_enabled(device)  # PyTorch refuses to say it of meta


def transforms() -> tuple[str, ...]:
    """Transforms under way that must see inside a call, which only PyTorch's own operations let them."""
    stack = torch._C._functorch.get_interpreter_stack() if not torch.compiler.is_compiling() else None
    forward_mode = forward_ad._current_level >= 0
    if stack is None and not forward_mode:
        return ()
    in_vmap = any(level.key() == torch._C._functorch.TransformType.Vmap for level in stack or ())
    return (*(["forward-mode differentiation"] if forward_mode else []), *(["torch.func.vmap"] if in_vmap else []))


def has_no_numbers(x: Tensor) -> bool:
    """Only a shape and a type: a tensor on meta, or of PyTorch's FakeTensorMode."""
    return x.is_meta or isinstance(x, FakeTensor)


def is_wrapper(x: Tensor) -> bool:
    """Of a type that tells PyTorch what its operations mean, and may hold no numbers itself: one sharded, say."""
    if torch.compiler.is_compiling() or isinstance(x, FakeTensor):
        return False
    return type(x).__torch_dispatch__ is not Tensor.__torch_dispatch__


def sequences_of(query: Tensor, key: Tensor, spec: Spec) -> Sequences:
    """The sequences of a call, as their rows stand in query and key; one for all of a dense batch."""
    if spec.offsets is None:
        return ((0, query.shape[2], 0, key.shape[2]),)
    return read_sequences(spec.offsets, spec.key_offsets, len(query), len(key))


def read_sequences(offsets: Tensor, key_offsets: Tensor | None, rows: int, key_rows: int) -> Sequences:
    """``(query start, query stop, key start, key stop)`` of each sequence; refuses offsets that are no offsets.

    Those on a GPU are waited for, unless the CPU knows them; see :func:`regard.ragged.on_host`.
    """
    given = [offsets] if key_offsets is None else [offsets, key_offsets]
    query, *others = (tuple(x.tolist()) for x in on_host(*given))
    query = checked(query, rows, "offsets", "query")
    key = checked(others[0], key_rows, "key_offsets", "key") if others else query
    return tuple(zip(query, query[1:], key, key[1:], strict=False))


@lru_cache(maxsize=64)
def checked(offsets: tuple[int, ...], rows: int, name: str, rows_name: str) -> tuple[int, ...]:
    """The numbers of offsets, unless they are no offsets of so many rows."""
    if offsets[0] != 0 or offsets[-1] != rows:
        raise ShapeError(
            f"{name} must run from 0 to the {rows} rows of {rows_name}, got {offsets[0]} to {offsets[-1]}; "
            "sequence b is rows offsets[b]:offsets[b+1]"
        )
    for b, (start, stop) in enumerate(pairwise(offsets)):
        if stop < start:
            raise ShapeError(f"{name} must never fall, got {start} then {stop} at sequence {b}; sort or rebuild them")
    return offsets
