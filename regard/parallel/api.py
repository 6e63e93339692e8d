"""`attend` over several processes: check, agree, choose, call."""

from __future__ import annotations

import inspect
from itertools import accumulate
from typing import Any, Unpack

import torch
from torch import Tensor

from regard.attention.api import DEFAULTS
from regard.attention.api import attend as attend_alone
from regard.attention.check import check
from regard.attention.choose import named
from regard.attention.implementations import IMPLEMENTATIONS
from regard.attention.signature import complete
from regard.attention.spec import AttendOptions, Sequences, Spec, read_sequences
from regard.errors import RegardError, UnsupportedError
from regard.parallel import ring, windowed
from regard.parallel.group import REFUSED, Group, Handle
from regard.parallel.layout import Layout
from regard.parallel.windowed import Work
from regard.ragged import on_host

WHERE = "parallel.attend"


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    group: Handle = None,
    implementation: str = "auto",
    **options: Unpack[AttendOptions],
) -> Tensor:
    """:func:`regard.attend` of a batch whose rows are split over processes: each gives its own, and gets their output.

    The rows of the first process come first, then those of the second, and so on; processes may have different numbers
    of rows, or none. Values, gradients and what dropout drops are those of one process with all rows. A window that
    ends on both sides lets neighbours exchange the keys and values within it, ``O(window · D)``; without one, keys
    and values go round from process to process, ``O(N · D)``, and none holds more than two parts besides its own.
    All processes must call this, and run backward, in the same order.

    Arguments:
        query: this process's rows, ``[B, H, N, D]`` or ``[T, H, D]``.
        key: ``[B, Hk, M, D]`` or ``[S, Hk, D]``; value likewise.
        group: of processes, from ``torch.distributed.new_group``; None for all.
        implementation: "auto", "native" or "blocked", of what each process computes by itself.
        options: those of :func:`regard.attend`. ``offsets`` and ``key_offsets`` are of the whole batch, the same in
            all processes; ``key_mask`` is ``[B, M]``, of this process's keys; ``query_start`` is that of the whole.

    Returns:
        ``[B, H, N, Dv]`` or ``[T, H, Dv]``.

    Raises:
        ConfigError, ShapeError: as :func:`regard.attend` does; there are no processes, or they differ in an option.
        UnsupportedError: a bias tensor, which has an entry for each pair.
        RegardError: a process of the group has ended.

    Liu, Zaharia and Abbeel 2023, "Ring Attention with Blockwise Transformers for Near-Infinite Context".
    """
    options, run = complete("attend", options, DEFAULTS), _attend
    if torch.compiler.is_compiling():  # others are waited for
        run = torch.compiler.disable(_attend)  # type: ignore[no-untyped-call]
    return run(Group.of(group), query, key, value, implementation, options)


def _attend(
    group: Group, query: Tensor, key: Tensor, value: Tensor, implementation: str, options: AttendOptions
) -> Tensor:
    if group.size == 1:
        return attend_alone(query, key, value, implementation=implementation, **options)
    query, key, value, work = _agreed(group, query, key, value, options, implementation)
    learned = work.spec.learned()
    output: Tensor = _Rows.apply(work, query, key, value, *learned.values())  # type: ignore[no-untyped-call]
    return output


