"""Labels of frames and segments, each made of the other; smoothing beside plain counting; errors computed by hand."""

import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import Recording, UnsupportedError
from regard.data import Example, Place
from regard.data.segments import OUTSIDE, Segment, segments
from regard.tasks.label.frames import as_segments, labels_at, middles, runs_of, smoothed, without_short
from regard.tasks.label.metrics import segment_scores
from regard.tasks.label.reader import LabelReader
from regard.tasks.label.recordings import Smoothing, Timing, known_labels, pieces

ROWS = st.lists(st.integers(0, 3), max_size=40).map(lambda rows: np.array(rows, np.int64))
quick = settings(deadline=None)


def test_a_vector_stands_for_what_is_around_its_middle():
    np.testing.assert_allclose(middles(3, 0.5, 1.2), [0.25, 0.75, 1.1])  # the last for 0.2 s
    parts = [Segment(0.0, 0.75, "a"), Segment(1.05, 1.2, "b")]
    assert labels_at(middles(3, 0.5, 1.2), parts) == ["a", OUTSIDE, "b"]
    assert labels_at(middles(2, 0.5, 1.0), []) == [OUTSIDE] * 2
    assert labels_at(middles(0, 0.5, 1.0), parts) == []


@quick
@given(rows=ROWS, last=st.floats(0.01, 1))
def test_segments_give_back_the_labels_they_were_made_of(rows, last):
    labels, step = ["a", OUTSIDE, "b", "c"], 0.02
    timing = Timing(len(rows), step, step * max(0, len(rows) - 1) + last * step)
    parts = timing.segments(labels, rows)
    assert all(before.end <= after.start for before, after in pairwise(parts))
    if last > 0.1:  # ms that a time is rounded to
        assert timing.labels(parts) == [labels[row] for row in rows]


@quick
@given(rows=ROWS, reach=st.integers(0, 6))
def test_smoothing_is_a_vote(rows, reach):
    found = smoothed(rows, 2 * reach + 1)
    for place, row in enumerate(rows):
        around = rows[max(0, place - reach) : place + reach + 1].tolist()
        most = max(map(around.count, around))
        best = [value for value in sorted(set(around)) if around.count(value) == most]
        assert found[place] == (row if row in best else best[0])
    if set(rows.tolist()) <= {0, 1} and len(rows) > 2 * reach:
        middle = slice(reach, len(rows) - reach)
        windows = np.lib.stride_tricks.sliding_window_view(rows, 2 * reach + 1)
        np.testing.assert_array_equal(found[middle], np.median(windows, axis=1))


@quick
@given(rows=ROWS, reach=st.integers(0, 6), sizes=st.lists(st.integers(1, 9), max_size=12))
def test_a_stream_is_smoothed_as_the_whole_is(rows, reach, sizes):
    reader, found = LabelReader("abcd", 0.5, width=2 * reach + 1), []
    scores = 5.0 * torch.eye(4)[torch.from_numpy(rows)]
    for piece in scores.tensor_split([end for end in np.cumsum(sizes).tolist() if end < len(rows)]):
        if len(piece):
            found += reader.push(piece)
    assert len(found) == max(0, len(rows) - reach)
    found += reader.close()
    wanted = smoothed(rows, 2 * reach + 1)
    assert [one.label for one in found] == ["abcd"[row] for row in wanted]
    assert [one.start for one in found] == [0.5 * place for place in range(len(rows))]
    chances = scores.softmax(1)[range(len(rows)), wanted.tolist()]
    assert [one.score for one in found] == pytest.approx(chances.tolist(), abs=1e-6)


@quick
@given(rows=ROWS, shortest=st.integers(0, 12))
def test_no_run_is_shorter(rows, shortest):
    found = without_short(rows, shortest)
    runs = runs_of(found)
    assert len(found) == len(rows)
    assert len(runs) <= 1 or all(last - first >= shortest for first, last in runs)
    assert set(found.tolist()) <= set(rows.tolist())
    np.testing.assert_array_equal(without_short(found, shortest), found)
    if all(last - first >= shortest for first, last in runs_of(rows)):
        np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize(
    ("rows", "shortest", "wanted"),
    [
        ("aabaaa", 2, "aaaaaa"),
        ("aaabcccc", 2, "aaaccccc"),  # to the longer neighbour
        ("abbbb", 2, "bbbbb"),
        ("aaab", 2, "aaaa"),
        ("abab", 3, "bbbb"),  # the first of the shortest first
        ("aabb", 3, "bbbb"),
        ("ab", 5, "bb"),
        ("a", 5, "a"),
        ("", 5, ""),
    ],
)
def test_short_runs_go_to_their_neighbours(rows, shortest, wanted):
    found = without_short(np.array([ord(row) for row in rows], np.int64), shortest)
    assert "".join(map(chr, found)) == wanted


