"""The examples of a task: read, and checked against what the model takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regard.data import Example, read_classified, read_examples, read_pairs, read_texts
from regard.errors import DataError
from regard.training.config import ClassifyConfig, Config, LabelConfig, PretrainConfig, TransduceConfig

Source = str | Path | Iterable[Any]
WORDS = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def read(
    source: Source, config: LabelConfig, *, format: str | None = None, column: str | None = None, labelled: bool = True
) -> list[Example]:
    """All sequences of a file or an iterable.

    Raises:
        DataError: a record that cannot be read, or that this front end or an unlimited window does not take.
    """
    examples = read_examples(
        source,
        format=config.format if format is None else format,
        column=config.column if column is None else column,
        labelled=labelled,
    )
    for example in examples:
        _check_kind(example, config.front_end)
        _check_length(example, config)
    return examples


def read_whole(
    source: Source,
    config: ClassifyConfig,
    *,
    format: str | None = None,
    column: str | None = None,
    labelled: bool = True,
) -> list[Example]:
    """All examples of a file or an iterable, with one label each.

    Raises:
        DataError: a record that cannot be read, or that this front end does not take.
    """
    examples = read_classified(
        source,
        format=config.format if format is None else format,
        column=config.column if column is None else column,
        text_column=config.text_column,
        labelled=labelled,
    )
    for example in examples:
        _check_kind(example, config.front_end)
    return [as_front_end_takes(example, config.front_end) for example in examples]


def read_sources(
    source: Source,
    config: TransduceConfig,
    *,
    target: str | Path | None = None,
    format: str | None = None,
    labelled: bool = True,
) -> list[Example]:
    """All sources of a file or an iterable, with their targets where ``labelled``.

    Raises:
        DataError: a record that cannot be read, or that this front end does not take.
    """
    examples = read_pairs(
        source,
        target,
        format=config.format if format is None else format,
        source_column=config.source_column,
        target_column=config.target_column,
        labelled=labelled,
    )
    for example in examples:
        _check_kind(example, config.front_end)
    return [as_front_end_takes(example, config.front_end) for example in examples]


def read_raw(source: Source, config: PretrainConfig) -> Sequence[Example]:
    """Raw sequences without labels: texts, one a line, or arrays of vectors.

    Raises:
        DataError: a record that cannot be read, or that this front end does not take.
    """
    if config.front_end == "vectors":
        examples = read_examples(source, labelled=False)
        for example in examples:
            _check_kind(example, config.front_end)
        return examples
    texts = read_texts(source)
    if config.front_end == "words":
        return [as_front_end_takes(example, config.front_end) for example in texts]
    return texts


def too_long(example: Example, length: int, longest: int, what: str) -> DataError:
    """The error about a sequence that cannot be taken whole."""
    expected = f"a {what} of at most {longest} items (split it, or train with a larger `longest`)"
    return DataError(expected, f"one of {length}", path=example.source, line=example.line)


def cut_into_words(text: str, *, apart: str | None = None) -> list[str]:
    """Words and marks, and what is to stay one whatever it is made of.

    >>> cut_into_words("It's a [MASK], no?", apart="[MASK]")
    ["It's", 'a', '[MASK]', ',', 'no', '?']
    """
    parts = [text] if apart is None else re.split(f"({re.escape(apart)})", text)
    return [word for part in parts for word in ([part] if part == apart else WORDS.findall(part))]


def as_front_end_takes(example: Example, front_end: str) -> Example:
    """A text as words, or words as a text, where the front end wants the other.

    >>> as_front_end_takes(Example("It's new, no?"), "words").items
    ["It's", 'new', ',', 'no', '?']
    """
    if front_end == "words" and isinstance(example.items, str):
        return replace(example, items=cut_into_words(example.items))
    if front_end in ("subwords", "characters", "symbols") and isinstance(example.items, list):
        return replace(example, items=" ".join(example.items))
    return example


def check_labels(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """Every label must be one that training had, unless ``unseen`` is "count-wrong".

    Raises:
        DataError: the first that is not.
    """
    for example in examples if unseen == "refuse" else ():
        for place, label in enumerate(example.labels or []):
            if label not in labels:
                raise _unknown(f"{label!r} at item {place + 1}", labels, example, example.line_of(place))


def check_label(examples: Sequence[Example], labels: Sequence[str], unseen: str) -> None:
    """The same for the label of a whole sequence."""
    for example in examples if unseen == "refuse" else ():
        if example.label not in labels:
            raise _unknown(repr(example.label), labels, example, example.line)


def _unknown(found: str, labels: Sequence[str], example: Example, line: int | None) -> DataError:
    expected = f"one of the {len(labels)} labels of the training data (or unseen_labels=count-wrong)"
    return DataError(expected, found, path=example.source, line=line)


def digest(examples: Iterable[Example]) -> str:
    """Tells one training set from another."""
    whole = hashlib.sha256()
    for example in examples:
        items = example.items.tobytes() if isinstance(example.items, np.ndarray) else repr(example.items).encode()
        whole.update(items + repr((example.labels, example.label, example.target)).encode())
    return whole.hexdigest()


def _check_length(example: Example, config: Config) -> None:
    if len(example) > config.longest and config.window is None:
        raise DataError(
            f"sequences of at most {config.longest} items (without a window attention costs their square: "
            "split them, or train with a `window` or a larger `longest`)",
            f"one of {len(example)}",
            path=example.source,
            line=example.line,
        )


def _check_kind(example: Example, front_end: str) -> None:
    vectors = isinstance(example.items, np.ndarray)
    if vectors != (front_end == "vectors") and len(example):
        expected = "arrays [N, C]" if front_end == "vectors" else "words"
        other = "words" if front_end == "vectors" else "vectors"
        found = f"an array {list(np.shape(example.items))}" if vectors else "words"
        raise DataError(
            f"{expected} for front_end={front_end} (front_end={other} takes the others)",
            found,
            path=example.source,
            line=example.line,
        )
