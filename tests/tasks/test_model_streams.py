"""Streams of a model: whatever the pieces, windows, rates and neighbours in the batch, as of the whole recording."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import LABELS, labeler, recording, whole

from regard import ConfigError, DataError, Recording, ShapeError
from regard.tasks import streams
from regard.tasks.files import read
from regard.tasks.streams import Streams, in_pieces, takes_pieces

often = settings(deadline=None, max_examples=110, derandomize=True)


class Scores:
    """Gives the scores as they are."""

    def push(self, rows):
        return list(rows)

    def close(self):
        return []


SIDES = st.tuples(st.one_of(st.none(), st.integers(0, 6)), st.integers(0, 4))
OPTIONS = st.fixed_dictionaries(
    {
        "subsample": st.integers(1, 4),
        "normalize": st.sampled_from(["training", "running"]),
        "features": st.sampled_from(["log-mel", "mfcc"]),
        "positions": st.sampled_from(["relative", "sinusoidal", "rotary", "alibi", "none"]),
        "norm": st.sampled_from(["pre", "post"]),
        "position_reach": st.integers(1, 8),
        "windows": st.lists(SIDES, min_size=2, max_size=2),
    }
)
LENGTHS = st.lists(st.integers(0, 3000), min_size=1, max_size=5)  # samples of the pieces of one recording
PLACES = st.lists(st.lists(LENGTHS, min_size=1, max_size=2), min_size=1, max_size=3)


def run(several, places):
    """What comes out of ``places[place][number][piece]``, each stream closed at the end of a recording."""
    queues = [[(piece, number) for number, pieces in enumerate(place) for piece in pieces] for place in places]
    ends = [[number for _, number in queue] for queue in queues]
    out = [[[] for _ in place] for place in places]
    for turn in range(max(map(len, queues))):
        for place, found in enumerate(several.push([q[turn][0] if turn < len(q) else None for q in queues])):
            if turn < len(queues[place]):
                out[place][queues[place][turn][1]] += found
            else:
                assert found == []
        closing = [p for p, q in enumerate(ends) if turn < len(q) and (turn + 1 == len(q) or q[turn] != q[turn + 1])]
        for place, found in zip(closing, several.close(closing), strict=True):
            out[place][ends[place][turn]] += found
    return out


@often
@given(options=OPTIONS, rate=st.sampled_from([8000, 6000, 16000, 44100]), lengths=PLACES)
def test_streams_are_the_whole_recordings(options, rate, lengths):
    model = labeler(bins=10, **options)
    several = Streams(model.network, len(lengths), Scores, rate=rate)
    places = [
        [np.split(recording(sum(sizes) + 1, 10 * r + n).samples(), np.cumsum(sizes)) for n, sizes in enumerate(place)]
        for r, place in enumerate(lengths)
    ]
    for place, found in zip(places, run(several, places), strict=True):
        for pieces, rows in zip(place, found, strict=True):
            expected = whole(model, Recording.from_samples(np.concatenate(pieces), rate))
            torch.testing.assert_close(torch.stack(rows), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", ["pointwise", "sliding", "convolution", "attention"])
@pytest.mark.parametrize("causal", [False, True])
def test_vectors_through_any_encoder(encoder, causal):
    model = labeler("vectors", encoder=encoder, causal=causal, window=(3, 1))
    array = np.random.default_rng(2).normal(3, 2, (40, 4)).astype(np.float32)
    several = Streams(model.network, 1, Scores)
    ((rows,),) = run(several, [[np.split(array, [1, 2, 17, 30])]])
    torch.testing.assert_close(torch.stack(rows), whole(model, array), atol=1e-5, rtol=1e-5)


def test_labels_with_their_times():
    model, sound = labeler(window=(8, 2)), recording(24_000)
    stream = model.stream(rate=8000)
    found = [one for start in range(0, 24_000, 640) for one in stream.push(sound.samples()[start : start + 640])]
    assert len(found) < 150
    rest = stream.close()
    logits = whole(model, sound)
    assert [one.label for one in found + rest] == [LABELS[row] for row in logits.argmax(1).tolist()]
    assert [(one.start, one.end) for one in found[:3]] == [(0.0, 0.02), (0.02, 0.04), (0.04, 0.06)]
    assert rest[-1].end == 3.0
    assert rest[-1].score == pytest.approx(float(logits[-1].softmax(0).max()), abs=1e-5)
    assert stream.close() == []
    again = stream.push(sound.samples()) + stream.close()
    assert [one[:3] for one in again] == [one[:3] for one in found + rest]


def test_what_cannot_be_streamed():
    with pytest.raises(ConfigError, match="window: a stream cannot wait for all that follows"):
        labeler(window=(4, None)).stream()
    with pytest.raises(ConfigError, match="normalize: utterance scales by the whole recording"):
        labeler(window=4, normalize="utterance").stream()
    with pytest.raises(ConfigError, match=r"^front_end: a stream is of sound \(audio\) or of vectors; got one that"):
        labeler("words", [["a", "b"]], causal=True).stream()
    with pytest.raises(ConfigError, match="rate: vectors come as they are, got 8000"):
        labeler("vectors", window=1).stream(rate=8000)


def test_a_piece_that_is_none_is_refused_and_nothing_is_lost():
    model = labeler(causal=True)
    several = Streams(model.network, 2, Scores, rate=8000)
    first, second = (recording(4000, seed).samples() for seed in (1, 2))
    with pytest.raises(DataError, match=r"finite samples, found nan at 0\.000 s"):
        several.push([first, np.full(8, np.nan, np.float32)])
    with pytest.raises(ShapeError, match="pieces must have one for each of the 2 streams, got 1"):
        several.push([first])
    for numbers in ([-1], [0, 2]):
        with pytest.raises(ShapeError, match=r"numbers must be those of streams, from 0 to 1, got \[.*\d\]"):
            several.close(numbers)
    ((one,), (two,)) = run(several, [[[first]], [[second]]])
    torch.testing.assert_close(torch.stack(one), whole(model, recording(4000, 1)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.stack(two), whole(model, recording(4000, 2)), atol=1e-5, rtol=1e-5)


ENCODERS = [{"encoder": "convolution"}, {"window": (7, 3)}, {"window": 5, "causal": True}]


@pytest.mark.parametrize("options", ENCODERS, ids=str)
@pytest.mark.parametrize("normalize", ["training", "utterance", "running"])
def test_a_long_recording_is_labelled_in_pieces(options, normalize, monkeypatch):
    model, sound = labeler(normalize=normalize, longest_windowed=1000, **options), recording(200_000, 5)
    expected = whole(model, sound)
    torch.testing.assert_close(in_pieces(model.network, sound), expected, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(streams, "WHOLE", 1000)
    (answer,) = model.answers(read(model, [sound], labelled=False), frames=True)
    assert answer["labels"] == [LABELS[row] for row in expected.argmax(1).tolist()]


def test_what_is_not_read_in_pieces():
    assert not takes_pieces(labeler(window=(None, 0)).network)
    assert not takes_pieces(labeler(window=4, positions="learned", position_reach=2000).network)
    model = labeler(normalize="training", window=4, positions="learned", longest_windowed=1000)
    with pytest.raises(DataError, match="learned positions end"):
        model.predict([recording(200_000, 5)])


def test_the_memory_of_streams_does_not_grow():
    model, sizes = labeler(window=(9, 3), normalize="running"), []
    several = model.streams(2, rate=16_000)
    for turn in range(60):
        several.push([recording(8000, turn).samples(), None if turn % 3 else recording(800).samples()])
        sizes.append(several._state.numel())
    assert max(sizes) == max(sizes[:10])
