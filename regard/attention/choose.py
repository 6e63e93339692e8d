"""Which implementation does a call, and what is said of it: the same for sequences and for images."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from regard.attention.implementations import Implementation, S, W
from regard.attention.spec import has_no_numbers
from regard.errors import ConfigError, UnsupportedError

logger = logging.getLogger("regard")


def named(
    table: Mapping[str, Implementation[S, W]], implementation: str, query: Tensor, key: Tensor, value: Tensor, spec: S
) -> str:
    """The implementation that was asked for, which does the call or refuses it: it never falls back."""
    if implementation not in table:
        raise ConfigError(f"implementation must be one of auto, {', '.join(table)}; got {implementation!r}")
    if reasons := table[implementation].refusals(query, key, value, spec):
        raise UnsupportedError(
            f'implementation "{implementation}" cannot do this call: {"; ".join(reasons)}; use "auto"'
        )
    return implementation


def fastest(table: Mapping[str, Implementation[S, W]], query: Tensor, key: Tensor, value: Tensor, spec: S) -> str:
    """The last of a table that does the call."""
    for name in reversed(tuple(table)):
        if not table[name].refusals(query, key, value, spec):
            return name
    raise AssertionError("some implementation does every call")


def explained(
    table: Mapping[str, Implementation[S, W]],
    chosen: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    spec: S,
    why: str = "",
) -> str:
    """What was chosen, why it was preferred, where it was, and why not another."""
    refused = {name: table[name].refusals(query, key, value, spec) for name in reversed(tuple(table))}
    passed = [f"{name} cannot: {'; '.join(reasons)}" for name, reasons in refused.items() if reasons]
    passed = [why, *passed] if why else passed
    return f"{chosen}, for {'; and '.join(passed)}" if passed else chosen


def is_logged() -> bool:
    """Whether anybody reads what "auto" took."""
    return not torch.compiler.is_compiling() and logger.isEnabledFor(logging.DEBUG)


def weights(
    function: str, table: Mapping[str, Implementation[S, W]], query: Tensor, key: Tensor, spec: S, implementation: str
) -> W:
    """The weights of a call, by the implementation that was asked for or the fastest of those that hold them."""
    name = _holder(function, table, query, key, spec, implementation)
    held = table["blocked" if query.is_meta else name].weights  # the first looks at no number
    assert held is not None
    with torch.no_grad():
        return held(query, key, spec)


def untraced(function: str) -> str:
    """Why a function that gives weights is not traced, and what to do."""
    return (
        f"{function} reads numbers, which are not there while a network is traced: call it outside, compile without "
        'fullgraph, or name implementation="reference", which holds every pair'
    )


def _holder(
    function: str, table: Mapping[str, Implementation[S, W]], query: Tensor, key: Tensor, spec: S, implementation: str
) -> str:
    if torch.compiler.is_compiling() and implementation != "reference":
        raise UnsupportedError(untraced(function))
    if (has_no_numbers(query) and not query.is_meta) or (spec.offsets is not None and spec.offsets.is_meta):
        raise UnsupportedError(
            f"{function} must know where sequences begin, got tensors without numbers (FakeTensorMode, or "
            "offsets on meta); give it offsets on the CPU, and tensors on meta for their shapes"
        )
    holders = {name: row for name, row in table.items() if row.weights is not None}
    if implementation == "auto":
        return fastest(holders, query, key, key, spec)
    if implementation in table and implementation not in holders:
        raise UnsupportedError(
            f'implementation "{implementation}" cannot give weights: its kernels never hold them; use "blocked"'
        )
    return named(table, implementation, query, key, key, spec)
