"""Searches beside plain Python: every sequence there is, greedy and beam search by the definition."""

import math
from itertools import product

import pytest
import torch

from regard import ConfigError, Ragged, RegardError
from regard.decoding.search import _first, sample, search
from regard.nn import build_decoder

BEGIN, END, PAD = 0, 1, 2
V, HIDDEN = 6, 5  # ids 3, 4 and 5 can be written
BANNED = (BEGIN, PAD)
LIMITS = (4, 1, 0, 3, 2)
SMALL = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}


class Toy:
    """A recurrent model of random weights, whose next id depends on the source and on all that was written."""

    def __init__(self, sources, seed=0, end=0.0):
        generator = torch.Generator().manual_seed(seed)
        self.start, self.mix, self.table, self.output = (
            torch.randn(shape, generator=generator, dtype=torch.float64)
            for shape in ((len(LIMITS), HIDDEN), (HIDDEN, HIDDEN), (V, HIDDEN), (HIDDEN, V))
        )
        self.end, self.hidden, self.rows = end, self.start[sources], []

    def step(self, ids):
        self.rows.append(len(ids))
        self.hidden = torch.tanh(self.hidden @ self.mix + self.table[ids])
        scores = 1.5 * self.hidden @ self.output
        scores[:, END] += self.end
        return scores.log_softmax(1)

    def keep(self, rows):
        self.hidden = self.hidden[rows]


def run(seed=0, sources=(0, 1, 2, 3, 4), end=0.0, find=search, limits=LIMITS, banned=BANNED, **options):
    sources = list(sources)
    model = Toy(sources, seed, end)
    limits = torch.tensor([limits[source] for source in sources], dtype=torch.int64)
    options = {"begin": BEGIN, "end": END, "banned": banned, "max_lengths": limits} | options
    return find(model.step, model.keep, **options), model


def next_log_probs(seed, source, ids, end=0.0):
    """After ``ids``, with nothing for what is banned."""
    model = Toy([source], seed, end)
    for last in (BEGIN, *ids):
        log_probs = model.step(torch.tensor([last]))[0]
    return [-math.inf if i in BANNED else x for i, x in enumerate(log_probs.tolist())]


def beam_search(seed, source, limit, beam, penalty, end=0.0, n_best=1):
    """By the definition, to the end; ``(ids, score, finished)``, best first."""
    live, found = [((), 0.0)], []
    for length in range(limit + 1):
        continued = []
        for ids, total in live:
            log_probs = next_log_probs(seed, source, ids, end)
            likeliest = max(range(V), key=log_probs.__getitem__)
            for i, x in enumerate(log_probs):
                if x > -math.inf and (i == END or length < limit):
                    continued.append((total + x, ids, i, length < limit or likeliest == END))
        continued.sort(key=lambda one: -one[0])
        for total, ids, i, by_itself in continued[:beam]:
            if i == END:
                found.append((list(ids), total / (length + 1) ** penalty, by_itself))
        live = [((*ids, i), total) for total, ids, i, _ in continued if i != END][:beam]
        found.sort(key=lambda one: -one[1])
        present = max((total / (length + 1) ** penalty for _, total in live), default=-math.inf)
        if len(found) >= beam and present <= found[n_best - 1][1]:
            break
    return found


def everything(seed, source, limit, penalty):
    """Every sequence there is with its score, best first."""
    found = []
    for length in range(limit + 1):
        for ids in product(range(3, V), repeat=length):
            logs = [next_log_probs(seed, source, ids[:n]) for n in range(length + 1)]
            total = sum(row[i] for row, i in zip(logs, (*ids, END), strict=True))
            by_itself = length < limit or max(logs[-1]) == logs[-1][END]
            found.append((list(ids), total / (length + 1) ** penalty, by_itself))
    return sorted(found, key=lambda one: -one[1])


