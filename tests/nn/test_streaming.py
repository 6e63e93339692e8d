"""Streams: whatever the pieces, the rows are those of the whole sequence at once, and come as soon as they can."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import ConfigError, Ragged, ShapeError
from regard.nn import Buffer, Chunk, MultiHeadAttention, NeighbourLayer, Order, Places, build_encoder
from regard.nn.build import ENCODERS, POSITIONS
from regard.nn.chunk import packed, padded
from regard.nn.layers import FeedForward
from regard.nn.streaming import FIRST_ROOM

DIM, PIECES, LONGEST = 8, 5, 4
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
often = settings(max_examples=200, derandomize=True, deadline=None)


@st.composite
def encoders(draw):
    kind, depth, positions = draw(st.sampled_from(ENCODERS)), draw(st.integers(0, 3)), draw(st.sampled_from(POSITIONS))
    reach = PIECES * LONGEST if positions == "learned" else draw(st.integers(1, 4))
    left = st.integers(0, 4) if kind != "attention" else st.one_of(st.none(), st.integers(0, 4))
    window = st.tuples(left, st.integers(0, 3))
    if kind in ("pointwise", "sliding") or draw(st.booleans()):
        windows = {"window": draw(window)}
    else:
        windows = {"windows": draw(st.lists(window, min_size=depth, max_size=depth))}
    return {
        "kind": kind,
        "depth": depth,
        "positions": positions,
        "position_reach": reach,
        "norm": draw(st.sampled_from(["pre", "post"])),
        "embedding_norm": draw(st.booleans()),
        "score": draw(st.sampled_from(["dot", "additive"])),
        "normalizer": draw(st.sampled_from(["softmax", "relu", "sigmoid"])),
        "causal": draw(st.integers(0, 4)) == 0,
        **windows,
    }


@st.composite
def places(draw):
    """For each place the sequences that come there one after the other; of each sequence the lengths of its pieces."""
    sequence = st.lists(st.integers(0, LONGEST), min_size=1, max_size=PIECES)
    one = st.lists(sequence, min_size=1, max_size=2)
    count = draw(st.integers(1, 3))
    if draw(st.booleans()):  # in step, which goes another way
        return [draw(one)] * count
    return draw(st.lists(one, min_size=count, max_size=count))


def make(kind="attention", dtype=torch.float64, **options):
    torch.manual_seed(0)
    encoder = build_encoder(kind, **({"dim": DIM, "heads": 2, "depth": 2} | options)).to(dtype)
    for parameter in encoder.parameters():
        if parameter.dim() > 1:  # away from where they start
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


def vectors(*lengths, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return Ragged.from_lengths(torch.randn(sum(lengths), DIM, generator=generator, dtype=dtype), lengths)


def nothing(streams, dtype=torch.float64):
    return Ragged.from_lengths(torch.empty(0, DIM, dtype=dtype), [0] * streams)


def ahead(encoder):
    """How many vectors must follow one before it comes out, over all layers."""
    return sum(layer.start().waiting.limit for layer in encoder.layers)


def run(encoder, sequences):
    """What comes out of ``sequences[place][number][piece]``, vectors, laid together by place and number."""
    queues = [
        [(piece, number, piece is pieces[-1]) for number, pieces in enumerate(place) for piece in pieces]
        for place in sequences
    ]
    streams = encoder.start(len(queues))
    out = [[pieces[0][:0] for pieces in place] for place in sequences]
    came = [[0] * len(place) for place in sequences]
    for turn in range(max(map(len, queues))):
        idle = (sequences[0][0][0][:0], None, False)
        now = [queue[turn] if turn < len(queue) else idle for queue in queues]
        ended = torch.tensor([last for *_, last in now])
        rows = encoder.extend(Ragged.from_list([piece for piece, *_ in now]), streams, ended)
        for place, ((piece, number, last), got) in enumerate(zip(now, rows.unbind(), strict=True)):
            if number is None:  # nothing comes after the last sequence
                assert not len(got)
                continue
            out[place][number] = torch.cat([out[place][number], got])
            came[place][number] += len(piece)
            sure = came[place][number] if last else max(0, came[place][number] - ahead(encoder))
            assert len(out[place][number]) == sure, "rows come as soon as they can, and no sooner"
    assert not streams.positions[[place for place, queue in enumerate(queues) if queue[-1][2]]].any()
    return out


@often
@given(options=encoders(), lengths=places())
def test_pieces_are_the_whole_sequence(options, lengths):
    encoder = make(**options)
    sequences = [
        [list(vectors(sum(pieces), seed=10 * r + n).values.split(pieces)) for n, pieces in enumerate(place)]
        for r, place in enumerate(lengths)
    ]
    for place, found in zip(sequences, run(encoder, sequences), strict=True):
        for pieces, rows in zip(place, found, strict=True):
            expected = encoder(Ragged.from_list([torch.cat(pieces)])).values
            torch.testing.assert_close(rows, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("windows", [[(9, 2), (None, 1), (3, 0)], [(20, 0), (4, 0), (0, 0)], [(0, 3), (5, 1), (7, 2)]])
def test_many_long_streams(positions, windows, dtype):
    encoder = make(depth=3, positions=positions, windows=windows, position_reach=70, dtype=dtype)
    whole = vectors(70, 33, 0, 51, dtype=dtype)
    generator, pieces = torch.Generator().manual_seed(5), []
    for sequence in whole.unbind():
        cuts = torch.randint(len(sequence) + 1, (11,), generator=generator).sort().values.tolist()
        pieces.append([[sequence[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(sequence)], strict=True)]])
    tolerance = TOLERANCE[dtype]
    for (rows,), expected in zip(run(encoder, pieces), encoder(whole).unbind(), strict=True):
        torch.testing.assert_close(rows, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("kind", ["attention", "convolution"])
@pytest.mark.parametrize("even", [True, False])
def test_the_memory_of_a_stream_does_not_grow(kind, even):
    encoder, generator = make(kind, windows=[(5, 2), (9, 0)]), torch.Generator().manual_seed(0)
    streams, sizes = encoder.start(3), []
    for turn in range(300):
        lengths = [3] * 3 if even else torch.randint(4, (3,), generator=generator).tolist()
        encoder.extend(vectors(*lengths, seed=turn), streams)
        sizes.append(streams.numel())
    rows = 2 * (5 + 2 + 2 + 9 + 2) * 3 * DIM  # keys and values, or vectors, and what waits
    assert max(sizes) == max(sizes[:20]) < 8 * rows


@pytest.mark.parametrize("kind", ["attention", "convolution"])
def test_streams_are_kept_and_let_go(kind):
    encoder, whole = make(kind, window=(4, 1)), vectors(9, 9, 9)
    sequences = whole.unbind()
    streams = encoder.start(3)
    first = encoder.extend(
        Ragged.from_list([sequence[:n] for sequence, n in zip(sequences, (5, 2, 4), strict=True)]), streams
    )
    streams.keep(torch.tensor([2, 0, 2]))
    assert streams.positions.tolist() == [4, 5, 4]
    ends = [sequences[2][4:], sequences[0][5:], sequences[2][4:6]]
    rest = encoder.extend(Ragged.from_list(ends), streams, torch.tensor([True, True, False])).unbind()
    expected = encoder(whole).unbind()
    for number, rows in ((0, rest[1]), (2, rest[0])):
        torch.testing.assert_close(torch.cat([first.unbind()[number], rows]), expected[number])
    torch.testing.assert_close(rest[2], expected[2][2:4])


@pytest.mark.parametrize("kind", ["attention", "convolution"])
def test_what_is_broken_in_one_stream_stays_there_and_goes_with_it(kind):
    encoder, whole = make(kind, windows=[(4, 1), (3, 2)]), vectors(12, 12)
    ill = whole.unbind()[1].clone()
    ill[::3] = torch.nan
    streams, found = encoder.start(2), [[], []]
    for start in range(0, 12, 2):
        well = whole.unbind()[0]
        piece = Ragged.from_list([well[start : start + 2], ill[start : start + 1 + start % 4]])
        rows = encoder.extend(piece, streams, torch.tensor([start == 10, start == 4])).unbind()
        found[0].append(rows[0])
        found[1].append(rows[1])
        if start == 4:  # a new stream in the place of the one that was ill
            ill = whole.unbind()[1]
    assert torch.cat(found[1][:3]).isnan().any()
    torch.testing.assert_close(torch.cat(found[0]), encoder(whole).unbind()[0])
    assert torch.cat(found[1][3:]).isfinite().all()


def test_one_attention_layer_by_itself():
    attention = MultiHeadAttention(DIM, heads=4, key_heads=2, window=(3, 2)).double()
    whole, state, none = vectors(7, 5), attention.start(), np.zeros(2, dtype=bool)
    first = attention.extend(Chunk(whole.values[:7], Places(np.array([7, 0]), np.array([0, 0]), none)), state)
    assert (first.places.counts.tolist(), first.places.starts.tolist()) == ([5, 0], [0, 0])
    last = attention.extend(Chunk(whole.values[7:], Places(np.array([0, 5]), np.array([7, 0]), ~none)), state)
    assert (last.places.counts.tolist(), last.places.starts.tolist()) == ([2, 5], [5, 0])
    torch.testing.assert_close(torch.cat([first.values, last.values]), attention(whole).values)


def test_where_rows_stand():
    places = Places(np.array([3, 0, 1]), np.array([0, 4, 1]), np.array([False, False, True]))
    held, out, picked = places.held(2), places.after(2), places.picked(2)
    assert (held.counts.tolist(), held.columns, held.before, held.after, held.full) == ([3, 2, 2], 3, 2, 2, False)
    assert (out.counts.tolist(), out.starts.tolist()) == ([1, 0, 2], [0, 2, 0])
    assert (picked.start, picked.stop, picked.first.tolist(), picked.even) == (0, 3, [0, 1, 1], False)
    assert places.held(None).counts.tolist() == [3, 4, 2]
    assert places.after(0) is places
    assert (places.picked(0).start, places.picked(0).stop, places.picked(0).first.tolist()) == (0, 3, [0, 3, 2])


def test_a_buffer_lets_go_what_is_further_back():
    buffer, none = Buffer(3), np.zeros(2, dtype=bool)
    for step in range(100):
        rows = torch.full((2, 1, 4), float(step))
        seen = buffer.extend(rows, Places(np.ones(2, dtype=int), np.full(2, step), none))
        assert seen[0, 0, :, 0].tolist() == list(range(max(0, step - 3), step + 1))
        assert buffer.numel() <= 2 * rows.numel() * FIRST_ROOM


def test_rows_are_padded_and_packed_again():
    rows, none = torch.randn(6, 2, 3), np.zeros(4, dtype=bool)
    places = Places(np.array([3, 0, 1, 2]), np.zeros(4, dtype=int), none)
    dense = padded(rows, places)
    assert dense.shape == (4, 2, 3, 3)
    assert not dense[1].any()
    assert not dense[2, :, :2].any()
    torch.testing.assert_close(packed(dense, places.picked(0)), rows)
    even = Places(np.array([3, 3]), np.array([0, 5]), none[:2])
    dense = padded(rows, even)
    assert dense.data_ptr() == rows.data_ptr()
    torch.testing.assert_close(packed(dense, even.picked(0)), rows)


@pytest.mark.parametrize("window", [None, (3, None)])
def test_a_window_without_an_end_to_the_right_is_refused(window):
    with pytest.raises(ConfigError, match=r"window: a stream cannot wait for all that follows.*take causal=True, or"):
        make(window=window).start(1)
    assert len(make(window=window, causal=True).start(2)) == 2


def test_what_does_not_fit_is_refused():
    encoder = make(window=(2, 0))
    streams = encoder.start(2)
    with pytest.raises(ShapeError, match="one sequence for each of the 2 streams, got 3; give an empty one"):
        encoder.extend(vectors(1, 1, 1), streams)
    for finish in (torch.tensor([True]), torch.tensor([1, 0])):
        with pytest.raises(ShapeError, match=r"finish must be bool of shape \[2\], True for each stream that ends"):
            encoder.extend(vectors(1, 1), streams, finish)
    buffer, none, rows = Buffer(4), np.zeros(2, dtype=bool), torch.zeros(4, 1, 3)
    buffer.extend(rows, Places(np.array([2, 2]), np.array([0, 0]), none))
    later = Places(np.array([2, 2]), np.array([6, 2]), none)
    fewer = Places(np.array([4]), np.array([2]), none[:1])
    for places in (later, fewer):
        with pytest.raises(ShapeError, match=r"chunk must be the next of the streams .* 2 rows of 2 streams"):
            buffer.extend(rows, places)
    with pytest.raises(ShapeError, match="it remembers 0 rows of 0 streams, got a chunk of 2 that start at"):
        Buffer(4).extend(rows, later)


def test_a_layer_of_neighbours_has_no_attention_to_be_told():
    layer = NeighbourLayer(FeedForward(DIM, 7), dim=DIM, left=0, right=0)
    with pytest.raises(ConfigError, match="order: a layer of neighbours has no attention"):
        layer(vectors(2, dtype=torch.float32), Order(rotation=(torch.ones(2, 1, 1), torch.zeros(2, 1, 1))))


def test_learned_positions_end_in_a_stream_too():
    encoder = make(positions="learned", position_reach=5, window=(2, 0))
    streams = encoder.start(2)
    encoder.extend(vectors(3, 5), streams)
    with pytest.raises(ConfigError, match="learned positions end at 5 items, got a sequence of 6"):
        encoder.extend(vectors(1, 1), streams)
    assert len(encoder.extend(vectors(2, 0), streams).values) == 2
