"""What is listened to while a network runs: a row for each function, or module, that makes weights.

A row is called with the arguments of what it stands for, once that has run, and computes the weights of one example
again, without dropout: from query and key, or as the library itself gives them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention import AttentionWeights, GridWeights, attend, attend2d, attention_weights, attention_weights2d
from regard.attention.api import Window
from regard.attention.check import window_sides
from regard.nn import Pooling
from regard.ragged import Ragged
from regard.viewer.heard import Heard, Place, beside, is_bool, lets_see, one_of, trimmed, whole_weights

Row = Callable[..., Heard | None]


def _attend(
    place: Place,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    implementation: str,
    dropout_p: float,
    offsets: Tensor | None,
    key_offsets: Tensor | None,
    key_mask: Tensor | None,
    bias: Any,
    **options: Any,
) -> Heard:
    """:func:`regard.attend`."""
    crosses = place.crosses or key_offsets is not None
    if offsets is not None:
        (q0, q1), (k0, k1) = (_bounds(place, x) for x in (offsets, offsets if key_offsets is None else key_offsets))
        query, key = (x.transpose(0, 1)[None] for x in (query[q0:q1], key[k0:k1]))  # [1, H, Q, D]
    else:
        query, key = place.of(query), place.of(key)
        key_mask = None if key_mask is None else place.of(key_mask)
        bias = place.of(bias) if isinstance(bias, Tensor) and bias.dim() == 4 else bias
    weights = _found(place, query, key, key_mask=key_mask, bias=bias, **options)
    return Heard(weights if key_mask is None else trimmed(weights, key_mask[0], crosses=crosses), crosses)


def _found(
    place: Place, query: Tensor, key: Tensor, *, window: Window = None, causal: bool = False, **options: Any
) -> AttentionWeights:
    """Of one example ``[1, H, Q, D]``: a band where the window is shorter than the sequence, else of every pair."""
    (left, right), K = window_sides(window, causal), key.shape[2]
    width = None if left is None or right is None else 1 + left + right
    place.check_room(query.shape[1], query.shape[2], K if width is None else min(width, K))
    found = attention_weights(query, key, window=window, causal=causal, **options)
    if width is None or width < K:
        return found
    dense = found.dense()
    assert isinstance(dense, Tensor)
    return whole_weights(dense, found.query_start)


def _attend2d(
    place: Place,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    implementation: str,
    dropout_p: float,
    size: Any,
    offsets: Tensor | None,
    bias: Any,
    **options: Any,
) -> Heard:
    """:func:`regard.attend2d`, whose windows over rows and columns become weights of every pair."""
    if offsets is not None:
        start, stop = _bounds(place, offsets)
        query, key = (x[start:stop].transpose(0, 1)[None] for x in (query, key))  # [1, H, N, D]
        size = tuple(int(side) for side in size[place.example])
    else:
        query, key = place.of(query), place.of(key)
        bias = place.of(bias) if isinstance(bias, Tensor) and bias.dim() == 4 else bias
    place.check_room(query.shape[1], query.shape[2], query.shape[2])
    found: GridWeights = attention_weights2d(query, key, size=size, bias=bias, **options)
    dense = found.dense()
    assert isinstance(dense, Tensor)
    return Heard(whole_weights(dense), False)


def _scaled_dot_product(
    place: Place,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Heard:
    """PyTorch's own kernels, called by whomever."""
    given = [query, key] if attn_mask is None else [query, key, attn_mask if attn_mask.dim() > 2 else attn_mask[None]]
    query, key, *masks = (one_of(place, x) for x in beside(given))  # [1, H, Q, D]
    Q, K = query.shape[2], key.shape[2]
    mask = masks[0] if masks else None
    if mask is not None:
        bias = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf) if is_bool(mask) else mask
    weights = _found(place, query, key, causal=is_causal, bias=None if mask is None else bias, scale=scale)
    if Q < K and not is_causal and not place.crosses:
        weights = _at(weights, K - Q)  # what came before is in a cache
    if mask is not None:
        weights = trimmed(weights, lets_see(mask).flatten(0, -2).any(0).expand(K), crosses=place.crosses)
    return Heard(weights, place.crosses)


def _softmax(place: Place, scores: Tensor, dim: int | None = None, *rest: Any, **options: Any) -> Heard | None:
    """Attention as it is written by hand: ``softmax(scores)`` over keys, in a module that is called an attention."""
    if not place.attends or scores.dim() not in (3, 4) or dim not in (-1, scores.dim() - 1) or scores.is_nested:
        return None
    heads = place.heads
    if scores.dim() == 3:  # many heads lie beside the batch
        scores = scores.reshape(-1, 1 if heads is None or len(scores) % heads else heads, *scores.shape[1:])
    elif heads not in (None, scores.shape[1]):
        return None  # other axes than [B, H, Q, K], as of windows
    scores = place.of(scores)
    _, H, Q, K = scores.shape
    place.check_room(H, Q, K)
    weights = whole_weights(scores.float().softmax(-1), K - Q if Q < K and not place.crosses else 0)
    return Heard(trimmed(weights, lets_see(scores)[0].flatten(0, 1).any(0), crosses=place.crosses), place.crosses)


def _multi_head_forward(place: Place, *args: Any, **options: Any) -> Heard:
    """``F.multi_head_attention_forward``, called by itself."""
    bound = dict(zip(_NAMES_OF_FORWARD, args, strict=False)) | options
    query, key = bound["query"], bound["key"]  # [Q, B, E], [K, B, E]
    heads, crosses = bound["num_heads"], _differ(query, key)
    for name in ("query", "key", "value"):
        if bound[name].dim() == 3:
            bound[name] = place.of(bound[name].transpose(0, 1)).transpose(0, 1)
    bound |= _masks(place, bound.get("key_padding_mask"), bound.get("attn_mask"), heads)
    bound |= {"training": False, "need_weights": True, "average_attn_weights": False}
    place.check_room(heads, len(query), len(key))
    return _given(F.multi_head_attention_forward(**bound)[1], bound["key_padding_mask"], crosses)