def same(hypotheses, expected):
    assert [(one.ids, one.finished) for one in hypotheses] == [(ids, finished) for ids, _, finished in expected]
    assert [one.score for one in hypotheses] == pytest.approx([score for _, score, _ in expected])


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
def test_a_beam_that_holds_everything_finds_the_best_of_all(penalty):
    for seed in range(3):
        found, _ = run(seed, beam=150, n_best=7, length_penalty=penalty)
        for source, limit in enumerate(LIMITS):
            same(found[source], everything(seed, source, limit, penalty)[:7])


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_a_beam_is_that_of_the_definition_though_it_stops_early(beam, penalty):
    limits = (7, 1, 0, 5, 6)
    for seed, end in ((0, 0.0), (1, 2.0), (2, -2.0)):
        for n_best in {1, beam}:
            found, _ = run(seed, end=end, limits=limits, beam=beam, n_best=n_best, length_penalty=penalty)
            for source, limit in enumerate(limits):
                same(found[source], beam_search(seed, source, limit, beam, penalty, end, n_best)[:n_best])


def test_a_beam_of_one_is_greedy():
    limits = (9, 4, 0, 7, 12)
    for seed in range(6):
        found, _ = run(seed, limits=limits)
        for source, limit in enumerate(limits):
            ids = []
            while True:
                log_probs = next_log_probs(seed, source, ids)
                chosen = max(range(V), key=log_probs.__getitem__)
                if chosen == END or len(ids) == limit:
                    break
                ids.append(chosen)
            assert [one.ids for one in found[source]] == [ids]
            assert found[source][0].finished == (chosen == END)


@pytest.mark.parametrize("beam", [1, 2, 4])
def test_a_source_is_the_same_alone_and_among_others(beam):
    limits = (9, 4, 0, 7, 12)
    for seed in range(4):
        together, _ = run(seed, limits=limits, beam=beam, n_best=beam)
        for source in range(len(limits)):
            ((alone,), _) = run(seed, [source], limits=limits, beam=beam, n_best=beam)
            same(together[source], [(one.ids, one.score, one.finished) for one in alone])


def test_the_best_are_sorted_distinct_and_as_many_as_wanted():
    found, _ = run(3, limits=(8,) * 5, beam=6, n_best=6)
    for hypotheses in found:
        assert len({tuple(one.ids) for one in hypotheses}) == len(hypotheses) == 6
        scores = [one.score for one in hypotheses]
        assert scores == sorted(scores, reverse=True)


def test_nothing_banned_is_written_and_all_else_is():
    found, _ = run(4, limits=(8,) * 5, beam=20, n_best=20)
    assert {i for hypotheses in found for one in hypotheses for i in one.ids} == {3, 4, 5}
    found, _ = run(4, limits=(8,) * 5, beam=20, n_best=20, banned=())
    assert {i for hypotheses in found for one in hypotheses for i in one.ids} == {0, 2, 3, 4, 5}


@pytest.mark.parametrize("find", [search, sample])
def test_a_model_that_never_ends_is_cut_and_pays_for_the_end(find):
    found, model = run(5, end=-40.0, find=find, limits=(6, 0, 3, 1, 2))
    assert [len(one.ids) for (one,) in found] == [6, 0, 3, 1, 2]
    assert not any(one.finished for (one,) in found)
    assert all(one.score * (len(one.ids) + 1) < -30 for (one,) in found)
    assert model.rows == [5, 4, 3, 2, 1, 1, 1]  # who is cut leaves the batch


def test_a_sequence_of_the_greatest_length_that_would_end_is_finished():
    found, _ = run(5, end=40.0, limits=(0, 0, 3, 3, 3))
    assert [(one.ids, one.finished) for (one,) in found] == [([], True)] * 5


def test_a_model_to_which_the_end_is_impossible_writes_nothing():
    assert run(0, end=-math.inf, beam=2)[0] == [[]] * 5


def test_sources_stop_once_nothing_better_can_come():
    _, model = run(0, end=3.0, limits=(50,) * 5, beam=4, length_penalty=0.0)
    assert len(model.rows) < 5
    _, model = run(0, limits=(50,) * 5, beam=4)
    assert max(model.rows) <= 4 * 5
    assert model.rows[0] == 5


def test_equals_go_by_the_lower_id():
    flat = torch.full((V, V), 1 / V, dtype=torch.float64).log()
    options = {"begin": BEGIN, "end": END, "banned": BANNED, "max_lengths": torch.tensor([2, 2])}
    found = search(lambda ids: flat[ids], lambda rows: None, **options, beam=4, n_best=4, length_penalty=0.0)
    assert [one.ids for one in found[0]] == [[], [3], [3, 3], [3, 4]]
    assert found[0] == found[1]


