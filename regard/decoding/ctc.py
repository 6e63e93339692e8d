"""From what a model says of each frame to a sequence: connectionist temporal classification (CTC), decoded.

The model gives log probabilities ``[N, V]`` of N frames: of each of V symbols, one of which, the blank, says nothing. A
path is a symbol for every frame; it spells what is left when repeats are joined and then blanks are left out. A
transcript has the probability of all paths that spell it, and so fewer symbols than there are frames.

Graves et al. 2006, "Connectionist Temporal Classification".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regard.errors import ConfigError, RegardError, ShapeError

Floats = NDArray[np.float64]
PIECE = 512  # frames, whose moves are held at once


@dataclass(frozen=True)
class Transcript:
    """A sequence that was found.

    Arguments:
        ids: its symbols, without blanks.
        log_prob: of one path (greedy), or of all paths that were kept (search).
        frames: where each symbol begins: the first of the frames in which it stands on the likeliest path.
    """

    ids: list[int]
    log_prob: float
    frames: list[int]


def greedy(log_probs: ArrayLike, *, blank: int) -> Transcript:
    """What the likeliest path spells; among equal symbols the lower id is taken.

    Arguments:
        log_probs: ``[N, V]``.
        blank: its column.

    >>> log_probs = np.log([[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2]])
    >>> found = greedy(log_probs, blank=0)
    >>> found.ids, found.frames, round(math.exp(found.log_prob), 3)
    ([1, 1], [0, 3], 0.235)

    Raises:
        ConfigError: there is no such column.
        RegardError: a log probability is not a number.
    """
    rows = _checked(log_probs, blank)
    found = Greedy(blank=blank).push(rows)
    log_prob = float(rows.max(1, initial=-math.inf).sum())
    return Transcript([id for id, _ in found], log_prob, [frame for _, frame in found])


@dataclass
class Greedy:
    """:func:`greedy` of a stream: what it finds in all pieces together is the same, however the stream is cut.

    Arguments:
        blank: its column.
        frames: how many have come.
    """

    blank: int
    frames: int = 0
    _last: int | None = field(default=None, repr=False)

    def push(self, log_probs: ArrayLike) -> list[tuple[int, int]]:
        """The symbols that begin in the next frames ``[n, V]``, each with its frame, counted from that of the start."""
        path = _checked(log_probs, self.blank).argmax(1)
        before = np.concatenate([[self.blank if self._last is None else self._last], path])[:-1]
        begins = np.flatnonzero((path != before) & (path != self.blank))
        found = [(int(path[place]), self.frames + int(place)) for place in begins]
        self.frames += len(path)
        self._last = int(path[-1]) if len(path) else self._last
        return found


def prefix_search(log_probs: ArrayLike, *, blank: int, beam: int = 8, n_best: int = 1) -> list[Transcript]:
    """The ``n_best`` likeliest transcripts that are found when ``beam`` beginnings go on at each frame, best first.

    A beginning has the probability of all paths that spell it so far, kept apart by whether they end in a blank, for
    only then may its last symbol follow once more. Paths are lost where a beginning is not among the best ``beam``;
    with a beam that holds them all, the probability of each transcript is that of all its paths. Among equals the
    better beginning and the lower id go first.

    Arguments:
        log_probs: ``[N, V]``.
        blank: its column.
        beam: beginnings that go on.
        n_best: how many are wanted, up to ``beam``. Fewer come only if all others have a probability of 0.

    Raises:
        ConfigError: a number that is out of range.
        RegardError: a log probability is not a number.

    Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs".

    >>> log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])  # the likeliest path is blank, blank
    >>> [(found.ids, round(math.exp(found.log_prob), 2)) for found in prefix_search(log_probs, blank=0, n_best=2)]
    [([1], 0.64), ([], 0.36)]
    """
    rows = _checked(log_probs, blank)
    if beam < 1 or not 1 <= n_best <= beam:
        raise ConfigError(f"n_best must be from 1 to beam, both at least 1; got n_best {n_best} and beam {beam}")
    prefixes = _Prefixes()
    nodes = [0]  # K beginnings that go on, best first
    ends = np.array([[0.0], [-math.inf]])  # [2, K], log p of the paths that end in a blank, and in the last symbol
    for row in rows:
        if not nodes:  # before it was a frame in which everything had a probability of 0
            break
        nodes, ends = _step(row, prefixes, nodes, ends, blank, beam)
    found = []
    for node, log_prob in zip(nodes[:n_best], np.logaddexp(*ends).tolist(), strict=False):
        ids = prefixes.spell(node)
        found.append(Transcript(ids, log_prob, align(rows, ids, blank=blank)))
    return found


class _Prefixes:
    """Beginnings as a tree: each has a number, 0 for the empty one, a last symbol, and the number of the rest."""

    def __init__(self) -> None:
        self.parents, self.lasts = [-1], [-1]
        self._numbers: dict[tuple[int, int], int] = {}

    def child(self, node: int, symbol: int) -> int:
        number = self._numbers.setdefault((node, symbol), len(self.parents))
        if number == len(self.parents):
            self.parents.append(node)
            self.lasts.append(symbol)
        return number

    def spell(self, node: int) -> list[int]:
        symbols = []
        while node:
            symbols.append(self.lasts[node])
            node = self.parents[node]
        return symbols[::-1]


def _step(
    row: Floats, prefixes: _Prefixes, nodes: list[int], ends: Floats, blank: int, beam: int
) -> tuple[list[int], Floats]:
    """The best beginnings one frame later, ``[K']`` and ``[2, K']``."""
    # [K]; of the empty one −1, a column that changes nothing
    lasts = np.array([prefixes.lasts[node] for node in nodes])
    totals = np.logaddexp(*ends)  # [K]
    in_blank, in_last = totals + row[blank], ends[1] + row[lasts]
    longer = totals[:, None] + row  # [K, V], with one symbol more
    longer[np.arange(len(nodes)), lasts] = ends[0] + row[lasts]
    longer[:, blank] = -math.inf
    parents = np.array([prefixes.parents[node] for node in nodes])
    origins, children = np.nonzero(np.array(nodes)[:, None] == parents)  # beginnings of which one goes on as the other
    if len(origins):
        same = origins, lasts[children]
        in_last[children] = np.logaddexp(in_last[children], longer[same])
        longer[same] = -math.inf

    symbols = _likeliest(row, 2 * beam + 1)  # of a beginning at most K + 1 are no choice any more, and K can be chosen
    scores = np.column_stack([np.logaddexp(in_blank, in_last), longer[:, symbols]])  # [K, 1 + S]
    order = np.argsort(-scores, axis=None, kind="stable")[:beam]
    rows, columns = np.unravel_index(order[scores.ravel()[order] > -math.inf], scores.shape)  # [K'] each
    added = np.append(-1, symbols)[columns]  # −1 where it stays as it is
    kept = [
        nodes[place] if symbol < 0 else prefixes.child(nodes[place], symbol)
        for place, symbol in zip(rows.tolist(), added.tolist(), strict=True)
    ]
    stays = np.stack([in_blank[rows], in_last[rows]])
    grown = np.stack([np.full(len(rows), -math.inf), scores[rows, columns]])
    return kept, np.where(added < 0, stays, grown)


def _likeliest(row: Floats, most: int) -> NDArray[np.int64]:
    """The columns of the highest so many, in order; among equals the lower."""
    if len(row) <= most:
        return np.arange(len(row))
    least = np.partition(row, -most)[-most]
    higher, equal = np.flatnonzero(row > least), np.flatnonzero(row == least)
    return np.sort(np.append(higher, equal[: most - len(higher)]))


def align(log_probs: ArrayLike, ids: Sequence[int], *, blank: int) -> list[int]:
    """The frame in which each symbol begins on the likeliest of all paths that spell ``ids``: Viterbi's.

    Among equal paths that is taken in which symbols begin earlier.

    Arguments:
        log_probs: ``[N, V]``.
        ids: symbols, none of them the blank.
        blank: its column.

    >>> align(np.log([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), [1, 1], blank=0)
    [0, 3]

    Raises:
        ConfigError: there is no such column.
        RegardError: no path spells them, as there are too few frames, or one that must be has a probability of 0.
    """
    rows = _checked(log_probs, blank)
    states = np.full(2 * len(ids) + 1, blank)  # blank, symbol, blank, symbol, ..., blank: a path goes through in order
    states[1::2] = ids
    S = len(states)
    may_skip = np.zeros(S, bool)  # the blank before it
    may_skip[1::2] = np.append(True, states[3::2] != states[1:-2:2])[: len(ids)]
    pieces = [rows[first : first + PIECE] for first in range(0, len(rows), PIECE)]
    begin = np.full(S + 2, -math.inf)
    begin[1] = 0.0  # before the first state, whence a path comes into the first two
    reached = [begin]  # log p of the best path to each state: before each piece, and after the last
    for piece in pieces:
        reached.append(_forward(piece, states, may_skip, reached[-1]))
    last = S - 1 if reached[-1][-1] >= reached[-1][-2] else S - 2  # of equals the higher, which a path reached earlier
    if reached[-1][last + 2] == -math.inf:
        raise RegardError(
            f"no path through {len(rows)} frames spells these {len(ids)} symbols, which need {fewest_frames(ids)}, "
            "each with a probability above 0"
        )
    frames = [0] * len(ids)
    for number, piece in reversed(list(enumerate(pieces))):  # back, each with its moves, which all would fill memory
        low = max(0, last - 2 * len(piece))  # a path rises by two states a frame at most
        moves = np.empty((len(piece), last + 1 - low), np.int8)
        _forward(piece, states[low : last + 1], may_skip[low : last + 1], reached[number][low : last + 3], moves)
        for frame in range(len(piece) - 1, -1, -1):
            if last % 2:
                frames[last // 2] = number * PIECE + frame
            last -= int(moves[frame, last - low])
    return frames


def _forward(
    rows: Floats, states: NDArray[np.int64], may_skip: NDArray[np.bool_], best: Floats, moves: Any = None
) -> Floats:
    """Log p of the best path to each state ``[2 + S]`` after some frames, of that before them.

    Arguments:
        states, may_skip: ``[S]``, the symbol of each, and whether a path may come from two states below.
        moves: ``[n, S]``, which is told by how many states each path rose in each frame.
    """
    best = best.copy()
    for frame, row in enumerate(rows):
        choices = np.stack([best[2:], best[1:-1], np.where(may_skip, best[:-2], -math.inf)])
        if moves is not None:
            moves[frame] = choices.argmax(0)
        best[2:] = choices.max(0) + row[states]
        best[:2] = -math.inf
    return best


def fewest_frames(ids: Sequence[int]) -> int:
    """How many frames it takes to spell symbols: one for each, and a blank between two that are the same.

    >>> fewest_frames([7, 7, 8])
    4
    """
    return len(ids) + sum(one == other for one, other in pairwise(ids))


def _checked(log_probs: ArrayLike, blank: int) -> Floats:
    rows = np.asarray(log_probs, dtype=np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"log_probs must be [N, V], a row for each frame; got shape {list(rows.shape)}")
    if not 0 <= blank < rows.shape[1]:
        raise ConfigError(f"blank must be one of the {rows.shape[1]} columns, from 0; got {blank}")
    if np.isnan(rows).any():
        raise RegardError("the model gives log probabilities that are not numbers (NaN); its weights are broken")
    return rows
