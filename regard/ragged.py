"""Sequences of unequal length in one batch, without padding."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from regard.errors import ShapeError
from regard.part import Part

B = TypeVar("B")
P = ParamSpec("P")
R = TypeVar("R")


def on_device(batch: B, device: torch.device | str) -> B:
    """A dataclass of tensors, and of other batches, on a device; all else stays. The ``to`` of every batch.

    What the CPU knows of its offsets, fields of such a name, it goes on knowing.
    """
    parts = {field.name: getattr(batch, field.name) for field in fields(batch)}  # type: ignore[arg-type]
    return replace(batch, **{name: _moved(name, part, device) for name, part in parts.items()})  # type: ignore[type-var]


def _moved(name: str, part: object, device: torch.device | str) -> object:
    if name.endswith("offsets") and isinstance(part, Tensor):
        return moved_offsets(part, device)
    if isinstance(part, Tensor):
        return sent(part, device)
    return part.to(device) if hasattr(part, "to") else part


def sent(x: Tensor, device: torch.device | str) -> Tensor:
    """A tensor on a device. On its way from the CPU nobody waits for it: what is done there comes after it."""
    if x.is_cpu and torch.device(device).type == "cuda":  # pragma: no cover - needs a GPU
        x = x.pin_memory()
    return x.to(device, non_blocking=x.is_cpu)


def offsets_of(lengths: Sequence[int]) -> Tensor:
    """``[B+1]`` int64, where each of B sequences begins that are laid end to end, and the last ends.

    >>> offsets_of([3, 0, 1]).tolist()
    [0, 3, 3, 4]
    """
    offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64)
    torch.cumsum(torch.tensor(lengths, dtype=torch.int64), 0, out=offsets[1:])
    return offsets


def on_host(*given: Tensor) -> list[Tensor]:
    """Offsets on the CPU. A GPU is waited for once for all of them, and not again while they stay what they are.

    What it said is kept as an attribute of each, so that all layers share it, and it goes when they go.
    """
    if all(x.is_cpu for x in given):
        return list(given)
    if torch.compiler.is_compiling():
        return [x if x.is_meta else x.cpu() for x in given]
    found = [x if x.is_meta and known(x) is None else known(x) for x in given]
    unknown = [x for x, numbers in zip(given, found, strict=True) if numbers is None]
    answers = iter(torch.split(torch.cat(unknown).cpu(), [len(x) for x in unknown]) if unknown else ())
    return [_keep(x, next(answers)) if numbers is None else numbers for x, numbers in zip(given, found, strict=True)]


def known(offsets: Tensor) -> Tensor | None:
    """Offsets as the CPU has them, for which no GPU is waited for; None where it has none."""
    version, held = getattr(offsets, "_on_host", (None, offsets if offsets.is_cpu else None))
    return held if version in (None, _version(offsets)) else None


def moved_offsets(offsets: Tensor, device: torch.device | str) -> Tensor:
    """Offsets on a device, which will not be asked for what the CPU knows of them."""
    held, moved = known(offsets), sent(offsets, device)
    return moved if held is None or moved is offsets or moved.is_cpu else told(moved, held)


def beside(values: Tensor, offsets: Tensor) -> Tensor:
    """Offsets on the device of the values."""
    return moved_offsets(offsets, values.device)


def _keep(offsets: Tensor, held: Tensor) -> Tensor:
    if not offsets.is_inference():  # of those nobody is told that they were changed
        told(offsets, held)
    return held


def told(offsets: Tensor, held: Tensor) -> Tensor:
    """The same, of which the CPU takes from now on that it holds so much."""
    offsets._on_host = (_version(offsets), held)  # type: ignore[attr-defined]
    return offsets


def _version(x: Tensor) -> int:
    return 0 if x.is_inference() else x._version


def shape_of(tensor: Tensor) -> str:
    """How large a tensor is and of what, as one word.

    >>> shape_of(torch.zeros(3, 2))
    '[3, 2] float32'
    """
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def counted(number: int, thing: str) -> str:
    """So many of them, as words.

    >>> counted(1, "layer"), counted(2, "layer")
    ('1 layer', '2 layers')
    """
    return f"{number} {thing}{'' if number == 1 else 's'}"


@dataclass(frozen=True, eq=False)
class Ragged:
    """A batch of B sequences laid end to end: sequence b is rows ``offsets[b]:offsets[b+1]`` of ``values``.

    Arguments:
        values: ``[T, ...]``, T the sum of the lengths.
        offsets: ``[B+1]`` int64, from 0 to T, never falling; on the device of ``values``.
        grid: ``[B, 2]`` int64, on the CPU: rows and columns of each sequence whose vectors stand in a grid, row by row;
            None where they stand in a line.
        part: which rows of a whole batch these are, where other processes have the rest; see
            :func:`regard.parallel.split`.

    >>> batch = Ragged.from_list([torch.ones(3, 2), torch.zeros(1, 2)])
    >>> batch.values.shape, batch.offsets.tolist(), batch.lengths.tolist()
    (torch.Size([4, 2]), [0, 3, 4], [3, 1])
    """

    values: Tensor
    offsets: Tensor
    grid: Tensor | None = None
    part: Part | None = None

    def __repr__(self) -> str:
        """What it holds, and no tensor of it."""
        grids = "" if self.grid is None else " in grids"
        whole = "" if self.part is None else f" of {self.part.starts[-1]} rows"
        return f"Ragged({counted(len(self.offsets) - 1, 'sequence')}{grids}, values {shape_of(self.values)}{whole})"

    @classmethod
    def from_list(cls, sequences: Sequence[Tensor]) -> Ragged:
        """Joins tensors ``[N_b, ...]`` of any lengths; the other axes must agree."""
        if not sequences:
            raise ShapeError("Ragged.from_list needs at least one sequence, got none; an empty batch has no row shape")
        return cls.from_lengths(torch.cat(list(sequences)), [len(sequence) for sequence in sequences])

    @classmethod
    def from_lengths(cls, values: Tensor, lengths: Sequence[int]) -> Ragged:
        """Rows ``[T, ...]`` that are already laid end to end, with the length of each sequence."""
        if min(lengths, default=0) < 0:
            raise ShapeError(f"lengths must not be negative, got {min(lengths)}")
        offsets = offsets_of(lengths)
        if int(offsets[-1]) != len(values):
            raise ShapeError(f"lengths must sum to the {len(values)} rows of values, got a sum of {int(offsets[-1])}")
        return cls(values, beside(values, offsets))

    @classmethod
    def from_grids(cls, grids: Sequence[Tensor]) -> Ragged:
        """Joins images ``[rows_b, columns_b, ...]`` of any sizes, each row by row; the other axes must agree.

        >>> Ragged.from_grids([torch.zeros(2, 3, 1), torch.zeros(1, 1, 1)]).grid.tolist()
        [[2, 3], [1, 1]]
        """
        if not grids:
            raise ShapeError("Ragged.from_grids needs at least one image, got none; an empty batch has no row shape")
        batch = cls.from_list([grid.flatten(0, 1) for grid in grids])
        return cls(batch.values, batch.offsets, torch.tensor([grid.shape[:2] for grid in grids], dtype=torch.int64))

    @classmethod
    def from_padded(cls, padded: Tensor, mask: Tensor) -> Ragged:
        """``padded [B, N, ...]`` and ``mask [B, N]``, True where a real element stands."""
        if mask.dtype != torch.bool or mask.shape != padded.shape[:2]:
            raise ShapeError(
                f"mask must be bool of shape {tuple(padded.shape[:2])}, got {mask.dtype} of shape {tuple(mask.shape)}"
            )
        return cls.from_lengths(padded[mask], mask.sum(1).tolist())

    def to_padded(self, fill: float = 0.0) -> tuple[Tensor, Tensor]:
        """The batch as ``[B, N, ...]`` filled up to its longest sequence, and its mask ``[B, N]`` (True = real)."""
        shape, ids, rows = (len(self), self.longest), self.sequence_ids, len(self.values)
        mask = torch.arange(shape[1], device=self.values.device) < self.lengths[:, None]  # [B, N]
        place = torch.arange(rows, device=self.values.device) - self.offsets[ids] + ids * shape[1]
        padded = self.values.new_full((shape[0] * shape[1], *self.values.shape[1:]), fill)
        return padded.index_copy(0, place, self.values).view(*shape, *self.values.shape[1:]), mask

    def with_values(self, values: Tensor) -> Ragged:
        """The same sequences with other vectors ``[T, ...]``."""
        return Ragged(values, self.offsets, self.grid, self.part)

    def to(self, device: torch.device | str) -> Ragged:
        """The batch on a device, values ``[T, ...]`` and all that tells of them."""
        return Ragged(sent(self.values, device), moved_offsets(self.offsets, device), self.grid, self.part)

    def map_grids(self, function: Callable[[Tensor], Tensor]) -> Ragged:
        """The images that a function makes of images of one size together, ``[b, rows, columns, …]`` each time.

        Raises:
            ShapeError: the sequences stand in no grid.
        """
        if self.grid is None:
            raise ShapeError("images (Ragged.from_grids) are wanted, got sequences that stand in a line")
        images, sizes = self.unbind(), self.grid.tolist()
        made: list[Tensor] = [self.values[:0]] * len(images)
        for numbers in of_one_size(sizes):
            size = sizes[numbers[0]]
            if len(numbers) == len(images):
                return Ragged.from_grids(
                    function(self.values.view(len(images), *size, *self.values.shape[1:])).unbind()
                )
            batch = torch.stack([images[number].view(*size, *self.values.shape[1:]) for number in numbers])
            for number, one in zip(numbers, function(batch), strict=True):
                made[number] = one
        return Ragged.from_grids(made)

    def unbind(self) -> list[Tensor]:
        """The sequences one by one, each ``[N_b, ...]``, as views."""
        return list(torch.split(self.values, on_host(self.offsets)[0].diff().tolist()))

    @property
    def lengths(self) -> Tensor:
        """``[B]`` int64: how many rows each sequence has."""
        return self.offsets.diff()

    @property
    def longest(self) -> int:
        """The largest of the lengths; 0 where there is none."""
        return int(on_host(self.offsets)[0].diff().max()) if len(self) else 0

    @property
    def sequence_ids(self) -> Tensor:
        """``[T]`` int64: which sequence each row belongs to."""
        return torch.repeat_interleave(self.lengths, output_size=len(self.values))

    @property
    def positions(self) -> Tensor:
        """``[T]`` int64: each row's position in its own sequence, from 0; of a part, in the whole one."""
        starts = self.offsets[:-1] if self.part is None else self.offsets[:-1] - beside(self.values, self.part.skipped)
        return torch.arange(len(self.values), device=self.values.device) - starts[self.sequence_ids]

    def __len__(self) -> int:
        """The number of sequences, B."""
        return len(self.offsets) - 1


