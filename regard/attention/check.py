"""Arguments in, a `Spec` out; whatever does not fit is refused here, by name."""

from __future__ import annotations

import math
from numbers import Real
from typing import cast, get_args

import torch
from torch import Tensor

from regard.attention.spec import (
    Additive,
    AttendOptions,
    Choices,
    CommonOptions,
    Normalizer,
    RelativeBias,
    Spec,
    shown,
    under_autocast,
    whole,
)
from regard.errors import ConfigError, ShapeError

NORMALIZERS: tuple[Normalizer, ...] = get_args(Normalizer)
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
NUMBER = (float, Real)  # which a float is too, but found out more slowly
FURTHEST = 1 << 60  # that a window reaches: no sequence is as long, and a position beside it is still an int64


def check(query: Tensor, key: Tensor, value: Tensor, options: AttendOptions) -> tuple[Tensor, Tensor, Tensor, Spec]:
    """What is computed with: query, key and value as autocast has them, and the frozen description of the call.

    Arguments:
        options: all of them.

    Raises:
        ShapeError: tensors that do not fit together.
        ConfigError: a choice that does not exist.
    """
    offsets, key_offsets, key_mask = options["offsets"], options["key_offsets"], options["key_mask"]
    bias, query_start = options["bias"], whole(options["query_start"])
    check_inputs(query, key, value, options["score"], offsets=offsets, key_offsets=key_offsets, key_mask=key_mask)
    query, key, value = under_autocast(query, key, value)
    check_shapes(query, key, value, ragged=offsets is not None)
    check_offsets(query, key, offsets, key_offsets)
    check_choices(query, options)
    relative = bias if isinstance(bias, RelativeBias) else None
    _check_mask(query, key, key_mask, ragged=offsets is not None)
    if relative is None:
        check_bias(query, key, bias, ragged=offsets is not None, relative="RelativeBias")
    else:
        check_table(query, relative.table, "RelativeBias table")
    left, right = window_sides(options["window"], options["causal"])
    if query_start is None or query_start < 0:
        raise ConfigError(
            f"query_start must be a whole number from 0, got {shown(options['query_start'])}; "
            "it is the first query's position"
        )
    spec = Spec(
        **choices_of(query, options),
        bias=bias if isinstance(bias, Tensor) else None,
        table=None if relative is None else relative.table,
        offsets=offsets,
        key_offsets=key_offsets,
        key_mask=key_mask,
        table_left=0 if relative is None else relative.reach[0],
        left=left,
        right=right,
        query_start=query_start,
    )
    return query, key, value, spec


def _no_tensor(name: str, given: object) -> ShapeError:
    return ShapeError(f"{name} must be a tensor, got {type(given).__name__}; make one with torch.as_tensor")


def check_inputs(query: Tensor, key: Tensor, value: Tensor, score: str | Additive, **others: Tensor | None) -> None:
    """Refuses what is no tensor where one is due; the others, by name, may be None."""
    if not type(query) is type(key) is type(value) is Tensor:  # soon said: this runs at every call
        for name, x in (("query", query), ("key", key), ("value", value)):
            if not isinstance(x, Tensor):
                raise _no_tensor(name, x)
            if x.is_nested:
                raise ShapeError(
                    f"{name} must be no nested tensor; of sequences of several lengths make one with offsets: "
                    "regard.Ragged.from_list(x.unbind())"
                )
    for name, given in others.items():
        if given is not None and not isinstance(given, Tensor):
            raise _no_tensor(name, given)
    if isinstance(score, Additive) and not isinstance(score.weight, Tensor):
        raise _no_tensor("Additive weight", score.weight)


