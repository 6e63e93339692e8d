"""Attention on a GPU beside the best that its users could call: FlexAttention, `varlen_attn`, PyTorch's own kernels.

    python -m benchmarks gpu

Three minutes on a card; with TRITON_INTERPRET=1 on a CPU a rehearsal in small sizes, of which no time is told.
bfloat16 unless said. Every case is compared with its peers first; then all take turns, and medians are told in
milliseconds, beside how many times as fast as the best peer ours is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import regard
from benchmarks.data import sentence_lengths

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
ROUNDS, CALLS = (15, 5) if ON_GPU else (1, 1)
WINDOWS = [  # name, length, heads, dim, window, causal; the five of the study, then what PyTorch's kernels do
    ("±128, 16,384, 8 × 64", 16_384, 8, 64, 128, False),
    ("±128, 16,384, 32 × 128", 16_384, 32, 128, 128, False),
    ("±128, 65,536, 8 × 64", 65_536, 8, 64, 128, False),
    ("±1,024, 32,768, 8 × 64", 32_768, 8, 64, 1024, False),
    ("±1,024, 32,768, 32 × 128", 32_768, 32, 128, 1024, False),
    ("causal, 8,192, 8 × 64", 8_192, 8, 64, None, True),
    ("causal, 8,192, 32 × 128", 8_192, 32, 128, None, True),
]
SHRINK = 1 if ON_GPU else 128  # of lengths and windows in the rehearsal
Call = Callable[[], Tensor]
Results = dict[str, Any]


def milliseconds(call: Callable[[], object]) -> float:
    """Of one of a few calls, on the card's own clock."""
    call()
    if not ON_GPU:
        return 0.0
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(CALLS):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / CALLS