def test_the_first_few_are_those_of_a_stable_sort():
    scores = torch.randint(0, 4, (50, 9), generator=torch.Generator().manual_seed(0)).double()
    scores[scores == 0] = -math.inf
    for most in (1, 3, 8, 9, 20):
        best, ids = _first(scores, most)
        expected = scores.sort(dim=1, descending=True, stable=True)
        assert torch.equal(best, expected.values[:, :most])
        assert torch.equal(ids[best > -math.inf], expected.indices[:, :most][best > -math.inf])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_log_probabilities_of_any_type(dtype):
    table = torch.randn(V, V, generator=torch.Generator().manual_seed(0)).log_softmax(1).to(dtype)
    options = {"begin": BEGIN, "end": END, "banned": BANNED, "max_lengths": torch.tensor([3, 2])}
    for find in (search, sample):
        assert find(lambda ids: table[ids], lambda rows: None, **options)[0][0].score < 0


@pytest.mark.parametrize("find", [search, sample])
def test_no_sources_at_all(find):
    assert run(0, [], find=find)[0] == []


def test_draws_have_the_chances_of_the_model():
    count = 4000
    (found,), _ = run(0, [0], find=sample, samples=count, generator=torch.Generator().manual_seed(0))
    expected = {tuple(ids): score for ids, score, _ in everything(0, 0, LIMITS[0], 0.0)}
    chances = torch.tensor(next_log_probs(0, 0, ())).softmax(0)
    for i in (END, 3, 4, 5):
        share = sum((one.ids[:1] or [END]) == [i] for one in found) / count
        assert share == pytest.approx(float(chances[i]), abs=4 * math.sqrt(0.25 / count))
    for one in found:
        assert one.score == pytest.approx(expected[tuple(one.ids)] / (len(one.ids) + 1))


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}], ids=str)
def test_draws_without_a_choice_are_greedy(options):
    greedy, _ = run(2, limits=(9, 4, 0, 7, 12))
    drawn, _ = run(2, limits=(9, 4, 0, 7, 12), find=sample, samples=3, **options)
    for one, three in zip(greedy, drawn, strict=True):
        assert [x.ids for x in three] == [one[0].ids] * 3


def test_draws_keep_to_the_likeliest():
    log_probs = next_log_probs(0, 0, ())
    ranked = sorted(range(V), key=lambda i: -log_probs[i])
    chances = torch.tensor(log_probs).softmax(0)
    two = float(chances[ranked[0]] + chances[ranked[1]])
    for options in ({"top_k": 2}, {"top_p": two - 1e-3}, {"top_k": 2, "top_p": 0.999}):
        (found,), _ = run(0, [0], find=sample, samples=300, **options)
        assert {(one.ids[:1] or [END])[0] for one in found} == set(ranked[:2])