def check_shapes(query: Tensor, key: Tensor, value: Tensor, *, ragged: bool) -> None:
    """Refuses query, key and value that do not fit together."""
    asking, offered, taken = query.shape, key.shape, value.shape
    if not len(asking) == len(offered) == len(taken) == (3 if ragged else 4):
        rule = "[T, H, D] with offsets" if ragged else "[B, H, N, D]; for ragged batches [T, H, D] pass offsets"
        raise ShapeError(f"query, key and value must have shape {rule}; {_got(query, key, value)}")
    if query.dtype not in DTYPES or not query.dtype == key.dtype == value.dtype:
        raise ShapeError(
            f"query, key and value must share one of float32, float64, bfloat16, float16; "
            f"got {query.dtype}, {key.dtype}, {value.dtype}; cast them with .to(dtype)"
        )
    if not query.device == key.device == value.device:
        raise ShapeError(
            f"query, key and value must be on one device; got {query.device}, {key.device}, {value.device}; "
            "use .to(device)"
        )
    if asking[-1] != offered[-1] or asking[-1] < 1:
        raise ShapeError(f"query and key must have the same last axis D, at least 1; {_got(query, key, value)}")
    if offered != taken and offered[:-1] != taken[:-1]:  # the first is sooner said: this runs at every call
        raise ShapeError(f"key and value must agree in all axes but the last; {_got(query, key, value)}")
    if not ragged and asking[0] != offered[0]:
        raise ShapeError(f"query and key must have the same number of sequences B; {_got(query, key, value)}")
    heads, key_heads = asking[1], offered[1]
    if key_heads < 1 or heads < 1 or heads % key_heads:
        raise ShapeError(f"the heads of key must divide those of query, got {key_heads} and {heads}")


def _got(query: Tensor, key: Tensor, value: Tensor) -> str:
    return f"got query {list(query.shape)}, key {list(key.shape)}, value {list(value.shape)}"


def check_offsets(query: Tensor, key: Tensor, offsets: Tensor | None, key_offsets: Tensor | None) -> None:
    """Refuses offsets of the wrong shape or type; what they hold is read later."""
    if offsets is None:
        if key_offsets is not None:
            raise ShapeError("key_offsets needs offsets: pass both, or neither for the dense layout")
        return
    for name, given in (("offsets", offsets), ("key_offsets", key_offsets)):
        if given is not None and (
            given.dim() != 1 or given.shape[0] < 1 or given.dtype not in (torch.int64, torch.int32)
        ):
            raise ShapeError(
                f"{name} must be int64 of shape [B+1], got {given.dtype} of shape {list(given.shape)}; "
                "see regard.Ragged, which makes them"
            )
        if given is not None and given.is_meta and not query.is_meta:
            raise ShapeError(
                f"{name} must hold numbers, got a tensor on meta, which has none; make it on {query.device}"
            )
    if key_offsets is not None and key_offsets.shape != offsets.shape:
        raise ShapeError(
            f"key_offsets must have as many entries as offsets, got {key_offsets.shape[0]} and {offsets.shape[0]}"
        )
    if key_offsets is None and query.shape[0] != key.shape[0]:
        raise ShapeError(
            f"query has {query.shape[0]} rows and key {key.shape[0]}; for cross-attention say with key_offsets "
            "where each sequence of keys starts"
        )


def check_choices(query: Tensor, options: CommonOptions) -> None:
    """Refuses a score, normalizer, scale or dropout that does not exist."""
    score, normalizer = options["score"], options["normalizer"]
    scale, dropout_p = options["scale"], options["dropout_p"]
    if isinstance(score, Additive):
        expected = (query.shape[1], query.shape[-1])
        if tuple(score.weight.shape) != expected:
            raise ShapeError(
                f"Additive weight must have shape [H, D] = {list(expected)}, got {list(score.weight.shape)}"
            )
        if score.weight.device != query.device:
            raise ShapeError(f"Additive weight must be on {query.device} like query, got {score.weight.device}")
        if scale is not None:
            raise ConfigError(f"scale must be None with an Additive score, which has no scale; got {scale}")
    elif score != "dot":
        raise ConfigError(f'score must be "dot" or regard.Additive(weight), got {score!r}')
    if normalizer not in NORMALIZERS:
        raise ConfigError(f"normalizer must be one of {', '.join(NORMALIZERS)}; got {normalizer!r}")
    if scale is not None and (not isinstance(scale, NUMBER) or not math.isfinite(scale)):
        raise ConfigError(f"scale must be a finite number or None for 1/sqrt(D), got {shown(scale)}")
    if not isinstance(dropout_p, NUMBER) or not 0 <= dropout_p < 1:
        raise ConfigError(f"dropout_p must be a probability from 0 to below 1, got {shown(dropout_p)}")


