"""The public face of the mechanism: check, choose, call."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from regard.attention import reference
from regard.attention.check import check
from regard.attention.scores import Additive, RelativeBias
from regard.attention.spec import Spec
from regard.errors import ConfigError

logger = logging.getLogger("regard")
Window = int | tuple[int | None, int | None] | None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    score: str | Additive = "dot",
    normalizer: str = "softmax",
    window: Window = None,
    causal: bool = False,
    offsets: Tensor | None = None,
    key_offsets: Tensor | None = None,
    query_start: int = 0,
    key_mask: Tensor | None = None,
    bias: Tensor | RelativeBias | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    implementation: str = "auto",
) -> Tensor:
    spec = check(
        query,
        key,
        value,
        score=score,
        normalizer=normalizer,
        window=window,
        causal=causal,
        offsets=offsets,
        key_offsets=key_offsets,
        query_start=query_start,
        key_mask=key_mask,
        bias=bias,
        scale=scale,
        dropout_p=dropout_p,
    )
    return reference.attend(query, key, value, spec)
