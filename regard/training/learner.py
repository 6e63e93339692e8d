"""The network while it learns: one optimizer step, on one device or over several processes, and which those are."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch import Tensor, nn

from regard.errors import ConfigError, RegardError, UnsupportedError
from regard.training.checkpoint import states
from regard.training.config import Config
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
        stop: whether any process was asked to stop.
    """

    loss: Tensor
    count: int
    norm: Tensor
    stop: bool


class Learner:
    """Weights, AdamW's moments and the running average of weights, moved by one step at a time."""

    def __init__(self, network: nn.Module, *, collate: Collate, loss: Loss, config: Config) -> None:
        self.accelerator, self.device = start_processes(config.device)
        self.processes = self.accelerator.num_processes
        self.over = sharers(config.sequence_parallel, self.processes)
        self.shares = self.processes // config.sequence_parallel  # into which a batch is cut
        self.share = self.accelerator.process_index // config.sequence_parallel  # of this process, and those beside it
        self.network = network.to(self.device)
        self.model: nn.Module = self.accelerator.prepare_model(self.network)  # wrapped for several processes
        self.parameters = list(self.network.parameters())
        self.optimizer = make_optimizer(self.network, config.weight_decay, config.layer_decay)
        self.average = Average(self.network, config.average) if config.average > 0 else None
        self.collate, self.loss = collate, loss
        self.seed, self.clip = config.seed, config.clip
        self.half = in_bfloat16(config.precision, self.device)

    def step(
        self, shares: Sequence[list[int]], *, spare: int, number: int, rate: float, asked_to_stop: Callable[[], bool]
    ) -> Step:
        """Step ``number`` on this process's micro-batches, which hold numbers of sequences; ``spare`` is any sequence.

        The gradient is that of the mean loss over the micro-batches of all processes. Randomness comes from the seed,
        the number of the step and the share of the batch alone, so that a resumed training draws what an unbroken one
        draws, and processes that share sequences see the same.
        """
        self._draw_from(_mixed(self.seed, number, self.share))
        total, count = torch.zeros((), device=self.device), 0
        for place, share in enumerate(shares):
            with self._sharing_gradients(last=place == len(shares) - 1):
                loss, labels = self._loss_of(share, spare)
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            count += labels
        total, count, stop = self._over_processes(total, count, asked_to_stop())
        norm = self._scale_gradients(self.processes / max(1, count))  # DistributedDataParallel takes the mean
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(number)
        return Step(total, count, norm, stop)

    def _draw_from(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes milliseconds and memory at every call
        if self.device.type != "cpu":  # pragma: no cover - needs a GPU
            torch.get_device_module(self.device).manual_seed(seed)

    def _loss_of(self, share: list[int], spare: int) -> tuple[Tensor, int]:
        batch = self.collate(share or [spare]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half), spread(self.network, self.over):
            loss, count = self.loss(self.model, batch)
        # With more processes than sequences, every process must still take part in the exchange of gradients.
        return (loss, count) if share else (loss * 0, 0)

    def _sharing_gradients(self, *, last: bool) -> AbstractContextManager[None]:
        return nullcontext() if last else self.accelerator.no_sync(self.model)

    def _over_processes(self, loss: Tensor, count: int, stop: bool) -> tuple[Tensor, int, bool]:
        if self.processes == 1:
            return loss, count, stop
        sums = torch.tensor([float(count), float(stop), 0.0], dtype=torch.float64, device=self.device)
        sums[2] = loss
        sums = self.accelerator.reduce(sums, reduction="sum")
        return sums[2], round(float(sums[0])), float(sums[1]) > 0

    @torch.no_grad()
    def _scale_gradients(self, scale: float) -> Tensor:
        """Gradients of the sum become those of the mean, clipped; one pass for both. The norm before clipping."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm: Tensor = torch.nn.utils.get_total_norm(gradients, foreach=True) * scale
        factor = norm.new_tensor(scale)
        if self.clip > 0:
            factor = factor * (self.clip / (norm + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, factor)
        return norm

    def averaged(self) -> AbstractContextManager[None]:
        """The network holds the weights that are evaluated and saved, for the while."""
        return nullcontext() if self.average is None else self.average.in_place()

    def agree(self, flag: bool) -> bool:
        """Whether any process says so; all wait for each other here."""
        said = torch.tensor(float(flag), device=self.device)
        return float(self.accelerator.reduce(said, reduction="sum")) > 0

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs, by name; on the device, not copied."""
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
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes back what :meth:`tensors` gave.

        Raises:
            RegardError: a tensor is missing or of another shape.
        """
        means = {} if self.average is None else self.average.means
        for prefix, own in (("network.", states(self.network)), ("average.", means)):
            for name, tensor in own.items():
                found = tensors.get(prefix + name)
                if found is None or found.shape != tensor.shape:
                    raise RegardError(f"the checkpoint has no '{prefix}{name}' of shape {list(tensor.shape)}")
                tensor.copy_(found)
        for name, parameter in self.network.named_parameters():
            prefix = f"adam.{name}."
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if prefix + key in tensors]
            self.optimizer.state[parameter] = {key: tensors[prefix + key].to(self.device) for key in keys}


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
    """Whether to compute in bfloat16: ``auto`` does where a GPU has it."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bfloat16"


def is_main_process() -> bool:
    """True in the one process that writes and prints; with a single process always."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return int(os.environ.get("RANK", "0")) == 0


def start_processes(name: str) -> tuple[Accelerator, torch.device]:
    """Joins the processes that ``torchrun`` or ``accelerate launch`` started, if any, and gives this one its device.

    Raises:
        UnsupportedError: the launcher asked for something other than one whole network per process.
    """
    from accelerate import Accelerator

    device = choose_device(name)
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    accelerator = Accelerator(cpu=launched and device.type == "cpu", mixed_precision="no", device_placement=False)
    kind = str(accelerator.distributed_type.value)
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise UnsupportedError(f"training runs in processes with a whole network each, not under {kind}")
    return accelerator, accelerator.device if accelerator.num_processes > 1 else device


def make_optimizer(network: nn.Module, weight_decay: float, layer_decay: float = 1.0) -> torch.optim.AdamW:
    """AdamW whose decay spares biases, gains and embeddings; the learning rate is set at every step.

    With ``layer_decay`` below 1 the rate falls from the head down: that of an encoder layer is so much of the next
    one's, and the front end comes last. Each group's share of the rate is its "scale" (Howard and Ruder 2018).
    """
    tables = {
        parameter
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for parameter in module.parameters(recurse=False)
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = weight_decay if parameter.dim() > 1 and parameter not in tables else 0.0
        groups.setdefault((decay, layer_decay ** _below(name, network)), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": own, "weight_decay": decay, "scale": scale} for (decay, scale), own in groups.items()],
        lr=0.0,
        fused=True,
    )


def _below(name: str, network: nn.Module) -> int:
    """How many steps down from the head a parameter is."""
    layers = len(getattr(getattr(network, "encoder", None), "layers", ()))
    if name.startswith("encoder.layers."):
        return layers - int(name.split(".")[2])
    return layers + 1 if name.startswith(("front_end.", "encoder.positions", "encoder.embedding_norm")) else 0


def one_cycle(progress: float, *, peak: float, warmup: float) -> float:
    """The learning rate when ``progress`` (0 to 1) of the training is done: up in a line, down in half a cosine.

    ``peak · progress / warmup`` during the warm-up, then ``peak · (1 + cos(π t)) / 2`` with t from 0 to 1.

    >>> [one_cycle(done, peak=1.0, warmup=0.2) for done in (0.0, 0.1, 0.2, 1.0)]
    [0.0, 0.5, 1.0, 0.0]
    """
    if progress < warmup:
        return peak * progress / warmup
    t = (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return peak * (1 + math.cos(math.pi * t)) / 2


class Average:
    """A running average of weights, which evaluates better than the weights themselves.

    ``mean ← d · mean + (1 − d) · weights`` after every step, with ``d = min(decay, (1 + n) / (10 + n))`` in step n.

    The ramp keeps the random weights of the start out of the mean.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.means = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        self._parameters = list(network.parameters())

    def update(self, steps: int) -> None:
        """Takes in the weights; so many steps were taken in before."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        weights = [parameter.detach() for parameter in self._parameters]
        torch._foreach_lerp_(list(self.means.values()), weights, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network holds the mean for the while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for parameter, mean in zip(self._parameters, self.means.values(), strict=True):
            parameter.data, mean.data = mean.data, parameter.data
