"""The decoder: PyTorch's own with the same weights, and its cached steps beside the whole sequence at once."""

import inspect
from itertools import product

import pytest
import torch
from torch import nn
from torch_weights import OF_DECODER, assert_same_gradients, scramble, torch_attention

from regard import ConfigError, Ragged, ShapeError
from regard.nn import Decoder, DecoderLayer, FeedForward, MultiHeadAttention, Relative, Sinusoidal, build_decoder
from regard.nn.streaming import FIRST_ROOM

DIM, LENGTHS, MEMORY_LENGTHS = 8, (5, 1, 9), (3, 7, 1)
POSITIONS = ("relative", "sinusoidal", "learned", "rotary", "alibi", "none")
WINDOWS = (None, (2, 1))
CHOICES = tuple(product(POSITIONS, ("dot", "additive"), ("softmax", "relu", "sigmoid"), ("pre", "post"), WINDOWS))
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


@torch.no_grad()
def torch_decoder_layer(ours, dim, activation):
    """A ``torch.nn.TransformerDecoderLayer`` that does what ``ours`` does."""
    theirs = nn.TransformerDecoderLayer(
        dim,
        ours.attention.heads,
        ours.feed_forward.input.out_features,
        dropout=0.0,
        activation=activation,
        batch_first=True,
        norm_first=ours.around_attention.pre,
        dtype=ours.attention.input.weight.dtype,
    )
    theirs.self_attn = torch_attention(ours.attention, dim)
    theirs.multihead_attn = torch_attention(ours.cross_attention, dim)
    theirs.linear1.load_state_dict(ours.feed_forward.input.state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward.output.state_dict())
    theirs.norm1.load_state_dict(ours.around_attention.norm.state_dict())
    theirs.norm2.load_state_dict(ours.around_cross_attention.norm.state_dict())
    theirs.norm3.load_state_dict(ours.around_feed_forward.norm.state_dict())
    return theirs


