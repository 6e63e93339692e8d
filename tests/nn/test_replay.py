"""Steps that do the same work each time write what a cache that grows and shrinks writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from attention.test_waiting import GPU, Watch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from regard import Ragged, ShapeError
from regard.decoding.search import Hypothesis, sample, search
from regard.nn import Decoder, DecoderLayer, FeedForward, MultiHeadAttention, build_decoder
from regard.nn.build import POSITIONS
from regard.nn.replay import FIRST_COLUMNS, Replay

DIM, VOCABULARY = 16, 20
BATCHES = ((3, 1, 6, 2), (4,), (17, 2, 2), (2, 2, 5, 1))  # lengths of the sources
FINDS: dict[str, tuple[Callable[..., Any], int]] = {
    "greedy": (search, 1),
    "beam 3": (partial(search, beam=3, n_best=2), 3),
    "drawn": (partial(sample, samples=2), 2),
}


def made(**options: Any) -> Decoder:
    torch.manual_seed(0)
    return build_decoder(**{"dim": DIM, "depth": 2, "heads": 2, "position_reach": 60, **options}).double().eval()


def grouped() -> Decoder:
    def attention(**options: Any) -> MultiHeadAttention:
        return MultiHeadAttention(DIM, heads=4, key_heads=2, **options)

    torch.manual_seed(0)
    layer = DecoderLayer(attention(causal=True), attention(), FeedForward(DIM, 20), dim=DIM)
    return Decoder([layer]).double().eval()


DECODERS: dict[str, Callable[[], Decoder]] = {
    **{positions: partial(made, positions=positions) for positions in POSITIONS},
    "window": partial(made, window=3, positions="rotary"),
    "window of a layer": partial(made, windows=[(40, 0), None], positions="relative"),
    "additive": partial(made, score="additive", norm="post"),
    "sigmoid": partial(made, normalizer="sigmoid", memory_positions="none", embedding_norm=True),
    "grouped heads": grouped,
    "no layer": partial(made, depth=0, positions="sinusoidal"),
}
CASES = pytest.mark.parametrize(
    ("name", "find"), [*((name, "beam 3") for name in DECODERS), ("relative", "greedy"), ("relative", "drawn")]
)


class Model:
    """Ids as vectors, and vectors as log-probabilities of the next id."""

    def __init__(self, decoder: Decoder, device: str = "cpu", dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(1)
        both = torch.randn(2, VOCABULARY, DIM, generator=generator, dtype=torch.float64).to(device, dtype)
        self.decoder, self.table, self.output = decoder.to(device, dtype), *both

    def embed(self, ids: Tensor) -> Tensor:
        return self.table[ids]

    def next(self, vectors: Tensor) -> Tensor:
        rows = vectors @ self.output.T / 4
        rows[:, 1] -= 4  # so that there is something to write
        return rows.log_softmax(1)

    def replay(self, width: int, most: int | None = 59) -> Replay:
        return Replay(self.decoder, self.embed, self.next, width=width, most=None if most is None else most + 1)


def memory_of(lengths: Sequence[int], like: Tensor) -> Ragged:
    generator = torch.Generator().manual_seed(len(lengths))
    values = torch.randn(sum(lengths), DIM, generator=generator, dtype=torch.float64)
    return Ragged.from_lengths(values.to(like), lengths)


def settings(memory: Ragged, find: Callable[..., Any], most: int = 59) -> dict[str, Any]:
    device = memory.values.device
    limits = torch.tensor([40, 3, 59, 9])[: len(memory)].clamp(max=most).to(device)
    more = {} if find.func is search else {"generator": torch.Generator(device).manual_seed(3)}  # type: ignore[attr-defined]
    return {"begin": 0, "end": 1, "banned": (0, 2), "max_lengths": limits, **more}


def written(model: Model, name: str, replay: Replay | None, most: int = 59) -> list[list[list[Hypothesis]]]:
    """What is found for each of the batches."""
    find, found = FINDS[name][0], []
    find = find if isinstance(find, partial) else partial(find)
    for lengths in BATCHES:
        memory = memory_of(lengths, model.table)
        if replay is None:
            cache = model.decoder.start(memory)
            step, keep = (lambda ids, cache=cache: model.next(model.decoder.step(model.embed(ids), cache))), cache.keep
        else:
            step, keep = replay.begin(memory)
        found.append(find(step, keep, **settings(memory, find, most)))
    return found


def assert_same(found: list[list[list[Hypothesis]]], expected: list[list[list[Hypothesis]]]) -> None:
    pairs = [pair for batches in zip(found, expected, strict=True) for pair in zip(*batches, strict=True)]
    for some, others in pairs:
        for one, other in zip(some, others, strict=True):
            assert (one.ids, one.finished) == (other.ids, other.finished)
            assert one.score == pytest.approx(other.score, rel=1e-5)


@CASES
def test_batch_after_batch_is_written_as_by_a_cache(name: str, find: str) -> None:
    model = Model(DECODERS[name]())
    expected = written(model, find, None)
    assert max(len(one.ids) for batch in expected for some in batch for one in some) > FIRST_COLUMNS
    assert_same(written(model, find, model.replay(FINDS[find][1])), expected)


def test_rooms_serve_the_next_batch_of_their_size() -> None:
    model = Model(made())
    replay, rooms = model.replay(1), []
    for lengths in ((3, 1, 6, 2), (4, 2, 16), (17, 3, 1, 1), (4,)):
        memory = memory_of(lengths, model.table)
        search(*replay.begin(memory), **settings(memory, partial(search)))
        rooms.append(dict(replay._rooms))
    assert rooms[0] == rooms[1]  # four sources at most, of 16 vectors at most
    assert all(list(room) == [32, 60] for room in rooms)
    assert len({id(room[32]) for room in rooms}) == 3


def test_what_does_not_fit_the_slots_is_refused() -> None:
    decoder, table = made(), Model(made()).table
    slots = decoder.slots(2, 3, keys=4, columns=5, like=table)
    for lengths in ((1, 1, 1), (5,)):
        with pytest.raises(ShapeError, match=r"memory must fit the slots, 2 sources of at most 4 vectors; got"):
            decoder.begin(memory_of(lengths, table), slots)
    decoder.begin(memory_of((4, 1), table), slots)
    with pytest.raises(ShapeError, match="vectors must have one row for each of the 6 slots, got 2"):
        decoder.write(table[:2], slots)


class Recorder(TorchDispatchMode):
    """What a graph keeps of some work: the operations, and the tensors that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **kwargs or {})
        self.calls.append((function, args, kwargs or {}, found))
        return found

    def replay(self) -> None:
        """All of them again, on the same tensors, whatever Python would do by now."""
        for function, args, kwargs, found in self.calls:
            for old, new in zip(tree_leaves(found), tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():  # no view, and not written in place
                    old.copy_(new)


def recorded(work: Callable[[], Tensor], pool: None) -> Callable[[], Tensor]:
    """As on a GPU: done once for nothing, and recorded while another step is done for nothing."""
    work()
    with Recorder() as recorder:
        found = work()

    def again() -> Tensor:
        recorder.replay()
        return found

    return again


def with_implementation(decoder: Decoder, implementation: str) -> Decoder:
    for module in decoder.modules():
        if isinstance(module, MultiHeadAttention):
            module.implementation = implementation
    return decoder


@pytest.mark.parametrize("name", DECODERS)
def test_nothing_but_tensors_changes_from_step_to_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded in one step is right in all, and for the next batch: positions, lengths, who goes on."""
    monkeypatch.setattr("regard.nn.replay.recorded", recorded)
    monkeypatch.setattr("regard.nn.replay.FIRST_COLUMNS", 4)
    model = Model(with_implementation(DECODERS[name](), "blocked"))
    with torch.inference_mode():
        assert_same(written(model, "beam 3", model.replay(3), most=9), written(model, "beam 3", None, most=9))


class OnTheHost(TorchDispatchMode):
    """Operations that take tensors of the host, which a graph would read where they no longer are."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **kwargs or {})
        devices = {x.device.type for x in tree_leaves([args, kwargs, found]) if isinstance(x, Tensor)}
        if devices == {"cpu", "meta"}:
            self.seen.append(str(function))
        return found


@pytest.mark.parametrize("implementation", ["auto", "triton", "blocked"])
@pytest.mark.parametrize("name", DECODERS)
def test_a_step_asks_for_no_number_and_reads_nothing_of_the_host(name: str, implementation: str) -> None:
    model = Model(with_implementation(DECODERS[name](), implementation), "meta", torch.float32)
    replay = model.replay(2)
    replay.begin(memory_of((3, 1, 6, 2), model.table))
    with Watch() as watch, OnTheHost() as host:
        replay._room.step()
    assert watch.seen == []
    assert host.seen == []


@GPU
@CASES
def test_a_gpu_that_replays_writes_the_same(name: str, find: str, caplog: pytest.LogCaptureFixture) -> None:
    model = Model(DECODERS[name](), "cuda", torch.float32)
    replay = model.replay(FINDS[find][1])
    assert_same(written(model, find, replay), written(model, find, None))
    assert not caplog.records, "a step could not be recorded"
    assert all(room.ids.is_cuda for room in replay._rooms.values())
