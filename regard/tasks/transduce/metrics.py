"""Scores of texts that were produced against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from regard.training.metrics import edit_scores


def text_scores(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """How good new texts are.

    ``bleu`` (Papineni et al. 2002) and ``chrf`` (Popović 2015), both of the corpus and from 0 to 1, as `sacrebleu`
    counts them (see :func:`signatures`), and those of :func:`regard.training.metrics.edit_scores`.

    >>> scores = text_scores(["K AE T", "D AO G"], ["K AE T", "D AA G"])
    >>> scores["exact"], round(scores["symbol_error"], 3)
    (0.5, 0.167)

    Raises:
        DataError: there is no text to score.
    """
    edits = edit_scores(gold, predicted)
    bleu, chrf = _metrics()
    return {
        "bleu": bleu.corpus_score(list(predicted), [list(gold)]).score / 100,
        "chrf": chrf.corpus_score(list(predicted), [list(gold)]).score / 100,
        **edits,
    }


def signatures() -> str:
    """How `sacrebleu` counted, so that others can count in the same way."""
    bleu, chrf = _metrics()
    return f"BLEU {bleu.get_signature()}; chrF {chrf.get_signature()}"


@lru_cache
def _metrics() -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(force=True), CHRF()  # text that is cut into words is scored as it is, without a warning
    for metric in (bleu, chrf):  # a signature is complete once something was scored
        metric.corpus_score(["a b c d"], [["a b c d"]])
    return bleu, chrf
