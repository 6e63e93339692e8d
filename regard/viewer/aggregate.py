"""What each head does over many examples: how far it looks, from which labels to which, where it is most certain."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from regard.attention import AttentionWeights
from regard.viewer.measures import measures

REACH = 32  # positions to each side that are told apart
GRID_REACH = 12  # the same of rows and columns of images
WIDE = 2 * GRID_REACH + 1
MOST_LABELS = 24  # the most frequent ones; the rest are joined
OTHERS = "others"
CERTAIN = 10  # examples
SHOWN = 200  # characters of one


@dataclass(frozen=True, eq=False)
class Attended:
    """One example: what its heads did, and what is known of its positions.

    Arguments:
        number: of the example, from 1.
        weights: of each layer, one sequence each.
        reach: how far each layer may look: positions before and after, or rows up and down, columns left and right;
            None for no end, () where all is seen.
        names: of its positions; None: their numbers.
        labels: of its positions; None: they have none.
        whole: the label of the whole example; None: it has none.
        grid: rows and columns of an image; None: positions stand in a line.
        before: positions before those of the image, which are left out.
        text: what the example is called; None: its names, one after the other.
    """

    number: int
    weights: Sequence[AttentionWeights]
    names: Sequence[str] | None = None
    labels: Sequence[str | None] | None = None
    whole: str | None = None
    grid: tuple[int, int] | None = None
    before: int = 0
    text: str | None = None
    reach: Sequence[Sequence[int | None]] | None = None


@dataclass(order=True)
class Certain:
    """An example in which a head is certain: its ``entropy`` is a small share of what it could be, 1 at most."""

    entropy: float
    number: int = field(compare=False)
    text: str = field(compare=False)
    link: tuple[str, str, float] = field(compare=False)  # who, whom, and the weight: the largest


class HeadCounts:
    """Sums over the examples of one head.

    Arguments:
        offsets: how many relative positions are told apart.
    """

    def __init__(self, offsets: int) -> None:
        self.mass = torch.zeros(offsets, dtype=torch.float64)  # weight on keys so far away
        self.pairs = torch.zeros(offsets, dtype=torch.float64)  # queries that have a key there
        self.distances = torch.zeros(64, dtype=torch.float64)  # weight by log2 of how far
        self.queries = 0
        self.by_label: defaultdict[tuple[str, str], float] = defaultdict(float)  # weight from label to label
        self.wholes: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])  # examples, entropy, distance
        self.label_queries: Counter[str] = Counter()
        self.certain: list[tuple[float, int, Certain]] = []  # a heap, the least certain first


class Aggregate:
    """Sums over examples, by layer and head.

    >>> eye = AttentionWeights(torch.eye(3)[None, None], torch.zeros(3, dtype=torch.int64), torch.tensor([3]), 0)
    >>> told = Aggregate(["layers.0.attention"])
    >>> told.add(Attended(1, [eye], ["a", "b", "c"], ["X", "Y", "X"]))
    >>> told.head(0, 0)["relative"][REACH], told.head(0, 0)["labels"]
    (1.0, [[1.0, 0.0], [0.0, 1.0]])
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers, self.examples, self.is_grid = list(layers), 0, False
        self._heads: dict[tuple[int, int], HeadCounts] = {}
        self._labels: Counter[str] = Counter()

    def add(self, example: Attended) -> None:
        """Takes in one example; nothing of it is kept but sums, and a few words where a head is certain."""
        self.examples += 1
        for layer, weights in enumerate(example.weights):
            for head, values in enumerate(_by_head(weights)):
                counts = self._heads.setdefault((layer, head), HeadCounts(_offsets(example.grid)))
                reach = () if example.reach is None else example.reach[layer]
                self._add(counts, example, values, _columns(weights.first, values), reach)
        self.is_grid = example.grid is not None
        if example.whole is not None:
            for layer, weights in enumerate(example.weights):
                self._add_whole(layer, example, weights)
        if example.labels is not None:
            self._labels.update(label for label in example.labels if label is not None)

    def labels(self) -> list[str]:
        """Those that are told apart, the most frequent first."""
        names = [label for label, _ in self._labels.most_common(MOST_LABELS)]
        return names + [OTHERS] * (len(self._labels) > len(names))

    def heads(self, layer: int) -> int:
        return sum(place[0] == layer for place in self._heads)

    def head(self, layer: int, head: int) -> dict[str, Any]:
        """What one head does, ready for JSON.

        ``relative``: the mean weight on a key so many positions later, from −32 to 32; None where no query may see one.
        Of images a list of rows of such lists, from 12 rows above to 12 below, and as many columns.
        ``distances``: the share of the weight on keys 0, 1, 2, 3–4, 5–8, ... positions away. ``labels``: of queries
        with a label (rows) the share of weight on keys with each. ``wholes``: of examples with one label how many there
        are, the mean entropy in nats and distance in positions, or patches. ``certain``: where it is most certain.
        """
        counts = self._heads[layer, head]
        means = (counts.mass / counts.pairs.clamp(min=1)).tolist()
        names = self.labels()
        last = int(counts.distances.nonzero().max()) + 1 if counts.distances.any() else 0
        relative: list[Any] = [m if pairs else None for m, pairs in zip(means, counts.pairs.tolist(), strict=True)]
        if self.is_grid:
            relative = _trimmed(relative)
        return {
            "relative": relative,
            "distances": (counts.distances[:last] / max(counts.queries, 1)).tolist(),
            "labels": [[self._share(counts, row, column) for column in names] for row in names],
            "wholes": {
                label: {"examples": count, "entropy": entropy / count, "distance": distance / count}
                for label, (count, entropy, distance) in sorted(counts.wholes.items())
            },
            "certain": [
                {"entropy": one.entropy, "number": one.number, "text": one.text, "link": list(one.link)}
                for one in sorted(entry for _, _, entry in counts.certain)
            ],
        }

    def _share(self, counts: HeadCounts, row: str, column: str) -> float:
        rows, columns = self._joined(row), self._joined(column)
        total = sum(counts.label_queries[label] for label in rows)
        weight = sum(counts.by_label[a, b] for a in rows for b in columns)
        return weight / total if total else 0.0

    def _joined(self, label: str) -> Iterable[str]:
        if label != OTHERS or label in self._labels:
            return [label]
        own = set(self.labels())
        return [other for other in self._labels if other not in own]

    def _add(
        self, counts: HeadCounts, example: Attended, values: Tensor, columns: Tensor, reach: Sequence[int | None]
    ) -> None:
        """``values`` ``[Q, W]``, of the keys ``columns``."""
        Q, keys = len(values), int(example.weights[0].key_lengths[0])
        inside = (columns >= 0) & (columns < keys) & _within(example, columns, reach)
        far, offset = _away(example, columns, inside)
        near = inside & (offset >= 0)
        shares = values.double() / values.double().sum(1, keepdim=True).clamp(min=1e-12)
        counts.mass.index_add_(0, offset[near], values[near].double())
        counts.pairs += torch.bincount(offset[near], minlength=len(counts.pairs))
        known = inside & (far >= 0)
        buckets = torch.where(far > 0, far.clamp(min=1).log2().ceil() + 1, 0).long()
        counts.distances.index_add_(0, buckets[known], shares[known])
        counts.queries += Q - example.before
        if example.labels is not None and len(example.labels) == keys == Q:
            self._add_labels(counts, example.labels, shares, columns, inside)
        _add_certain(counts, example, shares, columns, inside)

    def _add_whole(self, layer: int, example: Attended, weights: AttentionWeights) -> None:
        found = measures(weights, positions=True, grid=example.grid, before=example.before)
        for head, (nats, far) in enumerate(zip(found["entropy"] or (), found["distance"] or (), strict=True)):
            sums = self._heads[layer, head].wholes[str(example.whole)]
            sums[:] = sums[0] + 1, sums[1] + nats, sums[2] + far

    def _add_labels(
        self, counts: HeadCounts, labels: Sequence[str | None], shares: Tensor, columns: Tensor, inside: Tensor
    ) -> None:
        names = sorted({label for label in labels if label is not None})
        rows = torch.tensor([len(names) if label is None else names.index(label) for label in labels])
        table = torch.zeros((len(names) + 1) ** 2, dtype=torch.float64)
        places = rows[:, None] * (len(names) + 1) + rows[columns.clamp(0, len(labels) - 1)]
        table.index_add_(0, places[inside], shares[inside])
        for a, name in enumerate(names):
            counts.label_queries[name] += int((rows == a).sum())
            for b, other in enumerate(names):
                counts.by_label[name, other] += float(table[a * (len(names) + 1) + b])