def test_seconds_of_smoothing_are_frames():
    rows = np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 1])
    assert Smoothing().of(rows, 0.02).tolist() == rows.tolist()
    assert Smoothing(smooth=0.06).of(rows, 0.02).tolist() == [0] * 6 + [1] * 4
    assert Smoothing(shortest=0.04).of(rows, 0.02).tolist() == [0] * 6 + [1] * 4
    assert Smoothing(shortest=0.08).of(rows, 0.02).tolist() == [0] * 6 + [1] * 4
    assert Smoothing(shortest=0.081).of(rows, 0.02).tolist() == [0] * 10


@quick
@given(seconds=st.floats(0.5, 30), longest=st.floats(0.3, 10))
def test_pieces_are_the_whole(seconds, longest):
    recording = Recording.from_samples(np.arange(round(seconds * 100), dtype=np.float32), 100)
    goal = [Segment(0.0, recording.seconds / 3, "a"), Segment(recording.seconds / 2, recording.seconds, "b")]
    made = pieces([Example(recording, goal)], longest)
    assert all(piece.items.seconds <= longest + 0.02 for piece in made)
    np.testing.assert_array_equal(np.concatenate([piece.items.samples() for piece in made]), recording.samples())
    for label in "ab":
        length = sum(part.end - part.start for piece in made for part in piece.goal if part.label == label)
        assert length == pytest.approx(recording.seconds / (3 if label == "a" else 2))


def test_nothing_is_outside_of_pieces_of_what_is_labelled_throughout():
    recording = Recording.from_samples(np.zeros(400_001, np.float32), 8000)
    goal = [Segment(0.0, 1.5, "a"), Segment(1.5, recording.seconds, "b")]
    made = pieces([Example(recording, goal)], 20.0)  # whose bounds lie between samples
    assert [piece.items.length for piece in made] == [133_334, 133_333, 133_334]
    assert known_labels(made) == ["a", "b"]


def test_the_label_of_what_is_outside_is_learned_where_there_is_any():
    second = Recording.from_samples(np.zeros(8000), 8000)
    assert known_labels([Example(second, [Segment(0.0, 1.0, "b")]), Example(second, [Segment(0, 1, "a")])]) == [
        "a",
        "b",
    ]
    assert known_labels([Example(second, [Segment(0.0, 0.9, "b")])]) == [OUTSIDE, "b"]
    assert known_labels([Example(second, [])]) == [OUTSIDE]


A, B = "anna", "ben"


@pytest.mark.parametrize(
    ("gold", "found", "wanted"),  # detection, diarization, identification
    [
        ([(0, 2, A)], [(0, 2, A)], (0, 0, 0)),
        ([(0, 2, A)], [], (1, 1, 1)),
        ([(0, 2, A)], [(0, 1, A)], (0.5, 0.5, 0.5)),  # 1 s missed of 2
        ([(0, 2, A)], [(0, 3, A)], (0.5, 0.5, 0.5)),  # 1 s of false alarm
        ([(0, 2, A)], [(0, 2, B)], (0, 0, 1)),  # all confused, unless B is called A
        ([(0, 2, A), (2, 4, B)], [(0, 3, A), (3, 4, B)], (0, 0.25, 0.25)),  # 1 s of 4 confused
        ([(0, 1, A), (1, 4, B)], [(0, 1, B), (1, 4, A)], (0, 0, 1)),
        ([(0, 1, A), (3, 4, B)], [(0.5, 2, A), (3, 4, A)], (0.75, 1, 1.25)),  # 0.5 missed, 1 false, 1 confused, of 2
        ([], [], (0, 0, 0)),
        ([], [(0, 1, A)], (1, 1, 1)),
    ],
)
def test_errors_of_segments(gold, found, wanted):
    gold, found = ([Segment(*part) for part in parts] for parts in (gold, found))
    scores = segment_scores([gold], [found], [5.0])
    assert list(scores) == ["detection_error", "diarization_error", "identification_error"]
    assert tuple(scores.values()) == pytest.approx(wanted)


def test_recordings_are_summed_up():
    gold, found = [[Segment(0, 3, A)], [Segment(0, 1, A)]], [[Segment(0, 3, A)], []]
    assert set(segment_scores(gold, found, [3.0, 2.0]).values()) == {0.25}
    swapped = [[Segment(0, 3, A)], [Segment(0, 1, B)]]  # in each recording labels may be called otherwise
    assert segment_scores(gold, swapped, [3.0, 2.0])["diarization_error"] == 0


def test_without_pyannote(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyannote.metrics", None)
    monkeypatch.setitem(sys.modules, "pyannote", None)
    with pytest.raises(
        UnsupportedError, match=r"scores of segments need pyannote.metrics: pip install 'regard\[audio\]'"
    ):
        segment_scores([[]], [[]], [1.0])


def test_times_are_told_in_ms():
    step = 220 / 22050
    assert as_segments(["a"], np.zeros(101, np.int64), step, 1.0041234) == [Segment(0.0, 1.004, "a")]


def test_a_recording_of_one_sample_has_a_segment_that_can_be_read_again():
    (part,) = as_segments(["one"], np.array([0]), 0.02, 1 / 8000)
    assert part == Segment(0.0, 0.001, "one")
    recording = Recording.from_samples(np.zeros(1), 8000)
    assert segments([list(part)], recording, Place()) == [Segment(0.0, 1 / 8000, "one")]
