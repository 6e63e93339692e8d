"""The native kernels beside whatever else computes the same, and beside what the machine can do.

    python -m benchmarks native

Batch 1, 8 heads × 64, float32 unless said; the window is ±128, for additive scores ±64. Each part has a process of its
own, so that none pays for what another has done to the memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.attention import fastest, unfoldings
from benchmarks.data import sentence_lengths
from benchmarks.memory import peak
from benchmarks.timing import in_turns, multiply_limit, share_of_limit
from regard import Additive, Ragged, attend
from regard.attention.native import instruction_set

HEADS, DIM, REACH, LENGTH = 8, 64, 128, 16_384
MANY = 21  # rounds: in the first second of a process memory may be slow to come
Results = dict[str, Any]


def forward(call: Callable[[], Tensor | list[Tensor]]) -> Callable[[], None]:
    def timed() -> None:
        with torch.no_grad():
            call()

    return timed


def both(call: Callable[[], Tensor | list[Tensor]], *leaves: Tensor) -> Callable[[], None]:
    outputs = call()
    gradients = [torch.ones_like(x) for x in ([outputs] if isinstance(outputs, Tensor) else outputs)]

    def timed() -> None:
        torch.autograd.grad(call(), leaves, gradients)

    return timed


def inputs(length: int, heads: int = HEADS, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.randn(1, heads, length, DIM, dtype=dtype, requires_grad=True) for _ in range(3)]


def native(*given: Tensor, **options: Any) -> Callable[[], Tensor]:
    return lambda: attend(*given, implementation="native", **options)


def longformer(query: Tensor, key: Tensor, value: Tensor) -> Callable[[], Tensor]:
    """The sliding chunks of `transformers`, without its projections."""
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    config = LongformerConfig(
        hidden_size=HEADS * DIM, num_attention_heads=HEADS, attention_window=[2 * REACH], num_hidden_layers=1
    )
    layer = LongformerSelfAttention(config, 0)

    def call() -> Tensor:
        rows = [x.transpose(1, 2) for x in (query / math.sqrt(DIM), key, value)]  # [B, N, H, D]
        scores = layer._sliding_chunks_query_key_matmul(rows[0], rows[1], REACH)
        return layer._sliding_chunks_matmul_attn_probs_value(scores.softmax(-1), rows[2], REACH)

    return call


def flex(query: Tensor, key: Tensor, value: Tensor) -> Callable[[], Tensor]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def near(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q - k).abs() <= REACH

    mask = create_block_mask(near, None, None, LENGTH, LENGTH, device="cpu")
    compiled = torch.compile(flex_attention)
    still = [x.detach() for x in (query, key, value)]  # on the CPU it refuses to be trained
    return lambda: compiled(*still, block_mask=mask)


def truncated() -> Results:
    from local_attention import LocalAttention

    query, key, value = inputs(LENGTH)
    local = LocalAttention(REACH, look_forward=1, exact_windowsize=True, use_rotary_pos_emb=False)
    calls: dict[str, Callable[[], Tensor]] = {
        "native": native(query, key, value, window=REACH),
        "native, relu": native(query, key, value, window=REACH, normalizer="relu"),
        "native, sigmoid": native(query, key, value, window=REACH, normalizer="sigmoid"),
        **unfoldings(query, key, value, REACH),
        "local-attention": lambda: local(query[0], key[0], value[0]),
        "Longformer": longformer(query, key, value),
        "compiled FlexAttention": flex(query, key, value),
    }
    for name in calls.keys() - {"native", "native, relu", "native, sigmoid", "Longformer"}:
        torch.testing.assert_close(calls[name]().view_as(query), calls["native"](), msg=name)
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    product = {"matmul": lambda: a @ b}  # in turns with the others: what the machine multiplies changes by the minute
    useful = 4 * HEADS * DIM * sum(min(REACH, i) + min(REACH, LENGTH - 1 - i) + 1 for i in range(LENGTH))
    trained = {name: call for name, call in calls.items() if name != "compiled FlexAttention"}
    results: Results = {}
    for kind, seconds, operations in (
        ("forward", in_turns(product | {name: forward(call) for name, call in calls.items()}), useful),
        (
            "forward + backward",
            in_turns(product | {name: both(call, query, key, value) for name, call in trained.items()}),
            3.5 * useful,
        ),
    ):
        own, rate = seconds["native"], 2 * 2048**3 / seconds["matmul"]
        results[f"window, {kind}: matmul, GFLOP/s"] = rate / 1e9
        results[f"window, {kind}: native, ms"] = 1000 * own
        results[f"window, {kind}: useful operations, share of the matmul rate"] = operations / own / rate
        for name in list(seconds)[2:]:
            results[f"window, {kind}: {name} / native, time"] = seconds[name] / own
        results[f"window, {kind}: fastest unfolded SDPA / native, time"] = fastest(seconds, "unfolded SDPA") / own
    return results


def narrow() -> Results:
    """A window of ±64 over 4,096, and shares of what the processor multiplies at most."""
    results: Results = {"limit of multiply-adds, GFLOP/s": multiply_limit() / 1e9}
    for length, reach in ((4096, 64), (LENGTH, REACH)):
        given = inputs(length)
        calls = {"native": native(*given, window=reach)} | (unfoldings(*given, reach) if reach == 64 else {})
        useful = 4 * HEADS * DIM * sum(min(reach, i) + min(reach, length - 1 - i) + 1 for i in range(length))
        for kind, timed, operations in (
            ("forward", forward, useful),
            ("forward + backward", lambda call, given=given: both(call, *given), 3.5 * useful),
        ):
            cases = {name: timed(call) for name, call in calls.items()}
            title = f"window ±{reach}, N = {length:,}, {kind}"
            results[f"{title}: useful operations, share of the limit"] = share_of_limit(cases["native"], operations)
            if reach != 64:
                continue
            seconds = in_turns(cases, rounds=MANY)
            for name in list(seconds)[1:]:
                results[f"{title}: {name} / native, time"] = seconds[name] / seconds["native"]
            results[f"{title}: fastest unfolded SDPA / native, time"] = (
                fastest(seconds, "unfolded SDPA") / seconds["native"]
            )
    return results


def lengths() -> Results:
    calls = {str(n): native(*inputs(n), window=REACH) for n in (LENGTH, 4 * LENGTH)}
    seconds = in_turns({name: forward(call) for name, call in calls.items()}, rounds=MANY)
    return {"window, forward: N = 65,536 / N = 16,384, time": seconds["65536"] / seconds["16384"]}


def bfloat16() -> Results:
    """Half the time is there to be had only where the processor multiplies bfloat16, ``avx512_bf16``."""
    given = {"float32": inputs(LENGTH), "bfloat16": inputs(LENGTH, dtype=torch.bfloat16)}
    calls = {name: native(*x, window=REACH) for name, x in given.items()}
    results: Results = {}
    for kind, seconds in (
        ("forward", in_turns({name: forward(call) for name, call in calls.items()}, rounds=MANY)),
        ("forward + backward", in_turns({name: both(call, *given[name]) for name, call in calls.items()}, rounds=MANY)),
    ):
        label = f"window, {kind}, {instruction_set()}: float32 / bfloat16, time"
        results[label] = seconds["float32"] / seconds["bfloat16"]
    return results


def full() -> Results:
    results: Results = {}
    for heads in (HEADS, 1):
        given = inputs(4096, heads)
        calls = {"native": native(*given), "SDPA": lambda given=given: F.scaled_dot_product_attention(*given)}
        for kind, seconds in (
            ("forward", in_turns({name: forward(call) for name, call in calls.items()})),
            ("forward + backward", in_turns({name: both(call, *given) for name, call in calls.items()})),
        ):
            results[f"full, N = 4,096, {heads} heads, {kind}: SDPA / native, time"] = (
                seconds["SDPA"] / seconds["native"]
            )
    return results


def short() -> Results:
    """Few pairs of query and key: what `auto` chooses between, as `attend` gives them, with their promises; 8 heads."""
    results: Results = {}
    for length, causal in itertools.product((16, 32, 64, 128, 256), (False, True)):
        given = inputs(length)
        calls = {name: partial(attend, *given, causal=causal, implementation=name) for name in ("native", "sdpa")}
        for kind, seconds in (
            ("forward", in_turns({name: forward(call) for name, call in calls.items()})),
            ("forward + backward", in_turns({name: both(call, *given) for name, call in calls.items()})),
        ):
            title = f"{'causal' if causal else 'full'}, N = {length}, {kind}"
            results[f"{title}: implementation sdpa / native, time"] = seconds["sdpa"] / seconds["native"]
    return results


def chunked_additive(query: Tensor, key: Tensor, value: Tensor, weight: Tensor, reach: int, rows: int) -> Tensor:
    """Plain PyTorch, a block of queries at a time."""
    outputs = []
    for start in range(0, query.shape[2], rows):
        first, last = max(0, start - reach), min(key.shape[2], start + rows + reach)
        pairs = torch.tanh(query[:, :, start : start + rows, None] + key[:, :, None, first:last])
        scores = (pairs * weight[:, None, None]).sum(-1)
        distance = torch.arange(first, last) - torch.arange(start, start + rows)[:, None]
        scores = scores.masked_fill(distance.abs() > reach, -math.inf)
        outputs.append(scores.softmax(-1) @ value[:, :, first:last])
    return torch.cat(outputs, 2)


def unfolded_additive(query: Tensor, key: Tensor, value: Tensor, weight: Tensor, reach: int, rows: int) -> Tensor:
    """All blocks of queries at once: compiled, tanh and its sum become one loop that holds no pairs."""
    length, width = query.shape[2], rows + 2 * reach
    keys, values = (
        F.pad(x, (0, 0, reach, reach)).unfold(2, width, rows) for x in (key, value)
    )  # [B, H, blocks, D, width]
    queries = query.unflatten(2, (-1, rows))
    pairs = torch.tanh(queries[..., None] + keys[:, :, :, None])
    scores = (pairs * weight[:, None, None, :, None]).sum(-2)
    column, row = torch.arange(width), torch.arange(rows)[:, None]
    position = torch.arange(0, length, rows)[:, None, None] + column - reach
    seen = (column >= row) & (column - row <= 2 * reach) & (position >= 0) & (position < length)
    weights = scores.masked_fill(~seen, -math.inf).softmax(-1)
    return (weights @ values.transpose(-1, -2)).flatten(2, 3)


def additive() -> Results:
    length, reach = 4096, 64
    query, key, value = inputs(length)
    weight = torch.randn(HEADS, DIM, requires_grad=True)
    given = (query, key, value, weight, reach)
    calls: dict[str, Callable[[], Tensor]] = {
        "native": native(query, key, value, score=Additive(weight), window=reach),
        "dot": native(query, key, value, window=reach),
        "PyTorch, chunks of 16": lambda: chunked_additive(*given, 16),
        "PyTorch, chunks of 64": lambda: chunked_additive(*given, 64),
    }
    for way, function, rows in (("chunks", chunked_additive, 64), ("unfolded", unfolded_additive, 16)):
        compiled = torch.compile(function, dynamic=False)
        calls[f"PyTorch, compiled {way} of {rows}"] = lambda compiled=compiled, rows=rows: compiled(*given, rows)
    for name in list(calls)[2:]:
        torch.testing.assert_close(calls[name](), calls["native"](), atol=1e-5, rtol=1e-4, msg=name)
    results: Results = {}
    for kind, seconds in (
        ("forward", in_turns({name: forward(call) for name, call in calls.items()})),
        ("forward + backward", in_turns({n: both(call, *given[:4]) for n, call in calls.items() if n != "dot"})),
    ):
        for name in [name for name in seconds if name.startswith("PyTorch")]:
            results[f"additive, {kind}: {name} / native, time"] = seconds[name] / seconds["native"]
        results[f"additive, {kind}: fastest / native, time"] = fastest(seconds, "PyTorch") / seconds["native"]
        if "dot" in seconds:
            results["additive / dot, forward, time"] = seconds["native"] / seconds["dot"]
    return results


def padded(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Sentences ``[n, 3·H, D]`` as one batch ``[B, 3·H, N, D]``, and the mask that it needs, unless all are as long."""
    batch = nn.utils.rnn.pad_sequence(list(parts), batch_first=True).transpose(1, 2).contiguous().requires_grad_()
    seen = torch.arange(batch.shape[2]) < torch.tensor([len(part) for part in parts])[:, None]
    return batch, None if seen.all() else seen[:, None, None]