def batch(lengths, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return Ragged.from_lengths(torch.randn(sum(lengths), DIM, generator=generator, dtype=dtype), lengths)


def make(**options):
    torch.manual_seed(0)
    decoder = build_decoder(**({"dim": DIM, "depth": 2, "heads": 2, "position_reach": 24} | options)).double()
    for parameter in decoder.parameters():
        if parameter.dim() > 1:  # away from where they start
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder.eval()


def write(decoder, memory, prefixes, groups):
    """The rows that steps give, ``[R, N, E]``, for prefixes ``[R, N, E]`` of which source b has ``groups[b]``."""
    cache = decoder.start(memory)
    cache.keep(torch.arange(len(groups)).repeat_interleave(torch.tensor(groups)))
    return torch.stack([decoder.step(vectors, cache) for vectors in prefixes.unbind(1)], 1)


def read(decoder, memory, prefixes, groups):
    """The same, from whole prefixes."""
    R, N, _ = prefixes.shape
    sources = [part for part, count in zip(memory.unbind(), groups, strict=True) for _ in range(count)]
    whole = decoder(Ragged(prefixes.flatten(0, 1), torch.arange(R + 1) * N), Ragged.from_list(sources))
    return whole.values.view(R, N, -1)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_layer_is_that_of_pytorch(norm):
    attention, cross = (MultiHeadAttention(DIM, heads=2, causal=causal) for causal in (True, False))
    ours = scramble(DecoderLayer(attention, cross, FeedForward(DIM, 20), dim=DIM, norm=norm))
    theirs = torch_decoder_layer(ours, DIM, "relu")
    targets, memory = batch(LENGTHS), batch(MEMORY_LENGTHS, seed=1)
    inputs = [targets.values.requires_grad_(), memory.values.requires_grad_()]
    (padded, real), (padded_memory, real_memory) = targets.to_padded(), memory.to_padded()
    future = torch.ones(9, 9, dtype=torch.bool).triu(1)
    expected = theirs(padded, padded_memory, future, tgt_key_padding_mask=~real, memory_key_padding_mask=~real_memory)[
        real
    ]
    output = ours(targets, memory).values
    torch.testing.assert_close(output, expected)

    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    by_inputs = []
    for rows in (output, expected):
        (rows * weights).sum().backward()
        by_inputs.append([x.grad for x in inputs])
        for x in inputs:
            x.grad = None
    torch.testing.assert_close(*by_inputs)
    assert_same_gradients(ours, theirs, OF_DECODER)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("positions", POSITIONS)
def test_steps_are_the_whole_sequence_at_once(positions, dtype):
    groups, steps = (2, 1, 3), 5
    memory = batch(MEMORY_LENGTHS, dtype=dtype)
    generator = torch.Generator().manual_seed(2)
    prefixes = torch.randn(sum(groups), steps, DIM, generator=generator, dtype=dtype)
    for choice in CHOICES:
        if choice[0] != positions:
            continue
        names = ("positions", "score", "normalizer", "norm", "window")
        decoder = make(**dict(zip(names, choice, strict=True))).to(dtype)
        expected = read(decoder, memory, prefixes, groups)
        written = write(decoder, memory, prefixes, groups)
        torch.testing.assert_close(written, expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype], msg=str(choice))


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("window", [None, FIRST_ROOM - 2])
def test_steps_go_on_when_room_runs_out(positions, window):
    steps = FIRST_ROOM + 8
    decoder = make(positions=positions, window=window, position_reach=steps)
    memory, prefixes = batch((4, 2)), batch((steps,) * 3, seed=1).values.view(3, steps, DIM)
    torch.testing.assert_close(
        write(decoder, memory, prefixes, (1, 2)), read(decoder, memory, prefixes, (1, 2)), atol=1e-10, rtol=1e-10
    )


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("windows", [None, [(3, 0), None]], ids=str)
def test_any_number_of_targets_at_a_time(positions, windows):
    """Beginnings of any length, from which hypotheses branch and go on, one by one and several at a time."""
    decoder, memory = make(positions=positions, windows=windows, position_reach=30), batch((4, 2, 5))
    cache, whole = decoder.start(memory), batch((20, 20, 20, 20), seed=3).unbind()
    rows = [[] for _ in whole]
    begun = decoder.extend(Ragged.from_list([whole[0][:3], whole[1][:0], whole[3][:5]]), cache)
    for number, part in zip((0, 1, 3), begun.unbind(), strict=True):
        rows[number].append(part)
    cache.keep(torch.tensor([0, 1, 1, 2]))  # the third begins as the second did
    stops = [3, 0, 0, 5]
    for counts in ((4, 4, 4, 4), (1, 1, 1, 1), (0, 2, 5, 1), (0, 0, 0, 0), (2, 2, 2, 2)):
        starts, stops = stops, [stop + count for stop, count in zip(stops, counts, strict=True)]
        parts = [part[start:stop] for part, start, stop in zip(whole, starts, stops, strict=True)]
        if counts == (1, 1, 1, 1):
            got = decoder.step(torch.cat(parts), cache).split(1)
        else:
            got = decoder.extend(Ragged.from_list(parts), cache).unbind()
        for written, part in zip(rows, got, strict=True):
            written.append(part)
    sources = [memory.unbind()[source] for source in (0, 1, 1, 2)]
    targets = Ragged.from_list([part[:stop] for part, stop in zip(whole, stops, strict=True)])
    for written, expected in zip(rows, decoder(targets, Ragged.from_list(sources)).unbind(), strict=True):
        torch.testing.assert_close(torch.cat(written), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("window", [None, 4])
def test_hypotheses_branch_move_and_end(positions, window):
    """At every step other rows are kept; each must go on as if it had been written alone."""
    decoder, memory = make(positions=positions, window=window), batch((3, 7, 1, 2))
    generator = torch.Generator().manual_seed(3)
    cache, sources, written = decoder.start(memory), torch.arange(4), torch.zeros(4, 0, DIM, dtype=torch.float64)
    for step in range(10):
        vectors = torch.randn(len(sources), DIM, generator=generator, dtype=torch.float64)
        written = torch.cat([written, vectors[:, None]], 1)
        rows = decoder.step(vectors, cache)
        groups = sources.bincount(minlength=4).tolist()
        torch.testing.assert_close(rows, read(decoder, memory, written, groups)[:, -1], atol=1e-10, rtol=1e-10)
        alive = sources.unique() if step not in (4, 7) else sources.unique()[1:]  # the first source ends
        kept = [torch.nonzero(sources == source).squeeze(1) for source in alive]
        chosen = [rows[torch.randint(len(rows), (3,), generator=generator)] for rows in kept]
        rows = torch.cat(chosen) if step % 3 else torch.cat(kept)
        cache.keep(rows)
        sources, written = sources[rows], written[rows]
        assert cache.offsets.tolist() == [int((sources < source).sum()) for source in range(5)]


def test_grouped_heads_are_kept_as_they_are():
    def attention(**options):
        return MultiHeadAttention(DIM, heads=4, key_heads=2, **options)

    layers = [
        DecoderLayer(attention(causal=True), attention(), FeedForward(DIM, 16), dim=DIM, norm="post") for _ in range(2)
    ]
    decoder = scramble(Decoder(layers, order=Relative(2, 4, left=3, right=0)))
    memory, prefixes = batch(MEMORY_LENGTHS), batch((7,) * 4, seed=1).values.view(4, 7, DIM)
    written = write(decoder, memory, prefixes, (1, 1, 2))
    torch.testing.assert_close(written, read(decoder, memory, prefixes, (1, 1, 2)), atol=1e-10, rtol=1e-10)


def test_the_hypotheses_of_a_source_share_its_memory():
    decoder, memory = make(), batch(MEMORY_LENGTHS)
    cache = decoder.start(memory)
    cache.keep(torch.tensor([0] * 5 + [2] * 4))
    assert len(cache) == 9
    assert all(len(made.key) == len(made.value) == sum(MEMORY_LENGTHS) for made in cache.memory)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("choice", [{}, {"window": 2}, {"norm": "post", "score": "additive"}], ids=str)
def test_no_target_sees_what_comes_later_or_another_source(positions, choice):
    decoder, targets, memory = make(positions=positions, **choice), batch(LENGTHS), batch(MEMORY_LENGTHS, seed=1)
    targets.values.requires_grad_()
    memory.values.requires_grad_()
    weights = torch.linspace(-1, 1, DIM, dtype=torch.float64) ** 3
    row = 2  # of the first sequence
    seen = torch.autograd.grad((decoder(targets, memory).values[row] * weights).sum(), [targets.values, memory.values])
    by_target, by_memory = (gradient.abs().amax(1) > 0 for gradient in seen)
    assert by_target.nonzero().flatten().tolist() == [0, 1, 2]
    assert by_memory.nonzero().flatten().tolist() == [0, 1, 2]


def test_a_gradient_reaches_every_parameter():
    for positions in POSITIONS:
        decoder = make(positions=positions, score="additive", embedding_norm=True)
        output = decoder(batch(LENGTHS), batch(MEMORY_LENGTHS, seed=1)).values
        (output * torch.randn(DIM, dtype=torch.float64)).square().sum().backward()
        for name, parameter in decoder.named_parameters():
            assert parameter.grad.abs().max() > 0, (positions, name)


@pytest.mark.parametrize("lengths", [((), ()), ((0,), (2,)), ((2,), (0,)), ((0, 3), (4, 0))], ids=str)
def test_nothing_and_next_to_nothing(lengths):
    targets, memory = batch(lengths[0]), batch(lengths[1])
    targets.values.requires_grad_()
    for depth in (0, 2):
        output = make(depth=depth)(targets, memory).values
        output.sum().backward()
        assert output.shape == targets.values.shape
        assert output.isfinite().all()
    if len(memory):
        rows = torch.randn(len(memory), DIM, dtype=torch.float64)
        expected = read(decoder := make(), memory, rows[:, None], [1] * len(memory))
        torch.testing.assert_close(decoder.step(rows, decoder.start(memory)), expected[:, 0])


def test_the_memory_has_positions_if_wanted():
    decoder, plain = make(memory_positions="sinusoidal"), make(memory_positions="none")
    targets, memory = batch(LENGTHS), batch(MEMORY_LENGTHS)
    expected = plain(targets, Sinusoidal()(memory)).values
    torch.testing.assert_close(decoder(targets, memory).values, expected)
    prefixes = torch.randn(6, 5, DIM, dtype=torch.float64)
    torch.testing.assert_close(write(decoder, memory, prefixes, (2, 1, 3)), read(decoder, memory, prefixes, (2, 1, 3)))
    with pytest.raises(ConfigError, match="memory_positions must be one of sinusoidal, none; got 'learned'"):
        make(memory_positions="learned")


def test_no_layers_are_steps_too():
    decoder, memory, rows = make(depth=0), batch((2, 1)), torch.randn(2, DIM, dtype=torch.float64)
    torch.testing.assert_close(decoder.step(rows, decoder.start(memory)), decoder.norm(rows))


def test_learned_positions_end():
    decoder, memory = make(positions="learned", position_reach=3), batch((2,))
    cache = decoder.start(memory)
    for _ in range(3):
        decoder.step(torch.zeros(1, DIM, dtype=torch.float64), cache)
    with pytest.raises(ConfigError, match="learned positions end at 3 items, got a sequence of 4"):
        decoder.step(torch.zeros(1, DIM, dtype=torch.float64), cache)


def test_rows_that_do_not_fit_are_refused():
    decoder = make()
    cache = decoder.start(batch(MEMORY_LENGTHS))
    with pytest.raises(ShapeError, match="one row for each of the 3 hypotheses of the cache, got 4"):
        decoder.step(torch.zeros(4, DIM, dtype=torch.float64), cache)
    with pytest.raises(ShapeError, match="one sequence for each of the 3 streams, got 4"):
        decoder.extend(batch((1, 1, 1, 1)), cache)
    with pytest.raises(ShapeError, match=r"must keep the sources in their order, got .*\[1, 0\]"):
        cache.keep(torch.tensor([1, 0]))


def test_attentions_that_cannot_be_a_decoder_are_refused():
    causal, free = MultiHeadAttention(DIM, heads=2, causal=True), MultiHeadAttention(DIM, heads=2)
    with pytest.raises(ConfigError, match="must not see what comes later; make it with causal=True"):
        DecoderLayer(free, free, FeedForward(DIM, 16), dim=DIM)
    with pytest.raises(ConfigError, match="cross_attention must see the whole memory, got window None and causal True"):
        DecoderLayer(causal, causal, FeedForward(DIM, 16), dim=DIM)
    with pytest.raises(ConfigError, match=r"positions must be one of relative, .*none; got 'absolute'"):
        make(positions="absolute")


def test_options_have_the_names_and_defaults_of_the_encoder():
    from regard.nn import build_encoder

    theirs = inspect.signature(build_encoder).parameters
    ours = inspect.signature(build_decoder).parameters
    assert ours.keys() - theirs.keys() == {"memory_positions", "memory_grid"}
    for name in ours.keys() & theirs.keys():
        assert ours[name].default == theirs[name].default, name
