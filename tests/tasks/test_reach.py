"""How far a network sees, beside what its streams wait for and what changes its answers."""

import numpy as np
import pytest
import torch
from streaming import labeler, recording, whole

from regard import Recording
from regard.tasks.reach import reach_of, told


@pytest.mark.parametrize("subsample", [1, 3])
@pytest.mark.parametrize("windows", [[(3, 2), (2, 1)], [(1, 0), (0, 0)]], ids=str)
def test_an_answer_comes_when_all_it_sees_is_there(subsample, windows):
    model = labeler(windows=windows, subsample=subsample)
    reach, stream, came = reach_of(model.network), model.stream(rate=8000), 0
    assert reach["look_ahead"] == windows[0][1] + windows[1][1]
    for number in range(1, 400):
        came += len(stream.push(np.zeros(40, np.float32)))
        heard = number * 40 / 8000 - reach["look_ahead_seconds"]
        assert came == max(0, int(heard / model.network.front_end.seconds + 1e-9))


def test_samples_beyond_the_receptive_field_change_nothing():
    model, samples = labeler(windows=[(3, 2), (2, 1)]), recording(8000).samples()
    reach, vector = reach_of(model.network), 25
    start = vector * 0.02 + 0.02 + reach["look_ahead_seconds"] - reach["receptive_field_seconds"]
    stop = start + reach["receptive_field_seconds"]
    first, last = round(start * 8000), round(stop * 8000)
    other = samples.copy()
    other[: first - 1] = other[last + 1 :] = 0  # Kaldi's first difference reads one sample more
    expected, found = (whole(model, Recording.from_samples(x, 8000))[vector] for x in (samples, other))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    other[first : first + 400] = 0
    assert not torch.allclose(whole(model, Recording.from_samples(other, 8000))[vector], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"window": (4, 1)}, "receptive field 11 vectors, 0.28 s; look-ahead 2 vectors, 0.07 s"),
        (
            {"window": (4, 1), "normalize": "running"},
            "receptive field 11 vectors, 10.27 s; look-ahead 2 vectors, 0.07 s",
        ),
        ({"window": (None, 0)}, "receptive field all vectors, the whole recording; look-ahead 0 vectors, 0.03 s"),
        ({"encoder": "sliding"}, "receptive field 5 vectors, 0.15 s; look-ahead 2 vectors, 0.07 s"),
        (
            {"window": 1, "normalize": "utterance"},
            "receptive field 5 vectors, the whole recording; look-ahead 2 vectors, the whole recording",
        ),
    ],
    ids=str,
)
def test_what_is_told(options, text):
    assert told(reach_of(labeler(**options).network), timed=True) == text


def test_vectors_have_no_seconds():
    reach = reach_of(labeler("vectors", window=(3, None)).network)
    assert reach == dict.fromkeys(reach)
    assert told(reach, timed=False) == "receptive field all vectors; look-ahead all vectors"
    one = told(reach_of(labeler("vectors", depth=0).network), timed=False)
    assert one == "receptive field 1 vector; look-ahead 0 vectors"
