"""Layers that PyTorch compiles while a network learns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from regard.training.shards import units_of

MOST = 64  # versions of a layer: other windows, training or not; beyond them PyTorch compiles no more


@contextmanager
def compiled(network: nn.Module, *, wanted: bool) -> Iterator[None]:
    """Within, the layers of encoder and decoder are compiled, at their first step, once for batches of all shapes."""
    if not wanted:
        yield
        return
    import torch._dynamo as dynamo

    layers = units_of(network)
    for layer in layers:
        layer.compile(dynamic=True)
    try:
        with dynamo.config.patch(recompile_limit=MOST), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")  # read as it traces
            yield
    finally:
        for layer in layers:
            vars(layer).pop("_compiled_call_impl", None)  # there is no other way back


def uncompiled(*, wanted: bool) -> AbstractContextManager[None]:
    """Within, nothing is compiled: an evaluation is over sooner."""
    if not wanted:
        return nullcontext()
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")  # which holds from here on
    return stance
