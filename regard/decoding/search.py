"""Writing sequences with a model that says how likely each next id is: beam search (greedy with a beam of 1), sampling.

The model is two functions. ``step(ids)`` takes the newest id of each of R hypotheses, ``[R]``, and returns the
log-probabilities of the next, ``[R, V]``. ``keep(rows)`` tells it which hypotheses go on: those that stood in ``rows``,
``[R']``; some are left out, others stand there many times. Hypotheses of one source are always side by side, and there
is one for each source at first. Sources that are finished have none, so that they cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import ConfigError, RegardError

Step = Callable[[Tensor], Tensor]
Keep = Callable[[Tensor], None]


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that was written.

    Arguments:
        ids: without begin and end.
        score: ``Σ log p / n^length_penalty`` over its n ids, the end counted.
        finished: whether it ended by itself; False where it was cut at its greatest length, though another id than the
            end was the likeliest there.
    """

    ids: list[int]
    score: float
    finished: bool


def search(
    step: Step,
    keep: Keep,
    *,
    begin: int,
    end: int,
    max_lengths: Tensor,
    banned: Sequence[int] = (),
    beam: int = 1,
    length_penalty: float = 1.0,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """The ``n_best`` sequences with the highest scores that beam search finds for each source, best first.

    The score is ``Σ log p / n^length_penalty`` with n the number of ids, the end counted. At every step the best
    ``beam`` continuations by ``Σ log p`` that do not end go on; a continuation that ends is put aside if it is among
    the best ``beam`` of all. A source is done when ``beam`` hypotheses have ended and none that goes on has a higher
    score so far than the ``n_best`` of them, or when none can come to one: ``Σ log p`` never rises, so the best that is
    left is ``Σ log p / (max_length + 1)^length_penalty``. Among equals the lower id and the better hypothesis go first.

    Arguments:
        step, keep: the model; see above.
        begin: the id that is given to the model first.
        end: the id that ends a sequence.
        max_lengths: ``[B]`` int64, on the model's device: the most ids of each source's sequence, begin and end not
            counted. There the end is forced, and its log-probability counted.
        banned: ids never written. Probabilities stay those of the model: what is banned is not spread over the rest.
        beam: hypotheses of a source that go on; 1 is greedy search.
        length_penalty: from 0; higher prefers longer sequences.
        n_best: how many are wanted, up to ``beam``. Fewer come only if the model gives all others a probability of 0.

    Raises:
        ConfigError: a number that is out of range.
        RegardError: a log-probability is not a number.

    Wu et al. 2016, "Google's Neural Machine Translation System", section 7 (beam search normalized by length).

    >>> table = torch.tensor([[0.0, 0.6, 0.4], [0.5, 0.3, 0.2], [0.9, 0.0, 0.1]]).log()
    >>> found = search(lambda ids: table[ids], lambda rows: None, begin=0, end=0, max_lengths=torch.tensor([5]), beam=3)
    >>> found[0][0].ids, round(found[0][0].score, 3)
    ([2], -0.511)
    """
    _check(begin, end, max_lengths, banned, length_penalty)
    if beam < 1 or not 1 <= n_best <= beam:
        raise ConfigError(f"n_best must be from 1 to beam, both at least 1; got n_best {n_best} and beam {beam}")
    B, device = len(max_lengths), max_lengths.device
    found: list[list[Hypothesis]] = [[] for _ in range(B)]
    count = torch.zeros(B, dtype=torch.int64, device=device)
    best = torch.full((B, n_best), -math.inf, device=device)  # scores of those that have ended
    numbers, never = torch.arange(B + 1, device=device), torch.tensor(list(banned), dtype=torch.int64, device=device)
    most = (max_lengths + 1) ** length_penalty

    sources = numbers[:-1]  # [R], of each hypothesis
    ids = torch.full((B,), begin, device=device)
    written = ids.new_empty(B, 0)
    sums = torch.zeros(B, device=device)
    while len(sources):
        length = written.shape[1]
        cut = max_lengths[sources] == length
        log_probs, next_ids, by_itself = _candidates(step(ids), end, never, beam + 1, cut)  # [R, beam + 1]
        totals, rows, columns = _ranked(sums[:, None] + log_probs, sources, numbers, beam)  # [B, C]
        next_ids = next_ids[rows, columns]

        possible, ends = totals > -math.inf, next_ids == end  # [B, C] each
        goes_on = possible & ~ends
        goes_on &= goes_on.cumsum(1) <= beam
        ends &= possible
        ends[:, beam:] = False

        scores = totals / (length + 1) ** length_penalty  # [B, C]
        place = ends.flatten().nonzero()[:, 0]  # of those that end; a GPU is asked once for all
        if len(place):
            row = rows.flatten()[place]
            _record(found, place // ends.shape[1], written[row], scores.flatten()[place], by_itself[row])
        best = torch.cat([best, scores.masked_fill(~ends, -math.inf)], 1).topk(n_best).values
        count += ends.sum(1)
        most_likely = totals.masked_fill(~goes_on, -math.inf).amax(1)  # [B]
        promising = (count < beam) | (most_likely / (length + 1) ** length_penalty > best[:, -1])
        goes_on &= (promising & (most_likely / most > best[:, -1]))[:, None]

        place = goes_on.flatten().nonzero()[:, 0]
        rows, ids, sums = (x.flatten()[place] for x in (rows, next_ids, totals))  # [R'] each
        sources, written = sources[rows], torch.cat([written[rows], ids[:, None]], 1)
        if len(rows):
            keep(rows)
    return [sorted(hypotheses, key=_by_score)[:n_best] for hypotheses in found]


def sample(
    step: Step,
    keep: Keep,
    *,
    begin: int,
    end: int,
    max_lengths: Tensor,
    banned: Sequence[int] = (),
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    length_penalty: float = 1.0,
    generator: torch.Generator | None = None,
) -> list[list[Hypothesis]]:
    """Sequences drawn id by id with ``p ∝ exp(log p / temperature)``, ``samples`` for each source, best first.

    Arguments:
        step, keep, begin, end, banned, length_penalty: as in :func:`search`; scores are those of the model at a
            temperature of 1.
        max_lengths: ``[B]`` int64, as there.
        samples: of each source.
        temperature: above 0; near 0 it is greedy search.
        top_k: draws from the likeliest so many ids alone; None for all.
        top_p: draws from the fewest likeliest ids that have this probability together; 1 for all.
        generator: on the model's device; a generator in the same state gives the same sequences. None for PyTorch's.

    Raises:
        ConfigError: a number that is out of range.
        RegardError: a log-probability is not a number.

    Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation" (top_k); Holtzman et al. 2020, "The Curious Case
    of Neural Text Degeneration" (top_p).
    """
    _check(begin, end, max_lengths, banned, length_penalty)
    if samples < 1 or not temperature > 0 or not 0 < top_p <= 1 or (top_k is not None and top_k < 1):
        raise ConfigError(
            f"samples and top_k must be at least 1, temperature above 0 and top_p above 0 and at most 1; got samples "
            f"{samples}, top_k {top_k}, temperature {temperature}, top_p {top_p}"
        )
    found: list[list[Hypothesis]] = [[] for _ in range(len(max_lengths))]
    sources = torch.arange(len(max_lengths), device=max_lengths.device).repeat_interleave(samples)  # [R]
    ids = torch.full_like(sources, begin)
    written = ids.new_empty(len(sources), 0)
    sums = torch.zeros(len(sources), device=sources.device)
    never = torch.tensor(list(banned), dtype=torch.int64, device=sources.device)
    if len(sources):
        keep(sources)
    while len(sources):
        length = written.shape[1]
        log_probs = _without(never, step(ids))
        chances = _likeliest(log_probs / temperature, top_k, top_p).softmax(1)
        drawn = chances.multinomial(1, generator=generator).squeeze(1)  # [R]
        ids = drawn.masked_fill(max_lengths[sources] == length, end)
        sums = sums + log_probs.gather(1, ids[:, None]).squeeze(1)

        ends = ids == end
        scores = sums[ends] / (length + 1) ** length_penalty
        _record(found, sources[ends], written[ends], scores, drawn[ends] == end)
        rows = (~ends).nonzero().squeeze(1)
        sources, ids, sums = sources[rows], ids[rows], sums[rows]
        written = torch.cat([written[rows], ids[:, None]], 1)
        if len(rows):
            keep(rows)
    return [sorted(hypotheses, key=_by_score) for hypotheses in found]


def _check(begin: int, end: int, max_lengths: Tensor, banned: Sequence[int], length_penalty: float) -> None:
    if end in banned:
        raise ConfigError(f"banned must not hold end, the id {end}: no sequence could end; leave it out")
    if max_lengths.dim() != 1 or max_lengths.dtype != torch.int64 or bool((max_lengths < 0).any()):
        raise ConfigError(
            f"max_lengths must be [B] int64 from 0, one for each source; got {max_lengths.dtype} of shape "
            f"{list(max_lengths.shape)}" + (f", lowest {int(max_lengths.min())}" if max_lengths.numel() else "")
        )
    if not 0 <= length_penalty < math.inf:
        raise ConfigError(f"length_penalty must be a number from 0, got {length_penalty}; 0 counts no length")


def _candidates(log_probs: Tensor, end: int, never: Tensor, most: int, cut: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The likeliest ids of each row with their log-probabilities, ``[R, most]``; the end alone in rows that are cut.

    Also whether a row that ends does so by itself, ``[R]``.
    """
    log_probs = _without(never, log_probs)
    best, ids = _first(log_probs, most)
    by_itself = ~cut | (ids[:, 0] == end)
    best = best.masked_fill(cut[:, None], -math.inf)
    best[:, 0] = torch.where(cut, log_probs[:, end], best[:, 0])
    ids[:, 0] = ids[:, 0].masked_fill(cut, end)
    return best, ids, by_itself


def _ranked(totals: Tensor, sources: Tensor, numbers: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """``[R, K]`` of all hypotheses → ``[B, most·K]``, those of each source best first and −inf after them.

    Also the row and the column of ``totals`` where each stood.
    """
    (R, K), offsets = totals.shape, torch.searchsorted(sources, numbers)  # [B+1]
    place = torch.arange(R, device=totals.device) - offsets[sources]
    by_source = totals.new_full((len(numbers) - 1, most, K), -math.inf)
    by_source[sources, place] = totals
    ranked, order = by_source.flatten(1).sort(dim=1, descending=True, stable=True)
    rows = offsets[:-1, None] + order // K
    return ranked, rows.clamp_(max=R - 1), order % K  # sources without a hypothesis have no row of their own


def _without(never: Tensor, log_probs: Tensor) -> Tensor:
    if bool(log_probs.sum().isnan()):
        raise RegardError("the model gives log-probabilities that are not numbers (NaN); its weights are broken")
    return log_probs.index_fill(1, never, -math.inf)


def _first(log_probs: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """As ``topk``, with the lower id first among equals."""
    best, ids = log_probs.topk(min(most + 1, log_probs.shape[1]))  # one more shows a tie at the border
    tied = (best.diff(dim=1) == 0).any(1)  # not true of −inf
    if bool(tied.any()):
        order = log_probs[tied].sort(dim=1, descending=True, stable=True)
        best[tied], ids[tied] = order.values[:, : best.shape[1]], order.indices[:, : ids.shape[1]]
    return best[:, :most], ids[:, :most]


def _likeliest(log_probs: Tensor, top_k: int | None, top_p: float) -> Tensor:
    """−inf for all ids but those from which to draw."""
    if top_k is not None and top_k < log_probs.shape[1]:
        best, ids = _first(log_probs, top_k)
        log_probs = torch.full_like(log_probs, -math.inf).scatter_(1, ids, best)
    if top_p < 1:
        ranked, ids = log_probs.sort(dim=1, descending=True, stable=True)
        chances = ranked.softmax(1)
        beyond = chances.cumsum(1) - chances >= top_p
        log_probs = log_probs.scatter(1, ids, ranked.masked_fill(beyond, -math.inf))
    return log_probs


def _record(found: list[list[Hypothesis]], sources: Tensor, written: Tensor, scores: Tensor, by_itself: Tensor) -> None:
    told = torch.cat([sources[:, None], by_itself[:, None], written], 1).tolist()
    for (source, itself, *ids), score in zip(told, scores.tolist(), strict=True):
        found[source].append(Hypothesis(ids, score, bool(itself)))


def _by_score(hypothesis: Hypothesis) -> float:
    return -hypothesis.score