def choices_of(query: Tensor, options: CommonOptions) -> Choices:
    """What :func:`check_choices` let pass, as implementations read it; a call with dropout draws its seed here."""
    score, scale, dropout_p = options["score"], options["scale"], options["dropout_p"]
    return {
        "additive_weight": score.weight if isinstance(score, Additive) else None,
        "seed": torch.randint(1 << 62, (1,), device="cpu") if dropout_p > 0 else None,
        "normalizer": cast(Normalizer, options["normalizer"]),
        "scale": 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
        "dropout_p": float(dropout_p),
    }


def _check_mask(query: Tensor, key: Tensor, key_mask: Tensor | None, *, ragged: bool) -> None:
    if key_mask is None:
        return
    if ragged:
        raise ShapeError("key_mask goes with the dense layout; a ragged batch has no padding to hide, drop the rows")
    expected = [key.shape[0], key.shape[2]]
    if key_mask.dtype != torch.bool or list(key_mask.shape) != expected:
        raise ShapeError(
            f"key_mask must be bool of shape [B, K] = {expected}, True where a key may be attended; "
            f"got {key_mask.dtype} of shape {list(key_mask.shape)}"
        )
    if key_mask.device != query.device:
        raise ShapeError(f"key_mask must be on {query.device} like query, got {key_mask.device}")


def check_bias(query: Tensor, key: Tensor, bias: object, *, ragged: bool, relative: str) -> None:
    """Refuses a bias tensor that does not go with query and key; ``relative`` is what may be given in its place."""
    if bias is None:
        return
    if not isinstance(bias, Tensor) or not bias.is_floating_point() or bias.device != query.device:
        what = f"{bias.dtype} on {bias.device}" if isinstance(bias, Tensor) else type(bias).__name__
        raise ShapeError(f"bias must be floating-point on {query.device} like query, or a {relative}; got {what}")
    if ragged:
        raise ShapeError(f"a bias tensor goes with the dense layout; for ragged batches pass a regard.{relative}")
    full = [query.shape[0], query.shape[1], query.shape[2], key.shape[2]]
    shape = list(bias.shape)
    if len(shape) > 4 or any(n not in (1, m) for n, m in zip(shape[::-1], full[::-1], strict=False)):
        raise ShapeError(f"bias must be broadcastable to [B, H, Q, K] = {full}, got {shape}")


def check_table(query: Tensor, table: Tensor, name: str) -> None:
    """Refuses a table of a bias by distance that does not go with query; ``name`` is what it is called."""
    if not table.is_floating_point() or table.device != query.device:
        raise ShapeError(
            f"{name} must be floating-point on {query.device} like query; got {table.dtype} on {table.device}"
        )
    if table.shape[0] != query.shape[1]:
        raise ShapeError(f"{name} must have one row per head of query, {query.shape[1]}; got {table.shape[0]}")


def window_sides(window: object, causal: bool) -> tuple[int | None, int | None]:
    """How many positions to the left and right may be seen; None for no limit."""
    if window is None or (type(window) is int and 0 <= window <= FURTHEST):  # and soon said: this runs at every call
        return window, 0 if causal else window
    left, right = sides_of(window, 2, rule="or (left, right), each such a number or None")
    return left, 0 if causal else right


def sides_of(window: object, *counts: int, rule: str) -> list[int | None]:
    """What is given for each side of a window, as many as one of ``counts``; a number alone stands for two."""
    given = window if isinstance(window, tuple | list) else (window, window)
    sides = [whole(side) for side in given]
    if len(given) not in counts or any(
        x is not None and (side is None or side < 0) for x, side in zip(given, sides, strict=True)
    ):
        raise ConfigError(f"window must be None, a whole number from 0, {rule}; got {shown(window)}")
    return [None if side is None else min(side, FURTHEST) for side in sides]
