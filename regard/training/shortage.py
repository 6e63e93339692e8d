"""Memory that runs out while a network learns: how large the step was, and which options make it smaller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from regard.errors import RegardError, is_out_of_memory
from regard.ragged import counted
from regard.training.checkpoint import is_interrupted
from regard.training.config import Config


@contextmanager
def enough_memory(
    where: str, batches: Sequence[Sequence[int]], network: nn.Module, config: Config, output: Path
) -> Iterator[None]:
    """Within a step or an evaluation, memory that runs out is told of in one line.

    Arguments:
        where: which one.
        batches: the lengths of the sequences of each, in items; none of an evaluation.

    Raises:
        RegardError: there was no memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        lengths = max(batches, key=sum, default=())
        size = f", on a batch of {counted(len(lengths), 'sequence')}, {sum(lengths):,} items, " if lengths else ", "
        size += f"the longest of {max(lengths):,}, " if lengths else ""
        weights = sum(parameter.numel() for parameter in network.parameters())
        kept = "can be resumed where there is more memory" if is_interrupted(output) else "holds no checkpoint yet"
        raise RegardError(
            f"out of memory in {where}{size}with {weights:,} weights; {_smaller(lengths, config)}; {output} {kept}"
        ) from error


def _smaller(lengths: Sequence[int], config: Config) -> str:
    """What to do."""
    found = []
    if len(lengths) > 1:
        found.append(
            f"lower batch_tokens, now {config.batch_tokens}, and raise accumulate, now {config.accumulate}, as much"
        )
    if not config.is_windowed:
        found.append("set window")
    processes = f"start more processes, with {'' if config.shard else 'shard or '}sequence_parallel"
    found.append(processes if lengths else "leave the longest sequences out of dev")
    return ", or ".join(found)
