"""What each of four processes runs: `worker.py RANK PROCESSES FOLDER`.

What it finds goes into FOLDER/RANK.json, by name of the check: None, or how it failed. At last the second is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1]))

from attention.calls import generator
from attention.tolerances import assert_near

import regard
from parallel.cases import check, own_part, splits
from regard import parallel
from regard.nn import MultiHeadAttention, Pooling, build_encoder
from regard.nn.build import POSITIONS

CALLS = 40
Found = dict[str, str | None]


def checks(rank: int) -> Found:
    """Everything that goes well."""
    pair = [dist.new_group([first, first + 1]) for first in (0, 2)][rank // 2]
    found: Found = {}
    for processes, group in ((2, pair), (4, None)):
        for number, split in enumerate(splits(CALLS, processes)):
            found[f"call {number} of {processes}: {split}"] = failure(lambda s=split, g=group: check(s, g))
    for name, function in CHECKS.items():
        found[name] = failure(lambda f=function: f(rank))
    return found


def failure(function: Callable[[], object]) -> str | None:
    try:
        function()
    except Exception:
        return traceback.format_exc()
    return None


def refusal(function: Callable[[], object]) -> str:
    try:
        function()
    except regard.RegardError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was refused"


def parts(*shape: int, rows: int = 0, grad: bool = False) -> list[torch.Tensor]:
    """Query, key and value of this process, and before them those of all processes together."""
    whole = [torch.randn(shape, generator=generator(seed)).requires_grad_(grad) for seed in range(3)]
    size, rank = dist.get_world_size(), dist.get_rank()
    starts = [shape[rows] * place // size for place in range(size + 1)]
    return [*whole, *(own_part(x, rows, starts, rank).detach().clone().requires_grad_(grad) for x in whole)]


def long_sequence(rank: int) -> None:
    """100,000 rows, against the same call of a single process, and what is sent: the window, and no more."""
    for rows in (50_000, 100_000):
        *whole, query, key, value = parts(rows, 2, 8, grad=True)
        offsets = torch.tensor([0, rows])
        options: dict[str, Any] = {"offsets": offsets, "window": (64, 32)}
        exact, own = regard.attend(*whole, **options), rows // 4
        with parallel.traffic() as sent:
            output = parallel.attend(query, key, value, **options)
            output.square().sum().backward()
        assert_near(output, exact[own * rank : own * (rank + 1)], torch.float32)
        exact.square().sum().backward()
        for x, y in zip((query, key, value), whole, strict=True):
            assert_near(x.grad, y.grad[own * rank : own * (rank + 1)], torch.float32, "gradient")
        row = 2 * 8 * 4  # bytes of the keys of one row
        ahead, back = 64 * (rank < 3), 32 * (rank > 0)  # rows sent to the next, and to the one before
        home = 64 * (rank > 0) + 32 * (rank < 3)  # gradients of rows that came from them
        assert sent.bytes == 2 * row * (ahead + back + home), sent


def same_bits(rank: int) -> None:
    for window in (5, None):
        runs = []
        for _ in range(2):
            *_, query, key, value = parts(1, 2, 200, 8, rows=2, grad=True)
            output = parallel.attend(query, key, value, window=window)
            output.sum().backward()
            runs.append([output, query.grad, key.grad, value.grad])
        assert all(torch.equal(x, y) for x, y in zip(*runs, strict=True))


def nothing_hidden_is_seen(rank: int) -> None:
    """NaN in the keys of one process reaches no row whose window ends before them."""
    for window, normalizer in ((5, "softmax"), ((None, 0), "softmax"), ((None, 0), "sigmoid"), ((None, 0), "relu")):
        *_, query, key, value = parts(1, 2, 80, 8, rows=2, grad=True)
        with torch.no_grad():
            for x in (key, value):
                x[:, :, 15:].fill_(torch.nan if rank == 2 else 0.0)  # rows 55 to 59 of all
        output = parallel.attend(query, key, value, window=window, normalizer=normalizer)
        rows = torch.arange(20 * rank, 20 * rank + 20)
        ill = (rows >= (50 if window == 5 else 55)) & (rows < (65 if window == 5 else 80))
        assert torch.equal(output.isnan().all(-1).all(1)[0], ill), (window, normalizer)
        output.sum().backward()
        assert query.grad.isfinite().all(-1)[0, :, ~ill].all()


def no_rows_at_all(rank: int) -> None:
    x = torch.zeros(0, 2, 4, requires_grad=True)
    for window in (3, None):
        output = parallel.attend(x, x, x, offsets=torch.tensor([0, 0]), window=window)
        output.sum().backward()
        assert output.shape == (0, 2, 4)


def without_gradient(rank: int) -> None:
    *whole, query, key, value = parts(1, 2, 60, 8, rows=2)
    for window in (4, None):
        with torch.no_grad(), parallel.traffic() as sent:
            output = parallel.attend(query, key, value, window=window)
        assert_near(output, regard.attend(*whole, window=window)[:, :, 15 * rank : 15 * rank + 15], torch.float32)
        assert sent.messages > 0


def what_differs_is_told(rank: int) -> None:
    *_, query, key, value = parts(1, 2, 60, 8, rows=2)

    def told(**options: Any) -> str:
        return refusal(lambda: parallel.attend(query, key, value, **options))

    same = "must be the same in all 4 processes"
    assert told(window=rank // 2) == (
        f"ShapeError: parallel.attend: window {same}, got (0, 0) in process 0 and (1, 1) in process 2"
    )
    assert told(normalizer="relu" if rank == 3 else "softmax") == (
        f"ShapeError: parallel.attend: normalizer {same}, got softmax in process 0 and relu in process 3"
    )
    line = query[0].transpose(0, 1)
    offsets = torch.tensor([0, 30 + (rank == 1), 60])
    found = refusal(lambda: parallel.attend(line, line, line, offsets=offsets))
    assert found.endswith(f"offsets {same}, got [0, 30, 60] in process 0 and [0, 31, 60] in process 1"), found
    offsets = torch.tensor([0, 15])
    found = refusal(lambda: parallel.attend(line, line, line, offsets=offsets))
    assert found.startswith("ShapeError: offsets must run from 0 to the 60 rows of query, got 0 to 15"), found


def a_process_that_refuses_ends_the_others(rank: int) -> None:
    *_, query, key, value = parts(1, 2, 60, 8, rows=2)
    window = -1 if rank == 2 else 1
    found = refusal(lambda: parallel.attend(query, key, value, window=window))
    own = "window must be None, a whole number from 0, or (left, right), each such a number or None; got -1"
    expected = (
        f"ConfigError: {own}" if rank == 2 else f"ShapeError: parallel.attend: process 2 of 4 refuses its part: {own}"
    )
    assert found == expected


def what_cannot_be_is_refused(rank: int) -> None:
    *_, query, key, value = parts(1, 2, 60, 8, rows=2)
    found = refusal(lambda: parallel.attend(query, key, value, bias=torch.zeros(1, 1, 15, 15)))
    assert found.startswith("UnsupportedError: parallel.attend: bias: a tensor has an entry for each pair"), found
    found = refusal(lambda: parallel.attend(query, key, value, implementation="sdpa"))
    assert found.endswith("implementation must be one of auto, blocked, triton, native; got 'sdpa'"), found


def encoders(rank: int) -> None:
    """Whole encoders of every kind, in float64: vectors, and the gradients of vectors and weights."""
    common: dict[str, Any] = {"dim": 8, "depth": 2, "heads": 2}
    kinds = [{"kind": "attention", "positions": x, "window": w, **common} for x in POSITIONS for w in (None, (6, 2))]
    kinds += [{"kind": x, "positions": "sinusoidal", "window": 3, **common} for x in ("sliding", "convolution")]
    kinds += [{"kind": "pointwise", "positions": "none", **common}]
    lengths = [37, 1, 0, 42]
    for number, options in enumerate(kinds):
        torch.manual_seed(number)
        encoder = build_encoder(options.pop("kind"), position_reach=64, **options).double()
        pool = Pooling(("query", "mean", "max", "bert")[number % 4], dim=8, heads=2).double()
        weights = [*encoder.parameters(), *pool.parameters()]
        whole = torch.randn(80, 8, dtype=torch.float64, requires_grad=True)
        factors = torch.randn(80, 8, dtype=torch.float64)
        results = []
        for spread in (False, True):
            x = whole.detach().clone().requires_grad_()
            batch = regard.Ragged.from_lengths(x, lengths)
            out = encoder(parallel.split(batch) if spread else batch)
            pooled = pool(out)
            mine = factors[20 * rank : 20 * rank + 20] if spread else factors
            loss = (out.values * mine).sum() + (pooled.square().sum() if rank == 0 or not spread else pooled.sum() * 0)
            gradients = torch.autograd.grad(loss, [x, *weights], allow_unused=True, materialize_grads=True)
            if spread:
                for gradient in gradients:
                    dist.all_reduce(gradient)
                out = parallel.gather(out)
            assert out.part is None
            assert out.offsets.tolist() == batch.offsets.tolist()
            results.append([out.values, pooled, *gradients])
        for one, several in zip(*results, strict=True):
            torch.testing.assert_close(several, one, rtol=1e-10, atol=1e-10, msg=lambda text, o=options: f"{o}: {text}")


def networks_refuse(rank: int) -> None:
    images = regard.Ragged.from_grids([torch.zeros(2, 3, 8)])
    assert refusal(lambda: parallel.split(images)).startswith("UnsupportedError: parallel.split: sequences are wanted")
    batch = regard.Ragged.from_lengths(torch.zeros(8 + rank, 8), [8 + rank])
    found = refusal(lambda: parallel.split(batch))
    assert found.startswith("ShapeError: parallel.split: offsets must be the same in all 4 processes"), found
    part = parallel.split(regard.Ragged.from_lengths(torch.zeros(8, 8), [8]))
    assert repr(part) == "Ragged(1 sequence, values [2, 8] float32 of 8 rows)"
    attention = MultiHeadAttention(8, heads=2)
    assert "a part of a batch attends to itself" in refusal(lambda: attention(part, part))
    assert "a whole batch is wanted" in refusal(lambda: attention.attention_weights(part))


CHECKS: dict[str, Callable[[int], None]] = {
    f.__name__: f
    for f in (
        long_sequence,
        same_bits,
        nothing_hidden_is_seen,
        no_rows_at_all,
        without_gradient,
        what_differs_is_told,
        a_process_that_refuses_ends_the_others,
        what_cannot_be_is_refused,
        encoders,
        networks_refuse,
    )
}


def a_killed_process_ends_the_others(rank: int) -> None:
    *_, query, key, value = parts(1, 2, 60, 8, rows=2)
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    began = time.monotonic()
    found = refusal(lambda: parallel.attend(query, key, value, window=1))
    assert found.startswith(f"RegardError: process {rank} of 4 cannot reach another any more: it has ended"), found
    assert "\n" not in found
    assert time.monotonic() - began < 30, "seconds until it is told"


def main() -> None:
    rank, processes, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    meet, limit = f"file://{folder}/meet", timedelta(seconds=60)
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=processes, timeout=limit)
    found, file = checks(rank), Path(folder, f"{rank}.json")
    file.write_text(json.dumps(found))
    dist.barrier()
    found["a killed process"] = failure(lambda: a_killed_process_ends_the_others(rank))
    file.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