def of_one_size(sizes: Sequence[Sequence[int]]) -> list[list[int]]:
    """The numbers of the images of each size.

    >>> of_one_size([(2, 3), (1, 1), (2, 3)])
    [[0, 2], [1]]
    """
    found: dict[tuple[int, ...], list[int]] = {}
    for number, size in enumerate(sizes):
        found.setdefault(tuple(size), []).append(number)
    return list(found.values())


def takes_ragged(function: Callable[P, R]) -> Callable[P, R]:
    """Refuses, in one line, anything but a `Ragged` for arguments of that type, and arguments that there are not.

    Whoever comes from PyTorch's own modules brings padded tensors, masks of them, and a value beside the key.
    """
    parameters = inspect.signature(function).parameters
    may_be_none = {name: "None" in x.annotation for name, x in parameters.items() if str(x.annotation)[:6] == "Ragged"}

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, given in (*zip(parameters, args, strict=False), *kwargs.items()):
            fits = isinstance(given, Ragged) == (name in may_be_none) or (
                given is None and may_be_none.get(name, False)
            )
            if not fits or name not in parameters:
                raise _not_taken(function, args, name, given)
        if len(args) > len(parameters):
            raise _not_taken(function, args, "more", args[len(parameters)])
        return function(*args, **kwargs)

    return checked


