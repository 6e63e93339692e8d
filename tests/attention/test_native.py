"""The kernels by instruction set, from many threads and processes, over strides, and on numbers at the edge."""

from __future__ import annotations

import math
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import regard
from attention.cases import RUNS, Case, cases, make
from attention.tolerances import assert_near
from regard import ShapeError
from regard.attention import native
from regard.attention.api import DEFAULTS
from regard.attention.check import check

pytestmark = pytest.mark.skipif(native._kernels is None, reason=native.NOT_BUILT)
SETS = native._kernels.instruction_sets() if native._kernels is not None else []
LENGTH = st.sampled_from([0, 1, 2, 5, 16, 49, 97, 200, 301])
LARGE = cases(
    lengths=st.lists(st.tuples(LENGTH, LENGTH), min_size=1, max_size=4).map(tuple),
    dim=st.sampled_from([1, 5, 8, 16, 20, 48, 64, 70]),
    value_dim=st.sampled_from([1, 7, 16, 33, 64]),
    dtype=st.sampled_from([torch.float32, torch.float32, torch.bfloat16, torch.float16]),
    bias=st.none(),
)
LONG = Case(dtype=torch.float32, lengths=((301, 301), (301, 301)), window=(30, 20), key_heads=2, dim=16, value_dim=16)


def _compare(case: Case) -> None:
    call = make(case)
    actual, exact = call.run("native"), call.to(torch.float64).run("reference")
    for name, tensor in actual.items():
        assert_near(tensor, exact[name], case.dtype, name)


