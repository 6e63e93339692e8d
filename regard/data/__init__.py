"""Reading sequences and what is to be learnt from them from files and Python values, and writing predictions."""

from __future__ import annotations

from regard.data.classified import (
    CLASSIFIED_FORMATS,
    classified_output_format,
    find_classified_format,
    iter_classified,
    read_classified,
)
from regard.data.corpus import Corpus, read_texts
from regard.data.example import Example
from regard.data.pairs import PAIR_FORMATS, find_pair_format, iter_pairs, pair_output_format, read_pairs
from regard.data.read import FORMATS, find_format, iter_examples, output_format, read_examples
from regard.data.spans import check_spans, span_scheme
from regard.data.write import OUTPUT_FORMATS, write_predictions
from regard.data.write_whole import (
    CLASSIFIED_OUTPUT_FORMATS,
    PAIR_OUTPUT_FORMATS,
    write_candidates,
    write_classified,
    write_transduced,
)

__all__ = [
    "CLASSIFIED_FORMATS",
    "CLASSIFIED_OUTPUT_FORMATS",
    "FORMATS",
    "OUTPUT_FORMATS",
    "PAIR_FORMATS",
    "PAIR_OUTPUT_FORMATS",
    "Corpus",
    "Example",
    "check_spans",
    "classified_output_format",
    "find_classified_format",
    "find_format",
    "find_pair_format",
    "iter_classified",
    "iter_examples",
    "iter_pairs",
    "output_format",
    "pair_output_format",
    "read_classified",
    "read_examples",
    "read_pairs",
    "read_texts",
    "span_scheme",
    "write_candidates",
    "write_classified",
    "write_predictions",
    "write_transduced",
]