def _not_taken(function: Callable[..., object], args: tuple[object, ...], name: str, given: object) -> ShapeError:
    names, where = _names_of(function, args)
    got = type(given).__name__
    if isinstance(given, Tensor):
        got = f"a nested tensor of {given.size(0)}" if given.is_nested else f"a tensor of shape {list(given.shape)}"
    make = (
        "make one with Ragged.from_padded(x, mask), mask [B, N] True where an element is real, or Ragged.from_list([…])"
    )
    if name in names and not isinstance(given, Ragged):
        return ShapeError(f"{where} takes {name} as a regard.Ragged, sequences without padding; got {got}; {make}")
    name = "more" if name in names else name
    return ShapeError(
        f"{where} takes {', '.join(names)} and no {name}, got {got}; values are made of the key, and a regard.Ragged "
        f"has no padding to mask: {make}"
    )


def takes_tensors(function: Callable[P, R]) -> Callable[P, R]:
    """The same for what works on vectors one by one: anything but a tensor, and arguments that there are not."""
    parameters = inspect.signature(function).parameters
    tensors = [name for name, x in parameters.items() if x.annotation == "Tensor"]

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        given = dict(zip(parameters, args, strict=False)) | kwargs
        wrong = next((name for name in tensors if name in given and not isinstance(given[name], Tensor)), None)
        if wrong is not None or len(args) > len(parameters) or not given.keys() <= parameters.keys():
            raise _no_tensor(function, args, given, wrong)
        return function(*args, **kwargs)

    return checked


def _no_tensor(
    function: Callable[..., object], args: tuple[object, ...], given: dict[str, object], wrong: str | None
) -> ShapeError:
    names, where = _names_of(function, args)
    make = "of a regard.Ragged take batch.values, of lists and arrays torch.as_tensor(x, dtype=torch.float32)"
    if wrong is not None:
        return ShapeError(f"{where} takes {wrong} as a tensor; got {type(given[wrong]).__name__}; {make}")
    name = next((name for name in given if name not in (*names, "self")), "more")
    return ShapeError(f"{where} takes {', '.join(names)} and no {name}; there is no padding to mask: {make}")


def _names_of(function: Callable[..., object], args: tuple[object, ...]) -> tuple[list[str], str]:
    """Those of the arguments, and what the function is called: a module by its class."""
    names, where = list(inspect.signature(function).parameters), function.__name__
    if names[0] == "self":
        names, where = names[1:], type(args[0]).__name__ + ("" if where == "forward" else f".{where}")
    return names, where