@pytest.mark.parametrize("isa", SETS)
@given(data=st.data())
def test_every_instruction_set_means_the_same(isa: str, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGARD_ISA", isa)
        assert native.instruction_set() == isa
        _compare(data.draw(RUNS["native"]))


@pytest.mark.parametrize("isa", SETS)
@settings(max_examples=settings().max_examples // 2)
@given(data=st.data())
def test_several_blocks_and_uneven_widths(isa: str, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGARD_ISA", isa)
        _compare(data.draw(LARGE))


@given(data=st.data())
def test_whatever_stands_in_new_memory_is_written_over(data: st.DataObject) -> None:
    def spoilt(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.full(shape, math.nan, dtype=dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "empty", spoilt)
        _compare(data.draw(LARGE))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ragged", [False, True])
def test_more_keys_than_are_taken_at_once(
    isa: str, dtype: torch.dtype, ragged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGARD_ISA", isa)
    lengths = ((110, 1030), (5, 3), (205, 890)) if ragged else ((205, 1030), (205, 1030))
    case = Case(lengths=lengths, ragged=ragged, key_heads=2, dim=62, value_dim=70, dtype=dtype)
    _compare(case)
    _compare(replace(case, window=(None, 30), query_start=800, key_mask=not ragged, group=2, normalizer="relu"))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("start", range(470, 520, 7))
def test_rows_that_see_nothing_of_what_is_taken_next(isa: str, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Causal rows from the middle on: some of those taken together do not reach the second run of keys."""
    monkeypatch.setenv("REGARD_ISA", isa)
    size = 4 * 24_576 // (2 * 96)  # of a run of keys
    query, key, value = (torch.randn(1, 1, n, 96) for n in (100, size + 3, size + 3))
    options = {"causal": True, "query_start": start}
    exact = regard.attend(query.double(), key.double(), value.double(), implementation="reference", **options)
    actual = regard.attend(query, key, value, implementation="native", **options)
    assert_near(actual, exact, torch.float32, "output")


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "window", [(8, 8), (23, 23), (24, 23), (24, 24), (0, 47), (0, 48), (47, 1), (60, 3), (64, 64), (150, 9)], ids=str
)
def test_first_keys_of_a_window_that_slides_along_with_its_last(
    isa: str, dtype: torch.dtype, window: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long enough for rows whose windows begin and end one key later each, at any place among keys taken together."""
    monkeypatch.setenv("REGARD_ISA", isa)
    case = Case(lengths=((391, 391),), window=window, key_heads=2, dim=20, value_dim=33, dtype=dtype)
    for normalizer in ("softmax", "relu", "sigmoid"):
        _compare(replace(case, normalizer=normalizer))
    _compare(replace(case, ragged=True, lengths=((300, 300), (41, 380), (380, 41)), query_start=11, dropout_p=0.3))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_no_row_takes_a_key_that_it_does_not_see(isa: str, poison: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGARD_ISA", isa)
    query, key, value = torch.randn(3, 1, 1, 330, 16)
    rows, options = torch.arange(330), {"window": (30, 20), "implementation": "native"}
    clean = regard.attend(query, key, value, **options)[0, 0]
    for place in range(90, 240):
        spoilt = key.clone()
        spoilt[0, 0, place] = poison
        output = regard.attend(query, spoilt, value, **options)[0, 0]
        sees = (place - rows <= 20) & (rows - place <= 30)
        assert output[sees].isnan().all(), place
        assert torch.equal(output[~sees], clean[~sees]), place


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_half_is_read_and_written(isa: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Float16 from subnormal to largest, and what lies between two of them, which goes to the even one.

    Processors that multiply bfloat16 take subnormals for 0, and the sum of the largest is no float32.
    """
    monkeypatch.setenv("REGARD_ISA", isa)
    every = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int16).view(dtype)
    if dtype == torch.bfloat16:
        every = every[(every.float().abs() >= 2.0**-125) & (every.float().abs() < 2.0**126)]
    value = every[every.isfinite()].view(1, 1, -1, 16)
    query = torch.zeros_like(value)
    output = regard.attend(query, query, value, window=0, implementation="native")
    assert torch.equal(output, value)
    pairs = torch.stack([value, value.roll(1, 3)], 3).view(1, 1, -1, 16)  # each with its neighbour, at equal weights
    halves = torch.arange(0, pairs.shape[2] + 1, 2)
    pairs, query = pairs[0].transpose(0, 1), torch.zeros_like(pairs[0]).transpose(0, 1)
    output = regard.attend(query, query, pairs, offsets=halves, implementation="native")
    expected = (value.double() / 2 + value.roll(1, 3).double() / 2).float().to(dtype)
    assert torch.equal(output[::2, 0], expected[0, 0])


@pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
@pytest.mark.parametrize("size", [1, 8, 20, 100, 1000])
def test_additive_scores_of_any_size(size: float, normalizer: str) -> None:
    """From where four channels share a division to where every tanh is ±1."""
    call = make(Case(score="additive", normalizer=normalizer, dtype=torch.float32, lengths=((40, 40),), dim=8))
    for name in ("query", "key"):
        call.leaves[name] *= size
    actual, exact = call.run("native"), call.to(torch.float64).run("reference")
    for name, tensor in actual.items():
        assert_near(tensor, exact[name], torch.float32, name)


def test_no_less_exact_than_pytorch() -> None:
    query, key, value = (torch.randn(1, 4, 500, 64) for _ in range(3))
    exact = regard.attend(query.double(), key.double(), value.double(), implementation="reference")
    ours = regard.attend(query, key, value, implementation="native").double()
    theirs = torch.nn.functional.scaled_dot_product_attention(query, key, value).double()
    assert (ours - exact).abs().max() < 2 * (theirs - exact).abs().max()


@given(
    data=st.data(),
    shape=st.tuples(*[st.integers(1, 4)] * 2, st.integers(1, 40), st.integers(1, 20)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_any_strides(data: st.DataObject, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Axes in any order in memory, any of them with a step, or the same for all."""

    def laid_out() -> Tensor:
        order = data.draw(st.permutations(range(4)))
        steps = [data.draw(st.sampled_from([1, 1, 2])) for _ in range(4)]
        buffer = torch.full([shape[axis] * steps[axis] for axis in order], math.nan, dtype=dtype)
        view = buffer.permute([order.index(axis) for axis in range(4)])[tuple(slice(None, None, s) for s in steps)]
        view.copy_(torch.randn(shape))
        same = data.draw(st.sampled_from([None, 0, 1, 2]))
        return view if same is None else view.narrow(same, 0, 1).expand(shape)

    inputs = [laid_out() for _ in range(3)]
    output = regard.attend(*inputs, window=5, implementation="native")
    exact = regard.attend(*(x.double() for x in inputs), window=5, implementation="reference")
    assert_near(output, exact, dtype)


@given(
    offsets=st.lists(st.integers(-3, 9), max_size=5),
    key_offsets=st.none() | st.lists(st.integers(-3, 9), max_size=5),
)
def test_offsets_that_are_none_are_never_read_with(offsets: list[int], key_offsets: list[int] | None) -> None:
    x = torch.randn(6, 2, 4)

    def valid(given: list[int]) -> bool:
        return len(given) > 0 and given[0] == 0 and given[-1] == 6 and given == sorted(given)

    keys = offsets if key_offsets is None else key_offsets
    options = {"key_offsets": None if key_offsets is None else torch.tensor(keys, dtype=torch.int64)}
    options |= {"offsets": torch.tensor(offsets, dtype=torch.int64), "implementation": "native"}
    if valid(offsets) and valid(keys) and len(offsets) == len(keys):
        assert regard.attend(x, x, x, **options).shape == x.shape
        return
    with pytest.raises(ShapeError):
        regard.attend(x, x, x, **options)


def test_pytorchs_default_type_changes_nothing() -> None:
    expected = _bits(LONG)
    torch.set_default_dtype(torch.float64)
    try:
        actual = _bits(LONG)
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def _bits(case: Case) -> list[Tensor]:
    return list(make(case).run("native").values())


def test_any_number_of_threads_gives_the_same_bits() -> None:
    expected = _bits(LONG)
    for threads in (2, 3, 7):
        torch.set_num_threads(threads)
        assert all(torch.equal(a, b) for a, b in zip(_bits(LONG), expected, strict=True)), threads


def test_called_from_several_threads_at_once() -> None:
    torch.set_num_threads(2)
    query, key, value = (torch.randn(2, 2, 301, 16) for _ in range(3))

    def call(window: int) -> Tensor:
        return regard.attend(query, key, value, window=window, implementation="native")

    windows = [1, 5, 20, 100] * 10
    expected = {window: call(window) for window in windows}
    with ThreadPoolExecutor(4) as pool:
        for window, output in zip(windows, pool.map(call, windows), strict=True):
            assert torch.equal(output, expected[window])


class Attended(Dataset[Tensor]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        return _bits(replace(LONG, seed=index))[0]


@pytest.mark.timeout(100)
def test_in_the_workers_of_a_data_loader() -> None:
    torch.set_num_threads(2)
    expected = [Attended()[index] for index in range(4)]  # the parent's threads are running by now
    workers = multiprocessing.get_context("fork")
    loaded = list(DataLoader(Attended(), batch_size=None, num_workers=2, multiprocessing_context=workers))
    assert all(torch.equal(a, b) for a, b in zip(loaded, expected, strict=True))


def test_threads_are_pytorchs_own() -> None:
    """One OpenMP runtime in the process: a second pool would fight the first for the cores."""
    regard.attend(*[torch.randn(1, 2, 300, 8)] * 3, implementation="native")
    with open("/proc/self/maps") as maps:
        runtimes = {line.split()[-1] for line in maps if "libgomp" in line or "libomp" in line or "libiomp" in line}
    of_torch = {path for path in runtimes if "/torch/lib/" in path}
    assert of_torch
    assert not any("libgomp.so" in path for path in runtimes - of_torch), runtimes


@pytest.mark.parametrize("normalizer", ["softmax", "relu", "sigmoid"])
@pytest.mark.parametrize("score", ["dot", "additive"])
def test_keys_in_two_parts_are_the_same_keys(normalizer: str, score: str) -> None:
    """As blocks of a sequence come from other processes: statistics and `output · grad` are those of all keys."""
    case = Case(score=score, normalizer=normalizer, lengths=((40, 150),), table=(3, 3), window=(None, 90), value_dim=4)
    call = make(replace(case, dtype=torch.float32))
    query, key, value = (call.leaves[name] for name in ("query", "key", "value"))
    _, _, _, spec = check(query, key, value, {**DEFAULTS, **call.arguments(call.leaves)})
    grad = torch.randn(query.shape, generator=torch.Generator().manual_seed(1))  # as wide as values
    output, saved = native.attend(query, key, value, spec)
    exact = native.gradients(grad, query, key, value, output, saved, spec)
    parts, made, found = (slice(0, 33), slice(33, 150)), [], []
    for keys in parts:
        here, statistics = spec._replace(query_start=-keys.start), saved.clone()
        made.append(native.attend_part(query, key[:, :, keys], value[:, :, keys], here, statistics))
        share = (statistics - saved).masked_fill(statistics == torch.inf, -torch.inf).exp2()  # 1 but under softmax
        made[-1] = made[-1] * share[..., None]
        inner = (output * grad).sum(-1)
        found.append(native.gradients_of_part(grad, query, key[:, :, keys], value[:, :, keys], inner, saved, here))
    assert_near(made[0] + made[1], output.double(), torch.float32)
    for name, expected in exact.items():
        both = [part[name] for part in found]
        actual = torch.cat(both, 2) if name in ("key", "value") else both[0] + both[1]
        assert_near(actual, expected.double(), torch.float32, name)