def in_turns(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Medians over rounds, in each of which every call has its turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(milliseconds(call))
    return {name: median(values) for name, values in times.items()}


def in_graph(call: Callable[[], object]) -> Callable[[], object]:
    """The same kernels, launched by the card."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def both(call: Call, *leaves: Tensor) -> Callable[[], object]:
    grad = torch.randn_like(call())
    return lambda: torch.autograd.grad(call(), leaves, grad)


def still(call: Call) -> Callable[[], object]:
    def timed() -> Tensor:
        with torch.no_grad():
            return call()

    return timed


def inputs(*shape: int, dtype: torch.dtype = torch.bfloat16) -> list[Tensor]:
    return [torch.randn(shape, device=DEVICE, dtype=dtype, requires_grad=True) for _ in range(3)]


def flex(query: Tensor, key: Tensor, value: Tensor, reach: int | None) -> Call:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def near(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return k <= q if reach is None else (q - k).abs() <= reach

    length = query.shape[2]
    mask = create_block_mask(near, None, None, length, length, device=DEVICE)
    compiled = torch.compile(flex_attention)
    return lambda: compiled(query, key, value, block_mask=mask)


def varlen(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, window: tuple[int, int]) -> Call:
    """PyTorch's for packed sequences, ``[T, H, D]``."""
    from torch.nn.attention.varlen import varlen_attn

    places = offsets.int()
    return lambda: varlen_attn(query, key, value, places, places, longest, longest, window_size=window)


def of_sdpa(query: Tensor, key: Tensor, value: Tensor, backend: SDPBackend) -> Call:
    def call() -> Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    return call


def dense(name: str, length: int, heads: int, dim: int, reach: int | None, causal: bool) -> Results:
    length, reach = length // SHRINK, None if reach is None else max(1, reach // SHRINK)
    query, key, value = inputs(1, heads if ON_GPU else 1, length, dim)
    own = "auto" if ON_GPU else "triton"
    calls: dict[str, Call] = {
        "ours": lambda: regard.attend(query, key, value, window=reach, causal=causal, implementation=own)
    }
    if ON_GPU:
        offsets = torch.tensor([0, length], device=DEVICE)
        rows = [x.detach()[0].transpose(0, 1).contiguous().requires_grad_() for x in (query, key, value)]
        window = (-1, 0) if reach is None else (reach, reach)
        packed = varlen(*rows, offsets, length, window)
        calls["FlexAttention, compiled"] = flex(query, key, value, reach)
        calls["varlen_attn"] = lambda: packed().transpose(0, 1)[None]
        if causal:
            calls["SDPA, cuDNN"] = of_sdpa(query, key, value, SDPBackend.CUDNN_ATTENTION)
            calls["SDPA, flash"] = of_sdpa(query, key, value, SDPBackend.FLASH_ATTENTION)
    leaves = {peer: rows if peer == "varlen_attn" else (query, key, value) for peer in calls} if ON_GPU else {}
    return compared(name, calls, {peer: tuple(leaves.get(peer, (query, key, value))) for peer in calls})


def ragged() -> Results:
    lengths = sentence_lengths(4096 if ON_GPU else 3)
    offsets = torch.tensor([0, *lengths], device=DEVICE).cumsum(0)
    query, key, value = inputs(int(offsets[-1]), 8 if ON_GPU else 1, 64)
    own = "auto" if ON_GPU else "triton"
    calls: dict[str, Call] = {"ours": lambda: regard.attend(query, key, value, offsets=offsets, implementation=own)}
    leaves = {"ours": (query, key, value)}
    if ON_GPU:
        calls["varlen_attn"] = varlen(query, key, value, offsets, max(lengths), (-1, -1))
        leaves["varlen_attn"] = (query, key, value)
        batches = [regard.Ragged(x.detach(), offsets).to_padded()[0] for x in leaves["ours"]]  # [B, N, H, D]
        padded = [x.transpose(1, 2).requires_grad_() for x in batches]
        mask = (torch.arange(max(lengths), device=DEVICE) < offsets.diff()[:, None])[:, None, None]

        def theirs() -> Tensor:
            found = F.scaled_dot_product_attention(*padded, attn_mask=mask)
            return found.transpose(1, 2)[mask[:, 0, 0]]

        calls["SDPA, padded and masked"], leaves["SDPA, padded and masked"] = theirs, tuple(padded)
    return compared(f"ragged, {len(lengths)} sentences, 8 × 64", calls, leaves)


def additive() -> Results:
    length, reach = 16_384 // SHRINK, 64 if ON_GPU else 4
    query, key, value = inputs(1, 8 if ON_GPU else 1, length, 64, dtype=torch.float32)
    weight = torch.randn(query.shape[1], 64, device=DEVICE, requires_grad=True)

    def chunked(q: Tensor, k: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Windows unfolded in chunks, as its user would write it."""
        rows = F.pad(q, (0, 0, 0, 0)).unflatten(2, (-1, reach))  # [1, H, C, R, D]
        keys, values = (F.pad(x, (0, 0, reach, reach)).unfold(2, 3 * reach, reach).transpose(-1, -2) for x in (k, v))
        scores = (torch.tanh(rows[..., :, None, :] + keys[..., None, :, :]) * w[:, None, None, None]).sum(-1)
        here, there = torch.arange(reach, device=DEVICE)[:, None], torch.arange(3 * reach, device=DEVICE) - reach
        places = there + reach * torch.arange(rows.shape[2], device=DEVICE)[:, None, None]
        seen = ((there - here).abs() <= reach) & (places >= 0) & (places < q.shape[2])
        return (scores.masked_fill(~seen, -math.inf).softmax(-1) @ values).flatten(2, 3)

    own = "auto" if ON_GPU else "triton"
    score = regard.Additive(weight)
    calls: dict[str, Call] = {
        "ours": lambda: regard.attend(query, key, value, score=score, window=reach, implementation=own),
        "chunked": lambda: chunked(query, key, value, weight),
    }
    if ON_GPU:
        compiled = torch.compile(chunked)
        calls["chunked, compiled"] = lambda: compiled(query, key, value, weight)
        calls["the dot product"] = lambda: regard.attend(query, key, value, window=reach)
    leaves = dict.fromkeys(calls, (query, key, value))
    return compared(f"additive, ±{reach}, {length:,}, 8 × 64, float32", calls, leaves)


def normalizers() -> Results:
    query, key, value = inputs(1, 8 if ON_GPU else 1, 16_384 // SHRINK, 64)
    own, reach = ("auto", 128) if ON_GPU else ("triton", 4)
    results: Results = {}
    calls = {
        name: lambda name=name: regard.attend(query, key, value, window=reach, normalizer=name, implementation=own)
        for name in ("softmax", "relu", "sigmoid")
    }
    for kind, timed in (("forward", still), ("forward + backward", lambda call: both(call, query, key, value))):
        times = in_turns({name: timed(call) for name, call in calls.items()})
        for name in ("relu", "sigmoid"):
            results[f"{name} / softmax, ±{reach}, {kind}"] = times[name] / (times["softmax"] or 1)
    return results


def compared(case: str, calls: dict[str, Call], leaves: dict[str, tuple[Tensor, ...]]) -> Results:
    """Values first, then times: of ours, and of the best of the others over it."""
    expected = calls["ours"]().float()
    for name, call in calls.items():
        if name != "the dot product":
            torch.testing.assert_close(call().float(), expected, atol=0.03, rtol=0.03, msg=f"{case}: {name}")
    results: Results = {}
    kinds = {"forward": still, "forward + backward": None}
    for kind, timed in kinds.items():
        run = {name: both(call, *leaves[name]) if timed is None else timed(call) for name, call in calls.items()}
        times = in_turns(run)
        results |= {f"{case}, {kind}: {name}, ms": x for name, x in times.items()}
        peers = [x for name, x in times.items() if name not in ("ours", "the dot product")]
        if peers and times["ours"]:
            results[f"{case}, {kind}: best of the others / ours"] = min(peers) / times["ours"]
        if ON_GPU and timed is None:
            results[f"{case}, {kind}: ours in a CUDA graph, ms"] = median(
                milliseconds(in_graph(run["ours"])) for _ in range(3)
            )
    return results


def precision() -> Results:
    """The error of float32 beside that of PyTorch's own, both against float64."""
    query, key, value = inputs(1, 4 if ON_GPU else 1, 2048 // SHRINK, 64, dtype=torch.float32)
    exact = regard.attend(*(x.double() for x in (query, key, value)), causal=True)
    own = regard.attend(query, key, value, causal=True, implementation="triton")
    theirs = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    errors = [float((x.double() - exact).abs().max().detach()) for x in (own, theirs)]
    return {"float32, error of ours / of PyTorch's": errors[0] / errors[1]}


def run() -> Results:
    results: Results = {"device": torch.cuda.get_device_name() if ON_GPU else "none: a rehearsal"}
    for case in WINDOWS[: None if ON_GPU else 1]:
        results |= dense(*case)
        if ON_GPU:
            torch.cuda.empty_cache()
            torch.compiler.reset()
    return results | ragged() | additive() | normalizers() | precision()
