"""Reading labelled sequences from files and Python values, and writing predictions."""

from __future__ import annotations

from regard.data.example import Example
from regard.data.read import FORMATS, find_format, iter_examples, output_format, read_examples
from regard.data.spans import check_spans, span_scheme
from regard.data.write import OUTPUT_FORMATS, write_predictions

__all__ = [
    "FORMATS",
    "OUTPUT_FORMATS",
    "Example",
    "check_spans",
    "find_format",
    "iter_examples",
    "output_format",
    "read_examples",
    "span_scheme",
    "write_predictions",
]
