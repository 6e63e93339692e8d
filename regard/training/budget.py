"""How large the batches are that suit a device."""

from __future__ import annotations

import torch

from regard.training.config import AUTO, Config

SHARE = 0.5  # of a GPU's memory that layers may fill; the rest is for tables, head, and what PyTorch keeps
MOST = 8000  # items; larger batches make a GPU no faster, and fewer steps learn less
WEIGHT = 20  # bytes of each: itself, its gradient, AdamW's two moments, the average


def batch_tokens_of(config: Config, parameters: int, device: torch.device) -> int:
    """Items in a batch, where ``auto`` asks for them: the most that fit a GPU; on a CPU those of the task.

    Arguments:
        parameters: of the encoder.
    """
    if config.batch_tokens != AUTO:
        return config.batch_tokens
    if device.type != "cuda":
        usual: int = type(config).model_fields["batch_tokens"].default
        return usual
    memory = torch.cuda.get_device_properties(device).total_memory  # pragma: no cover - needs a GPU
    return largest_batch(config, parameters, memory)  # pragma: no cover


def largest_batch(config: Config, parameters: int, memory: int) -> int:
    """The most items that fit ``SHARE`` of so many bytes, from 1 to ``MOST``.

    A layer keeps ``11·E + 3·F`` numbers of each for backward, with inner width F, when it drops some.
    """
    inner = 4 * config.dim if config.feed_forward_dim is None else config.feed_forward_dim
    item = 4 * max(1, config.depth) * (11 * config.dim + 3 * inner)  # bytes
    return min(MOST, max(1, int((SHARE * memory - WEIGHT * parameters) / item)))
