"""Where the work is done, and by how many processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from regard.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from accelerate import Accelerator


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