def test_draws_are_the_same_from_the_same_seed():
    first, second, other = (
        run(0, find=sample, samples=4, generator=torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert first == second != other
    assert all(len(hypotheses) == 4 for hypotheses in first)


@pytest.mark.parametrize(
    ("find", "options", "message"),
    [
        (search, {"beam": 0}, "n_best must be from 1 to beam, both at least 1; got n_best 1 and beam 0"),
        (search, {"beam": 2, "n_best": 3}, "got n_best 3 and beam 2"),
        (search, {"length_penalty": -1.0}, "length_penalty must be a number from 0, got -1.0"),
        (sample, {"length_penalty": math.inf}, "length_penalty must be a number from 0, got inf"),
        (search, {"banned": (END,)}, "banned must not hold end, the id 1"),
        (search, {"max_lengths": torch.tensor([3, -1])}, "one for each source; got .* lowest -1"),
        (search, {"max_lengths": torch.tensor([3.0])}, r"must be \[B\] int64 from 0.*got torch.float32"),
        (sample, {"temperature": 0.0}, "temperature above 0 .*got .*temperature 0.0"),
        (sample, {"top_p": 1.5}, "top_p 1.5"),
        (sample, {"top_k": 0}, "top_k 0"),
        (sample, {"samples": 0}, "samples 0"),
    ],
)
def test_numbers_out_of_range_are_refused(find, options, message):
    with pytest.raises(ConfigError, match=message):
        run(0, find=find, **options)


@pytest.mark.parametrize("find", [search, sample])
def test_a_broken_model_is_told(find):
    with pytest.raises(RegardError, match="not numbers"):
        run(0, end=math.nan, find=find)


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("options", [{"positions": "rotary", "window": 3}, {"positions": "learned"}], ids=str)
def test_a_decoder_with_its_cache_writes_what_it_writes_without(beam, options):
    torch.manual_seed(0)
    dim, vocabulary, lengths = 16, 20, (3, 1, 6, 2)
    decoder = build_decoder(dim=dim, depth=2, heads=2, **options).double().eval()
    table, output = torch.randn(2, vocabulary, dim, dtype=torch.float64)
    memory = Ragged.from_lengths(torch.randn(sum(lengths), dim, dtype=torch.float64), lengths)
    settings = {"begin": 0, "end": 1, "banned": (0, 2), "max_lengths": torch.tensor([12, 3, 15, 9]), "beam": beam}

    def scores(vectors):
        rows = vectors @ output.T / 4
        rows[:, 1] -= 3  # so that there is something to write
        return rows.log_softmax(1)

    cache = decoder.start(memory)
    found = search(lambda ids: scores(decoder.step(table[ids], cache)), cache.keep, **settings)

    written, sources = torch.zeros(len(lengths), 0, dtype=torch.int64), torch.arange(len(lengths))

    def step(ids):
        nonlocal written
        written = torch.cat([written, ids[:, None]], 1)
        targets = Ragged.from_list([table[row] for row in written])
        rows = decoder(targets, Ragged.from_list([memory.unbind()[source] for source in sources.tolist()]))
        return scores(rows.values[rows.offsets[1:] - 1])

    def keep(rows):
        nonlocal written, sources
        written, sources = written[rows], sources[rows]

    with torch.no_grad():
        expected = search(step, keep, **settings)
    assert max(len(one.ids) for (one,) in found) > 5
    for (got,), (wanted,) in zip(found, expected, strict=True):
        assert (got.ids, got.finished) == (wanted.ids, wanted.finished)
        assert got.score == pytest.approx(wanted.score)


@pytest.mark.parametrize("beam", [1, 2, 4])
def test_what_ends_by_itself_is_what_transformers_generates(beam):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"vocab_size": 12, "d_model": 16, "max_position_embeddings": 64, "init_std": 0.8}
    parts = {f"{part}_{size}": n for part in ("encoder", "decoder") for size, n in SMALL.items()}
    names = {"pad_token_id": 0, "bos_token_id": 1, "decoder_start_token_id": 1, "eos_token_id": 2}
    model = transformers.BartForConditionalGeneration(
        transformers.BartConfig(**sizes, **parts, **names, forced_eos_token_id=None)
    ).double()
    model.eval().final_logits_bias[0, 2] = 1.5
    source = torch.randint(3, 12, (8, 5))
    options = {"num_beams": beam, "num_return_sequences": beam, "max_new_tokens": 30, "suppress_tokens": [0, 1]}
    if beam > 1:
        options |= {"length_penalty": 1.0, "early_stopping": False}
    generated = model.generate(source, attention_mask=torch.ones_like(source), do_sample=False, **options)
    expected = [[i for i in row if i > 2] for row in generated.tolist()]

    rows, written = torch.arange(8), torch.zeros(8, 0, dtype=torch.int64)

    def step(ids):
        nonlocal written
        written = torch.cat([written, ids[:, None]], 1)
        return model(input_ids=source[rows], decoder_input_ids=written).logits[:, -1].log_softmax(-1)

    def keep(kept):
        nonlocal rows, written
        rows, written = rows[kept], written[kept]

    limits = torch.full((8,), 30)
    with torch.no_grad():
        found = search(step, keep, begin=1, end=2, banned=(0, 1), max_lengths=limits, beam=beam, n_best=beam)
    ended = 0
    for number, hypotheses in enumerate(found):
        if all(len(one.ids) < 30 for one in hypotheses):  # theirs pay nothing for an end that is forced
            assert [one.ids for one in hypotheses] == expected[number * beam : (number + 1) * beam]
            ended += 1
    assert ended >= 5
