"""What n-grams alone tell of a text's label, beside what the network reads: a wide path next to a deep one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import regex
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data import Example

WORDS, CHARACTERS = (1, 2), (2, 5)  # of how many words, or of characters within one
TOKEN = regex.compile(r"\w+|(?=[^\w\s])\X")
INVERSE_PENALTY = 30.0  # of logistic regression
STEPS, PRECISION = 100, 1e-4  # of its solver
HIDDEN = 5  # one of so many training texts tells how far n-grams can be believed
UNKNOWN = -10.0  # the score of a label of which no text was learned from
WEIGHTS = 2**22  # buckets × labels at most
ENTRIES = 5 * 10**7  # n-grams of all texts learned from × labels at most
CHUNK = 1000  # texts that are counted at once
USUAL = (0.5, 1.0)  # how far network and n-grams are believed before anything is known, and ..
CERTAINTY = 2.0  # .. how much it takes to believe otherwise


class NGrams(nn.Module):
    """``Σ_g tf(g) · idf(g) · w_g + b`` over the n-grams g of a text, ``[B, labels]``: logistic regression.

    Words and pairs of words fill one half of the buckets, 2 to 5 characters of a word the other; each half of a text
    has length 1, with ``tf = 1 + log(count)`` and ``idf = 1 + log((1 + N) / (1 + texts with g))``, or 0 where no text
    has g: what was never seen tells nothing. The bucket of an n-gram is told by its hash.

    A label is told by ``a · network + b · n-grams``, of which each was trained apart: wide and deep (Cheng et al.
    2016), a product of experts (Hinton 2002). Nothing here is learned by gradients.

    Arguments:
        buckets: how many at most; fewer where labels are many.
        labels: columns of the result.
    """

    idf: Tensor  # [buckets]
    weight: Tensor  # [buckets, labels]
    bias: Tensor  # [labels]
    shares: Tensor  # [2]: a of the network, b of n-grams

    def __init__(self, buckets: int, labels: int) -> None:
        super().__init__()
        buckets = max(2, min(buckets, WEIGHTS // labels) // 2 * 2)
        self.register_buffer("idf", torch.ones(buckets))
        self.register_buffer("weight", torch.zeros(buckets, labels))
        self.register_buffer("bias", torch.zeros(labels))
        self.register_buffer("shares", torch.tensor(USUAL))

    def forward(self, sequences: Sequence[Any]) -> Tensor:
        """``[B, labels]``, on the CPU, of texts or lists of words."""
        parts = [self._scores(self._counted(chunk)) for chunk in _chunks(sequences)]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.bias))

    def learn(self, examples: Sequence[Example], rows: Sequence[int], *, balanced: bool, seed: int) -> None:
        """Fits the weights, and tells how far they can be believed by texts that they were not fitted to.

        Arguments:
            examples: of texts or lists of words; where they are many, a random part of them is learned from.
            rows: of the label of each, at least two different ones.
            balanced: whether rare labels count as much as frequent ones.
        """
        from scipy import sparse

        drawn = np.random.default_rng(seed).permutation(len(rows))
        counted, entries = [], 0
        for chunk in _chunks(drawn):
            counted.append(self._counted([examples[number].items for number in chunk]))
            entries += sum(half.nnz for half in counted[-1])
            if entries * len(self.bias) > ENTRIES:
                break
        halves = [sparse.vstack(parts, format="csr") for parts in zip(*counted, strict=True)]
        labels = np.asarray(rows)[drawn[: halves[0].shape[0]]]
        seen = np.arange(len(labels)) % HIDDEN > 0
        if len(set(labels[seen])) > 1:
            self._fit([half[seen] for half in halves], labels[seen], balanced=balanced)
            wide = self._scores([half[~seen] for half in halves])
            self.believe(torch.zeros_like(wide), wide, torch.from_numpy(labels[~seen]))
        self._fit(halves, labels, balanced=balanced)

    def _fit(self, halves: Sequence[Any], labels: NDArray[np.int64], *, balanced: bool) -> None:
        """Logistic regression on what :meth:`_counted` gave."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        texts = np.concatenate([half.getnnz(axis=0) for half in halves])
        idf = np.where(texts > 0, 1 + np.log((1 + len(labels)) / (1 + texts)), 0)
        self.idf = torch.from_numpy(idf).float()
        features = self._weighed(halves)
        used = np.flatnonzero(texts)
        model = LogisticRegression(
            C=INVERSE_PENALTY, max_iter=STEPS, tol=PRECISION, class_weight="balanced" if balanced else None
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so near to the best is near enough
            model.fit(features[:, used], labels)
        weight, bias = model.coef_.T, model.intercept_
        if len(model.classes_) == 2:  # one column, of the second
            weight, bias = np.concatenate([-weight, weight], 1) / 2, np.concatenate([-bias, bias]) / 2
        self.weight, self.bias = torch.zeros_like(self.weight), torch.full_like(self.bias, UNKNOWN)
        self.weight[np.ix_(used, model.classes_)] = torch.from_numpy(weight).float()
        self.bias[model.classes_] = torch.from_numpy(bias).float()

    def join(self, deep: Tensor, wide: Tensor) -> Tensor:
        """``[B, labels]``: what both say together."""
        a, b = self.shares.cpu()
        joined: Tensor = a * deep + b * wide
        return joined

    def believe(self, deep: Tensor, wide: Tensor, rows: Tensor) -> None:
        """Finds the shares that make texts likeliest which neither path has learned from.

        ``min over a, b ≥ 0 of  Σ cross-entropy(a · deep + b · wide) + ½ c ‖(a, b) − (½, 1)‖²``

        Arguments:
            deep, wide: ``[N, labels]``, what each says of them.
            rows: ``[N]``, of the true labels.
        """
        from scipy.optimize import minimize

        deep, wide, usual = deep.double(), wide.double(), torch.tensor(USUAL, dtype=torch.float64)

        def cost(shares: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            at = torch.from_numpy(shares).requires_grad_()
            loss = F.cross_entropy(at[0] * deep + at[1] * wide, rows, reduction="sum")
            loss = loss + CERTAINTY / 2 * (at - usual).square().sum()
            (slope,) = torch.autograd.grad(loss, at)
            return float(loss.detach()), slope.numpy()

        with torch.enable_grad():
            found = minimize(cost, np.array(USUAL), jac=True, bounds=[(0, None)] * 2)
        self.shares = torch.from_numpy(found.x).to(self.shares)

    def _scores(self, halves: Sequence[Any]) -> Tensor:
        """``[B, labels]``."""
        rows: Tensor = torch.from_numpy(self._weighed(halves) @ self.weight.cpu().numpy()) + self.bias.cpu()
        return rows

    def _counted(self, sequences: Sequence[Any]) -> list[Any]:
        """For each half a sparse matrix ``[B, buckets / 2]`` of how often each n-gram stands in each text."""
        texts = [text_of(items) for items in sequences]
        return [counter.transform(texts) for counter in _counters(len(self.idf) // 2)]

    def _weighed(self, halves: Sequence[Any]) -> Any:
        """A sparse matrix ``[B, buckets]`` of ``tf · idf``."""
        from scipy import sparse
        from sklearn.preprocessing import normalize

        idf = np.split(self.idf.cpu().numpy(), 2)
        weighed = [
            sparse.csr_matrix(((1 + np.log(half.data)) * own[half.indices], half.indices, half.indptr), half.shape)
            for half, own in zip(halves, idf, strict=True)
        ]
        return sparse.hstack([normalize(half) for half in weighed], format="csr", dtype=np.float32)


def text_of(items: Any) -> str:
    """A text as it is, words with blanks between them."""
    return " ".join(map(str, items)) if isinstance(items, list) else str(items)


def _chunks(sequence: Any) -> Iterator[Any]:
    items = iter(sequence)
    while chunk := list(islice(items, CHUNK)):
        yield chunk


@cache
def _counters(buckets: int) -> list[Any]:
    from sklearn.feature_extraction.text import HashingVectorizer

    plain = {"n_features": buckets, "alternate_sign": False, "norm": None}
    words = HashingVectorizer(ngram_range=WORDS, tokenizer=TOKEN.findall, token_pattern=None, **plain)
    return [words, HashingVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, **plain)]