def ragged() -> Results:
    """Every way of giving sentences to SDPA that may be the fastest; batches and masks are made beforehand."""
    lengths = [max(1, round(n)) for n in sentence_lengths()[:256]]
    batch = Ragged.from_list([torch.randn(n, 3 * HEADS, DIM) for n in lengths])
    values = batch.values.requires_grad_()
    sentences = values.detach().split(lengths)
    alike = sorted(sentences, key=len)
    ways = {
        "one batch": [sentences],
        **{f"batches of {size} alike": [alike[i : i + size] for i in range(0, 256, size)] for size in (32, 16, 8)},
        "batches of one length": [list(group) for _, group in itertools.groupby(alike, len)],
        "one by one": [[sentence] for sentence in sentences],
    }

    def sdpa(given: list[tuple[Tensor, Tensor | None]]) -> Callable[[], list[Tensor]]:
        return lambda: [F.scaled_dot_product_attention(*x.chunk(3, 1), attn_mask=seen) for x, seen in given]

    def ours() -> list[Tensor]:
        return [attend(*values.chunk(3, 1), offsets=batch.offsets, implementation="native")]

    cases = {"native": (ours, [values])}
    for way, groups in ways.items():
        given = [padded(group) for group in groups]
        cases[f"SDPA, {way}"] = sdpa(given), [x for x, _ in given]
    results: Results = {}
    for kind, seconds in (
        ("forward", in_turns({name: forward(call) for name, (call, _) in cases.items()}, rounds=MANY)),
        ("forward + backward", in_turns({name: both(call, *x) for name, (call, x) in cases.items()}, rounds=MANY)),
    ):
        for name in list(seconds)[1:]:
            results[f"ragged, 256 sentences, {kind}: {name} / native, time"] = seconds[name] / seconds["native"]
        results[f"ragged, 256 sentences, {kind}: fastest SDPA / native, time"] = (
            fastest(seconds, "SDPA") / seconds["native"]
        )
    return results


