"""The simple things that a classifier must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.data import Example
from regard.image import Image
from regard.tasks.classify.ngrams import TOKEN
from regard.training.metrics import class_scores

OF_TEXTS = "TF-IDF + logistic regression"


def class_baselines(
    train: Sequence[Example],
    scored: Sequence[Example],
    labels: Sequence[str],
    vectors: Callable[[Any], NDArray[Any]] = np.asarray,
) -> dict[str, dict[str, float]]:
    """The most frequent label; TF-IDF with logistic regression of texts, a small network on the mean of vectors.

    ``vectors`` makes an array ``[N, C]`` of items that are neither texts nor words.
    """
    gold = [example.goal for example in scored]
    counts = Counter(example.goal for example in train)
    majority = [counts[label] / len(train) for label in labels]
    scores = {"majority label": class_scores(gold, torch.tensor([majority] * len(gold)), labels)}
    if len(labels) > 1:
        texts = isinstance(train[0].items, str | list)
        name = OF_TEXTS if texts else "fully connected network on the mean vector"
        if isinstance(train[0].items, Image):
            name = "fully connected network on all pixels"
        chances = _of_texts(train, scored) if texts else _of_vectors(train, scored, vectors)
        scores[name] = class_scores(gold, torch.from_numpy(chances), labels)
    return scores


def _of_texts(train: Sequence[Example], scored: Sequence[Example]) -> NDArray[np.float64]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def texts(examples: Sequence[Example]) -> list[str]:
        return [" ".join(map(str, x.items)) if isinstance(x.items, list) else str(x.items) for x in examples]

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=TOKEN.findall, token_pattern=None)
    model = make_pipeline(words, LogisticRegression(C=10, max_iter=1000))
    model.fit(texts(train), [example.goal for example in train])
    chances: NDArray[np.float64] = model.predict_proba(texts(scored))
    return chances


def _of_vectors(
    train: Sequence[Example], scored: Sequence[Example], vectors: Callable[[Any], NDArray[Any]]
) -> NDArray[np.float64]:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def means(examples: Sequence[Example]) -> NDArray[np.float64]:
        return np.stack([vectors(example.items).astype(np.float64).mean(0) for example in examples])

    network = MLPClassifier((64,), solver="lbfgs", alpha=0.1, max_iter=2000, random_state=1)
    model = make_pipeline(StandardScaler(), network)
    model.fit(means(train), [example.goal for example in train])
    chances: NDArray[np.float64] = model.predict_proba(means(scored))
    return chances
