"""Decoding of connectionist temporal classification beside the sum over every path, and PyTorch's loss."""

import math
import tracemalloc
from itertools import groupby, pairwise, product
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from regard import ConfigError, RegardError, ShapeError
from regard.decoding.ctc import Greedy, align, fewest_frames, greedy, prefix_search

EVERY = 3000  # a beam that holds all beginnings of the small cases here


def drawn(frames, columns, seed, impossible=0.0):
    """Log probabilities ``[N, V]``; a share of them of 0."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(frames, columns)) * 2
    kept = rng.random(scores.shape) >= impossible
    kept[np.arange(frames), rng.integers(0, columns, frames)] = True
    scores = np.where(kept, scores, -np.inf)
    return scores - np.logaddexp.reduce(scores, 1, keepdims=True)


def spell(path, blank):
    return tuple(symbol for symbol, _ in groupby(path) if symbol != blank)


def begins(path, blank):
    """The frame in which each symbol begins."""
    before = (blank, *path)
    return [frame for frame, symbol in enumerate(path) if symbol not in (blank, before[frame])]


def all_paths(log_probs, blank):
    """``{ids: [(log p, path), …]}`` of every path."""
    found = {}
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        log_p = sum(row[symbol] for row, symbol in zip(log_probs, path, strict=True))
        found.setdefault(spell(path, blank), []).append((log_p, path))
    return found


def sums(log_probs, blank):
    """``{ids: log p}`` of every transcript that is possible."""
    total = {ids: np.logaddexp.reduce([p for p, _ in paths]) for ids, paths in all_paths(log_probs, blank).items()}
    return {ids: log_p for ids, log_p in total.items() if log_p > -math.inf}


cases = st.tuples(
    st.integers(0, 5), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3]), st.integers(0, 3)
).map(lambda case: (drawn(*case[:4]), case[4] % case[1]))


@settings(deadline=None, max_examples=60)
@given(cases)
def test_a_whole_beam_finds_the_sum_over_all_paths(case):
    log_probs, blank = case
    wanted = sums(log_probs, blank)
    found = prefix_search(log_probs, blank=blank, beam=EVERY, n_best=EVERY)
    assert {tuple(one.ids) for one in found} == wanted.keys()
    for one in found:
        assert one.log_prob == pytest.approx(wanted[tuple(one.ids)], abs=1e-9)
    assert [one.log_prob for one in found] == sorted((one.log_prob for one in found), reverse=True)
    assert np.logaddexp.reduce([one.log_prob for one in found]) == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(cases)
def test_symbols_begin_where_the_likeliest_of_their_paths_has_them(case):
    log_probs, blank = case
    for ids, paths in all_paths(log_probs, blank).items():
        best, path = max(paths)
        if best == -math.inf:
            with pytest.raises(RegardError, match="no path"):
                align(log_probs, ids, blank=blank)
            continue
        assert align(log_probs, ids, blank=blank) == begins(path, blank)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_of_equal_paths_that_is_taken_whose_symbols_begin_earlier(frames, seed, blank):
    scores = np.random.default_rng(seed).integers(-2, 1, (frames, 3)).astype(float)  # whose sums are exact
    for ids, paths in all_paths(scores, blank).items():
        best = max(score for score, _ in paths)
        assert align(scores, ids, blank=blank) == min(begins(path, blank) for score, path in paths if score == best)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 60), st.integers(2, 5), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_times_are_the_same_whatever_is_held_at_once(frames, columns, seed, piece):
    log_probs, blank = drawn(frames, columns, seed), seed % columns
    (one, *_) = prefix_search(log_probs, blank=blank, beam=3)
    with mock.patch("regard.decoding.ctc.PIECE", piece):
        assert align(log_probs, one.ids, blank=blank) == one.frames


def test_times_take_little_memory():
    rng, count, blank = np.random.default_rng(1), 1500, 0
    ids = rng.integers(1, 4, count).tolist()
    log_probs = np.full((3 * count, 4), -8.0)
    frames = [3 * place + int(rng.integers(0, 2)) for place in range(count)]
    log_probs[:, blank] = -0.1
    log_probs[frames, ids] = 0.0
    tracemalloc.start()
    assert align(log_probs, ids, blank=blank) == frames
    assert tracemalloc.get_traced_memory()[1] < 5e6  # all moves at once would be 13 MB
    tracemalloc.stop()


@settings(deadline=None, max_examples=60)
@given(cases)
def test_greedy_is_the_likeliest_path(case):
    log_probs, blank = case
    best, path = max(choice for paths in all_paths(log_probs, blank).values() for choice in paths)
    found = greedy(log_probs, blank=blank)
    assert tuple(found.ids) == spell(path, blank)
    assert found.log_prob == pytest.approx(best, abs=1e-9)
    assert found.frames == align(log_probs, found.ids, blank=blank)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40), st.integers(2, 4), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), max_size=6))
def test_a_stream_in_any_pieces_finds_what_the_whole_has(frames, columns, seed, cuts):
    log_probs = drawn(frames, columns, seed)
    stream = Greedy(blank=seed % columns)
    places = [0, *sorted(min(cut, frames) for cut in cuts), frames]
    found = [pair for start, stop in pairwise(places) for pair in stream.push(log_probs[start:stop])]
    whole = greedy(log_probs, blank=seed % columns)
    assert found == list(zip(whole.ids, whole.frames, strict=True))
    assert stream.frames == frames


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(2, 40), st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_a_narrow_beam_keeps_the_best_of_each_frame(frames, columns, seed, beam):
    """As the definition says it, over dicts of beginnings."""
    log_probs, blank = drawn(frames, columns, seed), seed % columns
    beginnings = {(): (0.0, -math.inf)}  # log p of paths that end in a blank, and in the last symbol
    for row in log_probs:
        after = {}

        def add(ids, in_blank, in_last, after=after):
            known = after.get(ids, (-math.inf, -math.inf))
            after[ids] = np.logaddexp(known[0], in_blank), np.logaddexp(known[1], in_last)

        for ids, (in_blank, in_last) in beginnings.items():
            total = np.logaddexp(in_blank, in_last)
            add(ids, total + row[blank], in_last + row[ids[-1]] if ids else -math.inf)
            for symbol in set(range(columns)) - {blank}:
                before = in_blank if ids and symbol == ids[-1] else total
                add((*ids, symbol), -math.inf, before + row[symbol])
        ranked = sorted(after.items(), key=lambda item: -np.logaddexp(*item[1]))
        beginnings = {ids: ends for ids, ends in ranked[:beam] if max(ends) > -math.inf}
    found = prefix_search(log_probs, blank=blank, beam=beam, n_best=beam)
    assert [tuple(one.ids) for one in found] == list(beginnings)
    for one, ends in zip(found, beginnings.values(), strict=True):
        assert one.log_prob == pytest.approx(np.logaddexp(*ends), abs=1e-9)
        assert one.frames == align(log_probs, one.ids, blank=blank)


def test_the_loss_of_what_is_found_is_its_log_probability():
    log_probs = drawn(6, 4, seed=5)
    for one in prefix_search(log_probs, blank=2, beam=EVERY, n_best=40):
        rows = torch.from_numpy(log_probs)[:, None]
        target, lengths = torch.tensor([one.ids], dtype=torch.int64), ([6], [len(one.ids)])
        loss = F.ctc_loss(rows, target, *map(torch.tensor, lengths), blank=2, reduction="sum")
        assert one.log_prob == pytest.approx(-float(loss), abs=1e-9)
        assert fewest_frames(one.ids) <= 6


@pytest.mark.parametrize("frames", [0, 1])
def test_hardly_any_frames(frames):
    log_probs = np.log(np.tile([0.7, 0.2, 0.1], (frames, 1)))
    assert greedy(log_probs, blank=0).ids == align(log_probs, [], blank=0) == []
    found = prefix_search(log_probs, blank=0, beam=3, n_best=3)
    assert [one.ids for one in found] == [[], [1], [2]][: 1 + 2 * frames]
    assert Greedy(blank=0).push(log_probs) == []
    assert greedy(log_probs, blank=2).frames == [0] * frames


def test_where_nothing_is_possible_nothing_is_found():
    assert prefix_search(np.full((3, 4), -np.inf), blank=0) == []


def test_equals_go_by_the_lower_id():
    log_probs = np.log(np.full((1, 4), 0.25))
    assert [one.ids for one in prefix_search(log_probs, blank=1, beam=4, n_best=4)] == [[], [0], [2], [3]]


def test_equals_go_by_the_lower_id_where_symbols_are_many():
    log_probs = np.log(np.full((1, 1000), 0.001))
    assert [one.ids for one in prefix_search(log_probs, blank=0, beam=3, n_best=3)] == [[], [1], [2]]


def test_what_does_not_go_together_is_refused():
    log_probs = drawn(3, 3, seed=1)
    with pytest.raises(ConfigError, match="blank must be one of the 3 columns, from 0; got 3"):
        greedy(log_probs, blank=3)
    with pytest.raises(ConfigError, match="n_best must be from 1 to beam, both at least 1; got n_best 5 and beam 4"):
        prefix_search(log_probs, blank=0, beam=4, n_best=5)
    with pytest.raises(ShapeError, match=r"log_probs must be \[N, V\], a row for each frame; got shape \[9\]"):
        Greedy(blank=0).push(log_probs.ravel())
    with pytest.raises(RegardError, match="not numbers"):
        prefix_search(log_probs * np.nan, blank=0)
    with pytest.raises(RegardError, match="no path through 3 frames spells these 2 symbols, which need 3"):
        align(np.where([False, True, True], log_probs, -np.inf), [1, 1], blank=0)
