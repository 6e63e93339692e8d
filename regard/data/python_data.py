"""Examples that are already in memory: Python values, and datasets of the `datasets` library, which is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from regard.data.example import Example
from regard.data.records import Place, find_label_key, from_record, make_example, short
from regard.errors import DataError


def read_python(source: Iterable[Any], *, column: str, labelled: bool) -> Iterator[Example]:
    """Pairs ``(items, labels)``, dicts and Examples; bare items too where no labels are asked for.

    Raises:
        DataError: a wrong example, named by its number from 1.
    """
    check_iterable(source)
    features = getattr(source, "features", None) or {}
    names = class_names(features, find_label_key(features, column)) if labelled else None
    for number, entry in enumerate(source, 1):
        place = Place(number=number)
        if isinstance(entry, Example):
            yield _checked(entry, place, labelled=labelled)
        elif isinstance(entry, Mapping):
            yield from_record(entry, place, column=column, labelled=labelled, names=names)
        elif _is_pair(entry, labelled=labelled):
            yield make_example(entry[0], entry[1], place, labelled=labelled)
        elif labelled:
            raise place.error(
                "a pair (items, labels), a dict or an Example", f"{short(entry)} ({type(entry).__name__})"
            )
        else:
            yield make_example(entry, None, place, labelled=False)


def check_iterable(source: Any) -> None:
    """Refuses what holds no examples.

    Raises:
        DataError: what it is instead.
    """
    if isinstance(source, Mapping):
        keys = ", ".join(map(str, source))
        raise DataError(
            "an iterable of examples", f"a mapping with the keys {keys}; take one of them, as in data['train']"
        )
    if isinstance(source, bytes) or not hasattr(source, "__iter__"):
        raise DataError("a path or an iterable of examples", f"{source!r} ({type(source).__name__})")


def _checked(example: Example, place: Place, *, labelled: bool) -> Example:
    known = place if example.source is None else Place(example.source, example.line)
    if labelled and example.labels is None:
        raise known.error("labels", "none; read the file with labelled=True")
    if isinstance(example.items, str):
        raise known.error("a list of words or an array [N, C]", f"the text {short(example.items)}")
    return example


def _is_pair(entry: Any, *, labelled: bool) -> bool:
    """``(items, labels)``; without labels to find, a tuple may also be two words, or two vectors."""
    if labelled:
        return isinstance(entry, tuple | list) and len(entry) == 2
    if not isinstance(entry, tuple) or len(entry) != 2 or isinstance(entry[0], str):
        return False
    return entry[1] is None or all(isinstance(label, str) for label in entry[1])


def class_names(features: Mapping[str, Any], key: str | None) -> Sequence[str] | None:
    """The names behind label numbers, where a dataset of the `datasets` library keeps them."""
    feature = None if key is None else features.get(key)
    feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    return getattr(feature, "names", None)
