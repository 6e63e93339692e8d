"""The network while it learns: one optimizer step, on one device or over several processes, and which those are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch import Tensor, nn

from regard.errors import ConfigError, RegardError, UnsupportedError
from regard.machine import processes, rank
from regard.ragged import sent
from regard.tensors import Tensors
from regard.training.ahead import Ahead
from regard.training.average import Average
from regard.training.checkpoint import states
from regard.training.config import Config
from regard.training.optimizer import make_optimizer
from regard.training.shards import fill, own, part_of, sharded, vacate
from regard.training.spread import sharers, spread

if TYPE_CHECKING:
    from accelerate import Accelerator


class Batch(Protocol):
    """What ``collate`` makes of sequence numbers."""

    def to(self, device: torch.device) -> Self:
        """The batch on the device of the network."""


Collate = Callable[[list[int]], Batch]
Loss = Callable[[nn.Module, Any], tuple[Tensor, int]]


@dataclass(frozen=True)
class Step:
    """What one step of all processes came to; tensors, so that a GPU need not be waited for.

    Arguments:
        loss: summed over the batch.
        count: what the loss is a sum over (labels, for a labeler).
        norm: of the gradient, before clipping.
        asked: how many processes were asked to stop, and how many to write a checkpoint.
    """

    loss: Tensor
    count: int | Tensor
    norm: Tensor
    asked: Tensor

    def orders(self, *, wait: bool) -> tuple[bool, bool]:
        """Whether to stop, and whether to write a checkpoint; of a GPU that is not waited for, neither yet."""
        if not wait and not self.asked.is_cpu:  # pragma: no cover - needs several GPUs
            return False, False
        stop, save = self.asked.tolist()
        return stop > 0, save > 0


class Learner:
    """Weights, AdamW's moments and the running average of weights, moved by one step at a time.

    ``network`` is what learns: the one that is given, or a copy of it in shards, and then the given one is empty but
    while it is evaluated and saved.
    """

    def __init__(self, network: nn.Module, *, collate: Collate, loss: Loss, config: Config) -> None:
        self.accelerator, self.device = start_processes(config.device)
        self.processes = self.accelerator.num_processes
        self.over = sharers(config.sequence_parallel, self.processes)
        self.shares = self.processes // config.sequence_parallel  # into which a batch is cut
        self.share = self.accelerator.process_index // config.sequence_parallel  # of this process, and those beside it
        self.given, self.in_shards = network, config.shard
        if self.in_shards:
            self.network = self.model = sharded(network, self.accelerator, self.device)
            vacate(network, self.network, self.device)
        else:
            self.network = network.to(self.device)
            self.model = self.accelerator.prepare_model(self.network)  # wrapped for several processes
        self.parameters = list(self.network.parameters())
        self.optimizer = make_optimizer(self.network, config.weight_decay, config.layer_decay)
        self.average = Average(self.network, config.average) if config.average > 0 else None
        self.collate, self.loss, self.ahead = collate, loss, Ahead(self.device)
        self.seed, self.clip = config.seed, config.clip
        self.half = in_bfloat16(config.precision, self.device)

    def step(
        self,
        shares: Sequence[list[int]],
        *,
        spare: int,
        number: int,
        rate: float,
        asked: Callable[[], tuple[bool, bool]],
    ) -> Step:
        """Step ``number`` on this process's micro-batches, which hold numbers of sequences; ``spare`` is any sequence.

        The gradient is that of the mean loss over the micro-batches of all processes. Randomness comes from the seed,
        the number of the step and the share of the batch alone, so that a resumed training draws what an unbroken one
        draws, and processes that share sequences see the same. A GPU is not waited for.

        Arguments:
            asked: whether this process is to stop, and to write a checkpoint; called when its batches are done.
        """
        self._draw_from(_mixed(self.seed, number, self.share))
        total, count = torch.zeros((), device=self.device), 0
        for place, share in enumerate(shares):
            with self._sharing_gradients(at_once=self.in_shards or place == len(shares) - 1):
                loss, labels = self._loss_of(share, spare)
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            count += labels
        total, counted, orders = self._over_processes(total, count, asked())
        norm = self._scale_gradients(counted)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(number)
        return Step(total, counted, norm, orders)

    def _draw_from(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes milliseconds and memory at every call
        if self.device.type != "cpu":  # pragma: no cover - needs a GPU
            torch.get_device_module(self.device).manual_seed(seed)

    def _loss_of(self, share: list[int], spare: int) -> tuple[Tensor, int]:
        batch = self.ahead.send(self.collate(share or [spare]))
        both = (self.network, self.given)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half), spread(both, self.over):
            loss, count = self.loss(self.model, batch)
        # With more processes than sequences, every process must still take part in the exchange of gradients.
        return (loss, count) if share else (loss * 0, 0)

    def _sharing_gradients(self, *, at_once: bool) -> AbstractContextManager[None]:
        return nullcontext() if at_once else self.accelerator.no_sync(self.model)

    def _over_processes(
        self, loss: Tensor, count: int, asked: tuple[bool, bool]
    ) -> tuple[Tensor, int | Tensor, Tensor]:
        """Sums over all processes."""
        own_sums = torch.tensor([*asked, count, 0], dtype=torch.float64)
        if self.processes == 1:
            return loss, count, own_sums[:2]
        sums = sent(own_sums, self.device)
        sums[3] = loss
        sums = self.accelerator.reduce(sums, reduction="sum")
        return sums[3], sums[2], sums[:2]

    @torch.no_grad()
    def _scale_gradients(self, count: int | Tensor) -> Tensor:
        """Gradients of the sum become those of the mean, clipped; one pass for both. The norm before clipping.

        They are means over processes so far.
        """
        scale = self.processes / (count.clamp(min=1).float() if isinstance(count, Tensor) else max(1, count))
        gradients = [own(parameter.grad) for parameter in self.parameters if parameter.grad is not None]
        norm: Tensor = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if self.in_shards:
            norm = self.accelerator.reduce(norm.square(), reduction="sum").sqrt()
        norm = norm * scale
        factor = torch.ones_like(norm) * scale
        if self.clip > 0:
            factor = factor * (self.clip / (norm + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, factor)
        return norm

    def train(self) -> None:
        """The network drops and draws as it does in training."""
        for network in (self.network, self.given):
            network.train()

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network with the weights that are evaluated and saved, for the while, whole; all processes enter."""
        with nullcontext() if self.average is None else self.average.in_place():
            self.give_back()
            yield self.given
        if self.in_shards:
            vacate(self.given, self.network, self.device)

    def give_back(self) -> None:
        """The network that was given holds the weights, whole; every process must call this."""
        if self.in_shards:
            fill(self.given, self.network)

    def agree(self, flag: bool) -> bool:
        """Whether any process says so; all wait for each other here."""
        said = torch.tensor(float(flag), device=self.device)
        return float(self.accelerator.reduce(said, reduction="sum")) > 0

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs, by name; on the device, not copied, perhaps in shards."""
        means = {} if self.average is None else self.average.means
        moments = {
            f"adam.{name}.{key}": value
            for name, parameter in self.network.named_parameters()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        return {
            **{f"network.{name}": tensor for name, tensor in states(self.network).items()},
            **{f"average.{name}": tensor for name, tensor in means.items()},
            **moments,
        }

    @torch.no_grad()
    def restore(self, tensors: Tensors) -> None:
        """Takes back what :meth:`tensors` gave, one after the other.

        Raises:
            RegardError: a tensor is missing or of another shape.
        """
        means = {} if self.average is None else self.average.means
        for prefix, some in (("network.", states(self.network)), ("average.", means)):
            for name, tensor in some.items():
                found = tensors.get(prefix + name)
                if found is None or found.shape != tensor.shape:
                    raise RegardError(f"the checkpoint has no '{prefix}{name}' of shape {list(tensor.shape)}")
                own(tensor).copy_(own(part_of(found, tensor)))
        for name, parameter in self.network.named_parameters():
            prefix = f"adam.{name}."
            moments = ((key, tensors.get(prefix + key)) for key in ("step", "exp_avg", "exp_avg_sq"))
            self.optimizer.state[parameter] = {
                key: part_of(moment, parameter) if moment.dim() else moment.to(self.device)
                for key, moment in moments
                if moment is not None
            }


def _mixed(*numbers: int) -> int:
    """One seed of several numbers, unlike that of any neighbours."""
    text = " ".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big")


def choose_device(name: str) -> torch.device:
    """``auto`` is a CUDA GPU where there is one, else the CPU; otherwise PyTorch's name of a device.

    Raises:
        ConfigError: no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # CUDA says both
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"device: auto, cpu, cuda, ... that this machine has, got '{name}' ({reason})") from None
    return device


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: ``auto`` does where a GPU has it.

    Raises:
        ConfigError: it is asked for, and the GPU has none.
    """
    if device.type != "cuda":
        return precision == "bfloat16"
    has_it = torch.cuda.is_bf16_supported(including_emulation=False)  # pragma: no cover - needs a GPU
    if precision == "bfloat16" and not has_it:  # pragma: no cover
        raise ConfigError("precision: a GPU with bfloat16, Ampere or newer, got an older one; choose auto or float32")
    return precision != "float32" and has_it  # pragma: no cover


def is_main_process() -> bool:
    """True in the one process that writes and prints; with a single process always."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return rank() == 0


def start_processes(name: str) -> tuple[Accelerator, torch.device]:
    """Joins the processes that ``torchrun`` or ``accelerate launch`` started, if any, and gives this one its device.

    Raises:
        UnsupportedError: the launcher asked for something other than processes.
    """
    from accelerate import Accelerator

    device = choose_device(name)
    launched = processes() > 1
    accelerator = Accelerator(cpu=launched and device.type == "cpu", mixed_precision="no", device_placement=False)
    kind = str(accelerator.distributed_type.value)
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise UnsupportedError(
            f"training spreads a network by itself, not under {kind}; start it with torchrun, and give shard"
        )
    return accelerator, accelerator.device if accelerator.num_processes > 1 else device