def accuracy() -> Results:
    """Of one input the ratio is a matter of luck: it is the largest of half a million errors over another such."""

    def ratio() -> float:
        query, key, value = (x.detach() for x in inputs(1024))
        exact = attend(query.double(), key.double(), value.double(), implementation="reference")
        ours = (attend(query, key, value, implementation="native") - exact).abs().max()
        theirs = (F.scaled_dot_product_attention(query, key, value) - exact).abs().max()
        return float(ours / theirs)

    return {"largest error against float64, native / SDPA, median of 31 inputs": median(ratio() for _ in range(31))}


def memory() -> Results:
    """Peak of forward + backward beyond query, key, value, output and their gradients, as a share of these."""
    query, key, value = inputs(4 * LENGTH)
    gradient = torch.randn(1, HEADS, 4 * LENGTH, DIM)
    warm = inputs(512)
    both(native(*warm, window=REACH), *warm)()
    before, size = peak(), gradient.numel() * gradient.element_size()
    output = attend(query, key, value, window=REACH, implementation="native")
    torch.autograd.grad(output, (query, key, value), gradient)
    share = (peak() - before - 4 * size) / (8 * size)  # the output and three gradients are new
    return {"peak extra memory, N = 65,536, forward + backward, share": share}


def measured(part: Callable[[], Results]) -> Results:
    torch.manual_seed(0)
    return part()


def run() -> Results:
    parts = [truncated, narrow, bfloat16, lengths, full, short, additive, ragged, accuracy, memory]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return {name: value for results in pool.map(measured, parts) for name, value in results.items()}