_NAMES_OF_FORWARD = (
    *("query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v"),
    *("add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias", "training", "key_padding_mask", "need_weights"),
    *("attn_mask", "use_separate_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "static_k"),
    *("static_v", "average_attn_weights", "is_causal"),
)


def _multi_head(
    place: Place,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Heard:
    """``nn.MultiheadAttention``, which gives them itself."""
    attention: Any = place.module
    crosses, first = _differ(query, key), attention.batch_first
    if query.is_nested:
        query, key, value = (x.unbind()[place.example][None] for x in (query, key, value))  # [1, Q, E]
    elif query.dim() == 3:
        query, key, value = (
            place.of(x) if first else place.of(x.transpose(0, 1)).transpose(0, 1) for x in (query, key, value)
        )
    masks = _masks(place, key_padding_mask, attn_mask, attention.num_heads)
    axis = 1 if query.dim() == 3 and first else 0
    place.check_room(attention.num_heads, query.shape[axis], key.shape[axis])
    alone = copy.copy(attention)  # of the same parameters
    alone.training = False
    found = nn.MultiheadAttention.forward(
        alone, query, key, value, need_weights=True, average_attn_weights=False, is_causal=is_causal, **masks
    )
    return _given(found[1], masks["key_padding_mask"], crosses)


def _encoder_layer(
    place: Place,
    src: Tensor,
    src_mask: Tensor | None = None,
    src_key_padding_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Heard:
    """``nn.TransformerEncoderLayer`` where it runs as one kernel, and its attention is not called."""
    layer: Any = place.module
    if src.is_nested:
        src, place = src.unbind()[place.example][None], replace(place, example=0)
    x = layer.norm1(src) if layer.norm_first else src
    heard = _multi_head(
        replace(place, module=layer.self_attn), x, x, x, key_padding_mask=src_key_padding_mask, attn_mask=src_mask
    )
    return Heard(heard.weights, False, layer.self_attn)


def _pooling(place: Place, batch: Ragged) -> Heard:
    """Any other than by a query, which attends."""
    pooling: Any = place.module
    start, stop = _bounds(place, batch.offsets)
    one = Ragged.from_list([batch.values[start:stop]])
    return Heard(whole_weights(pooling.attention_weights(one)[0][None, :, None]))  # [1, H, 1, N]


FUNCTIONS: dict[Any, Row] = {
    attend: _attend,
    attend2d: _attend2d,
    F.scaled_dot_product_attention: _scaled_dot_product,
    torch.ops.aten.scaled_dot_product_attention.default: _scaled_dot_product,
    F.multi_head_attention_forward: _multi_head_forward,
    F.softmax: _softmax,
    torch.softmax: _softmax,
    Tensor.softmax: _softmax,
}
MODULES: dict[type[nn.Module], Row] = {  # asked where none of the functions was heard inside
    nn.MultiheadAttention: _multi_head,
    nn.TransformerEncoderLayer: _encoder_layer,
    Pooling: _pooling,
}
# Their own ways to be fast are taken only while no function is listened to: they are heard as modules.
QUICK = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
SILENT = (
    "what it computes with gives no weights and cannot be listened to, as flash and flex attention; open a model of "
    'transformers with attn_implementation="sdpa" or "eager", write another with F.scaled_dot_product_attention or '
    "regard.attend"
)


def row_of(module: nn.Module) -> Row | None:
    """That of a module, or of one whose forward it has."""
    return next((row for kind, row in MODULES.items() if runs_as(module, kind)), None)


def runs_as(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it is of one of the kinds, and none that was changed."""
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds)


def _at(weights: AttentionWeights, query_start: int) -> AttentionWeights:
    return AttentionWeights(weights.values, weights.first, weights.key_lengths, query_start)


def _bounds(place: Place, offsets: Tensor) -> tuple[int, int]:
    """Where the example of a ragged batch begins and ends."""
    counts = offsets.tolist()
    place.check_example(len(counts) - 1)
    return counts[place.example], counts[place.example + 1]


def _differ(query: Tensor, key: Tensor) -> bool:
    """Whether one attends to other vectors than itself."""
    return query is not key and (query.is_nested or query.shape != key.shape or not torch.equal(query, key))


def _masks(place: Place, padding: Tensor | None, mask: Tensor | None, heads: int) -> dict[str, Tensor | None]:
    """``key_padding_mask [B, K]`` and ``attn_mask [Q, K]`` or ``[B·H, Q, K]``, those of the example."""
    if padding is not None and padding.dim() == 2:
        padding = place.of(padding)
    if mask is not None and mask.dim() == 3 and len(mask) > heads:
        mask = place.of(mask.reshape(-1, heads, *mask.shape[1:]))[0]
    return {"key_padding_mask": padding, "attn_mask": mask}


def _given(weights: Tensor | None, padding: Tensor | None, crosses: bool) -> Heard:
    """``[1, H, Q, K]`` or ``[H, Q, K]`` as the library gives them; padding is True where it is not to be seen."""
    assert weights is not None
    found = whole_weights(weights if weights.dim() == 4 else weights[None])
    if padding is None:
        return Heard(found, crosses)
    seen = (~padding if is_bool(padding) else lets_see(padding)).flatten()
    seen = F.pad(seen, (0, found.values.shape[-1] - len(seen)), value=True)  # what bias_k and add_zero_attn add
    return Heard(trimmed(found, seen, crosses=crosses), crosses)