def _offsets(grid: tuple[int, int] | None) -> int:
    """How many relative positions are told apart."""
    return 2 * REACH + 1 if grid is None else (2 * GRID_REACH + 1) ** 2


def _away(example: Attended, columns: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """How far each key is, ``[Q, W]``, −1 where that means nothing, and the number of its relative position, or −1."""
    if example.grid is None:
        (away,) = _steps(example, columns)
        return away.abs().double(), torch.where(away.abs() <= REACH, away + REACH, -1)
    down, across = _steps(example, columns)
    real = inside & (torch.arange(len(columns))[:, None] >= example.before) & (columns >= example.before)
    near = real & (down.abs() <= GRID_REACH) & (across.abs() <= GRID_REACH)
    far = (down.double().square() + across.double().square()).sqrt()
    return torch.where(real, far, -1), torch.where(near, (down + GRID_REACH) * WIDE + across + GRID_REACH, -1)


def _columns(first: Tensor, values: Tensor) -> Tensor:
    """``[Q, W]``: the key of each weight."""
    return first[:, None] + torch.arange(values.shape[1])


def _steps(example: Attended, columns: Tensor) -> tuple[Tensor, ...]:
    """How many positions later each key is, ``[Q, W]``; of an image how many rows further down, and columns across."""
    queries = torch.arange(len(columns))[:, None]
    if example.grid is None:
        return (columns - queries,)
    own, other, side = queries - example.before, columns - example.before, example.grid[1]
    return other // side - own // side, other % side - own % side


def _within(example: Attended, columns: Tensor, reach: Sequence[int | None]) -> Tensor:
    """Which keys a query may see, ``[Q, W]``: a window that is held as weights of every pair has zeros for the rest."""
    inside = torch.ones_like(columns, dtype=torch.bool)
    in_line = example if len(reach) == 4 else replace(example, grid=None)
    for steps, before, after in zip(_steps(in_line, columns), reach[::2], reach[1::2], strict=False):
        inside &= (-math.inf if before is None else -before) <= steps
        inside &= steps <= (math.inf if after is None else after)
    return inside


def _trimmed(relative: Sequence[float | None]) -> list[list[float | None]]:
    """Rows of columns, without those at the edges that no image has."""
    table = [list(relative[start : start + WIDE]) for start in range(0, len(relative), WIDE)]
    down = max((abs(y - GRID_REACH) for y, row in enumerate(table) if any(x is not None for x in row)), default=0)
    across = max((abs(x - GRID_REACH) for row in table for x, mean in enumerate(row) if mean is not None), default=0)
    return [
        row[GRID_REACH - across : GRID_REACH + across + 1] for row in table[GRID_REACH - down : GRID_REACH + down + 1]
    ]


def _by_head(weights: AttentionWeights) -> Tensor:
    """``[H, Q, W]`` of the one sequence."""
    return weights.values[0] if weights.offsets is None else weights.values.transpose(0, 1)


def _add_certain(counts: HeadCounts, example: Attended, shares: Tensor, columns: Tensor, inside: Tensor) -> None:
    """Keeps the example if the head is among the most certain here: its entropy over what its queries can see."""
    seen = inside.sum(1)
    several = seen > 2
    if not several.any():
        return
    entropy = torch.special.entr(shares[several]).sum(1) / seen[several].double().log()
    value = float(entropy.mean())
    shares = torch.where(several[:, None], shares, 0)  # one key alone says nothing
    if math.isnan(value) or (len(counts.certain) == CERTAIN and value >= -counts.certain[0][0]):
        return
    query, column = divmod(int(shares.argmax()), shares.shape[1])
    key = int(columns[query, column])
    named = example.names
    who, whom = (str(place + 1) if named is None else named[place] for place in (query, key))
    whole = example.text if example.text is not None else "".join(_spaced(named or ()))
    link = who[:SHOWN], whom[:SHOWN], float(shares[query, column])
    entry = Certain(value, example.number, whole[:SHOWN].strip(), link)
    push = heapq.heappush if len(counts.certain) < CERTAIN else heapq.heapreplace
    push(counts.certain, (-value, -example.number, entry))


def _spaced(names: Sequence[str]) -> Iterable[str]:
    """Names with a blank between those that have none of their own."""
    bring = any(name[:1].isspace() for name in names)
    return names if bring else (f"{name} " for name in names)
