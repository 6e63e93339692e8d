"""The processes that share a sequence: what they tell each other, and what is said when one is gone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from regard.errors import ConfigError, RegardError, ShapeError

if TYPE_CHECKING:
    Handle = dist.ProcessGroup | None  # None: all processes
else:
    Handle = Any  # a PyTorch that was built without processes has no such thing


@dataclass
class Traffic:
    """What this process sent to others, but for the numbers by which a call is agreed on.

    Arguments:
        bytes: of tensors, forward and backward.
        messages: how many tensors.
    """

    bytes: int = 0
    messages: int = 0


_counted: list[Traffic] = []


@contextmanager
def traffic() -> Iterator[Traffic]:
    """Counts what this process sends within.

    >>> with traffic() as sent:
    ...     pass
    >>> sent.bytes
    0
    """
    counts = Traffic()
    _counted.append(counts)
    try:
        yield counts
    finally:
        _counted.remove(counts)


@dataclass(frozen=True)
class Group:
    """Processes in their order, and which of them this one is."""

    handle: Handle
    rank: int
    size: int

    @classmethod
    def of(cls, handle: Handle) -> Group:
        """As PyTorch knows them.

        Raises:
            ConfigError: there are no processes, or this one is none of the group.
        """
        if not dist.is_available() or not dist.is_initialized():
            raise ConfigError(
                "group: the processes of torch.distributed are wanted, got none; start them with torchrun and call "
                "torch.distributed.init_process_group()"
            )
        rank = dist.get_rank(handle)
        if rank < 0:
            raise ConfigError(f"group: process {dist.get_rank()} is none of this group; give it its own")
        return cls(handle, rank, dist.get_world_size(handle))

    def tell(self, numbers: Sequence[int], device: torch.device) -> list[list[int]]:
        """The same count of numbers from every process, in their order."""
        own = torch.tensor(numbers, dtype=torch.int64, device=device)
        found = [torch.empty_like(own) for _ in range(self.size)]
        with self.reaching():
            dist.all_gather(found, own, group=self.handle)
        told: list[list[int]] = torch.stack(found).tolist()
        return told

    def tell_all(self, anything: object) -> list[Any]:
        """What every process says, whatever it is; slower."""
        found: list[Any] = [None] * self.size
        with self.reaching():
            dist.all_gather_object(found, anything, group=self.handle)
        return found

    def agree(self, where: str, said: Mapping[str, object], numbers: Sequence[int], device: torch.device) -> Told:
        """Sees to it that all processes said the same, and gives the numbers of each, which may differ.

        Raises:
            ShapeError: something differs; the same is raised in all of them.
        """
        words = {name: str(x) for name, x in said.items()}
        told = self.tell([*(zlib.crc32(word.encode()) for word in words.values()), *numbers], device)
        for place, name in enumerate(words):
            if len({line[place] for line in told}) > 1:
                raise self._differ(where, name, self.tell_all(words[name]))
        return [line[len(words) :] for line in told]

    def _differ(self, where: str, name: str, words: list[str]) -> ShapeError:
        other = next(rank for rank, word in enumerate(words) if word != words[0])
        if name == REFUSED:
            why = next(word for word in words if word != str(None))
            return ShapeError(f"{where}: process {words.index(why)} of {self.size} refuses its part: {why}")
        return ShapeError(
            f"{where}: {name} must be the same in all {self.size} processes, got {_short(words[0])} in process 0 and "
            f"{_short(words[other])} in process {other}"
        )

    def exchange(self, sent: Sequence[tuple[int, Tensor]], received: Sequence[tuple[int, Tensor]]) -> Exchange:
        """Begins to send tensors, each to a process, and to fill others, each from one; contiguous all of them.

        Two processes name what goes between them in the same order.
        """
        for counts in _counted:
            counts.bytes += sum(x.nbytes for _, x in sent)
            counts.messages += len(sent)
        operations = [
            dist.P2POp(how, x, group=self.handle, group_peer=peer, tag=tag)
            for how, some in ((dist.isend, sent), (dist.irecv, received))
            for tag, (peer, x) in _tagged(some)
        ]
        with self.reaching():
            return Exchange(self, dist.batch_isend_irecv(operations) if operations else [], [x for _, x in sent])

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Within, a process that cannot be reached is told of in one line."""
        try:
            yield
        except RuntimeError as error:
            if not is_of_another(error):
                raise
            reason = str(error).splitlines()[0]
            raise RegardError(
                f"process {self.rank} of {self.size} cannot reach another any more: it has ended, or waits for "
                f"something else; what it printed says why ({reason})"
            ) from error


def is_of_another(error: BaseException | None) -> bool:
    """Whether what a process met is the end, or the silence, of another."""
    return dist.is_available() and (isinstance(error, dist.DistError) or "/gloo/" in str(error))


REFUSED = "refused"
Told = list[list[int]]


@dataclass(frozen=True)
class Exchange:
    """What is on its way; ``sent`` is held until it is there."""

    group: Group
    works: list[dist.Work]
    sent: Sequence[Tensor]

    def wait(self) -> None:
        """Until all is there; once more is no wait."""
        with self.group.reaching():
            while self.works:  # gloo waits for ever where one is asked again
                self.works.pop().wait()


def _tagged(some: Sequence[tuple[int, Tensor]]) -> Iterator[tuple[int, tuple[int, Tensor]]]:
    """With a number for each of those that go between the same two."""
    counts: dict[int, int] = {}
    for peer, x in some:
        counts[peer] = counts.get(peer, -1) + 1
        yield counts[peer], (peer, x)


def _short(word: str) -> str:
    return word if len(word) <= 60 else f"{word[:40]} … {word[-16:]}"