_taken = list(inspect.signature(attend_alone).parameters.values())
_taken.insert(3, inspect.Parameter("group", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Handle"))
attend.__signature__ = inspect.Signature(_taken, return_annotation="Tensor")  # type: ignore[attr-defined]


def _agreed(
    group: Group, query: Tensor, key: Tensor, value: Tensor, options: AttendOptions, implementation: str
) -> tuple[Tensor, Tensor, Tensor, Work]:
    """The call, checked, and known to be the same in all processes."""
    refused: RegardError | None = None
    said, numbers = dict.fromkeys(_NAMES, None), [0, 0, 0]
    device = query.device if isinstance(query, Tensor) else torch.device("cpu")
    try:
        query, key, value, spec = check(query, key, value, options)
        chosen = _chosen(query, key, value, spec, implementation)
        said, axis = _said(query, key, value, spec), 2 if spec.offsets is None else 0
        numbers = [query.shape[axis], key.shape[axis], 0 if spec.seed is None else int(spec.seed)]
    except RegardError as error:
        refused = error
    try:
        told = group.agree(WHERE, {REFUSED: None if refused is None else str(refused), **said}, numbers, device)
    except RegardError as error:
        raise (error if refused is None else refused) from None
    if refused is not None:
        raise refused
    rows, keys = (tuple(accumulate((line[place] for line in told), initial=0)) for place in (0, 1))
    sequences: Sequences = ((0, rows[-1], 0, keys[-1]),)
    if spec.offsets is not None:
        sequences = read_sequences(spec.offsets, spec.key_offsets, rows[-1], keys[-1])
    if spec.seed is not None:
        spec = spec._replace(seed=torch.tensor([told[0][2]], device="cpu"))
    layout = Layout(rows, keys, sequences, spec.left, spec.right, spec.query_start)
    batch = 1 if axis == 0 else len(query)
    return query, key, value, Work(group, layout, spec, chosen, batch, query.shape[1], query.shape[-1])


def _said(query: Tensor, key: Tensor, value: Tensor, spec: Spec) -> dict[str, Any]:
    """What must be the same in all processes."""
    ragged = spec.offsets is not None
    learned = any(x.requires_grad for x in (query, key, value, *spec.learned().values()))
    found = {
        "dtype": query.dtype,
        "layout": "ragged" if ragged else f"dense, {query.shape[0]} sequences",
        "heads": (query.shape[1], key.shape[1]),
        "dim": (query.shape[-1], value.shape[-1]),
        "score": "dot" if spec.additive_weight is None else "additive",
        "bias": None if spec.table is None else ("table", tuple(spec.table.shape), spec.table_left),
        "offsets": None if spec.offsets is None else on_host(spec.offsets)[0].tolist(),
        "key_offsets": None if spec.key_offsets is None else on_host(spec.key_offsets)[0].tolist(),
        "key_mask": spec.key_mask is not None,
        "normalizer": spec.normalizer,
        "window": (spec.left, spec.right),
        "query_start": spec.query_start,
        "scale": spec.scale,
        "dropout_p": spec.dropout_p,
        "whether there is a gradient": learned and torch.is_grad_enabled(),
    }
    assert tuple(found) == _NAMES
    return found


_NAMES = (
    *("dtype", "layout", "heads", "dim", "score", "bias", "offsets", "key_offsets", "key_mask", "normalizer"),
    *("window", "query_start", "scale", "dropout_p", "whether there is a gradient"),
)


def _chosen(query: Tensor, key: Tensor, value: Tensor, spec: Spec, implementation: str) -> str:
    """Of those that have gradients of their own, which are the only ones that can be computed part by part."""
    able = [name for name, row in IMPLEMENTATIONS.items() if row.gradients is not None]
    if spec.bias is not None:
        raise UnsupportedError(
            f"{WHERE}: bias: a tensor has an entry for each pair of a sequence that no process holds; give a "
            "regard.RelativeBias, or a key_mask"
        )
    if implementation not in ("auto", *able):
        raise UnsupportedError(
            f"{WHERE}: implementation must be one of auto, {', '.join(able)}; got {implementation!r}"
        )
    if implementation != "auto":
        return named(IMPLEMENTATIONS, implementation, query, key, value, spec)
    refused = {name: IMPLEMENTATIONS[name].refusals(query, key, value, spec) for name in able}
    fit = [name for name in able if not refused[name]]
    if not fit:
        raise UnsupportedError(f"{WHERE}: {'; '.join(refused['blocked'])}")
    return fit[-1]


class _Rows(torch.autograd.Function):
    """This process's rows, with a gradient for its query, key and value, and its share of that of what is learned."""

    @staticmethod
    def forward(ctx, work, query, key, value, *learned):  # type: ignore[no-untyped-def]
        way = windowed if work.layout.left is not None and work.layout.right is not None else ring
        output, ctx.held, ctx.saved = way.forward(work, query, key, value)
        ctx.way, ctx.work = way, work
        ctx.save_for_backward(query, output, key, value, *learned)
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        query, output, *_ = ctx.saved_tensors
        found = ctx.way.backward(ctx.work, grad, query, ctx.held, output, ctx.saved)
        names = ("query", "key", "value", *ctx.work.spec.learned())
        return None, *(found[name] for name in names)
