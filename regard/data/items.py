"""The kinds of items (text, words, vectors, recordings, images), each made of a value by a function that checks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from regard.data.records import Items, Place, short
from regard.errors import DataError
from regard.files import IMAGE_ENDINGS
from regard.image import Image
from regard.recording import Recording

WORDS = regex.compile(r"\w+(?:['’-]\w+)*|(?=[^\w\s])\X")  # whose \w has vowel signs, and \X all of an emoji's parts
LIST_NAMES = ("words", "tokens", "items", "vectors")  # what a column of lists is called


def cut_into_words(text: str, *, unbroken: str | None = None) -> list[str]:
    """Words and marks; what is ``unbroken`` stays one whatever it is made of.

    >>> cut_into_words("It's a [MASK], no?", unbroken="[MASK]")
    ["It's", 'a', '[MASK]', ',', 'no', '?']
    >>> cut_into_words("फ़िल्म 👍🏽!")
    ['फ़िल्म', '👍🏽', '!']
    """
    parts = [text] if unbroken is None else regex.split(f"({regex.escape(unbroken)})", text)
    return [word for part in parts for word in ([part] if part == unbroken else WORDS.findall(part))]


def split_cell(cell: str) -> Any:
    """The list that a cell of a table stands for: one of JSON, or words between blanks.

    >>> split_cell("The dog"), split_cell('["New York", "sleeps"]')
    (['The', 'dog'], ['New York', 'sleeps'])
    """
    if cell.lstrip().startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            pass
    return cell.split()


def split_line(line: str) -> Any:
    """The words of a line of text, between blanks; it may also be a list of JSON, of strings or vectors.

    >>> split_line("[1] The dog"), split_line("[1]"), split_line('["New York", "sleeps"]')
    (['[1]', 'The', 'dog'], ['[1]'], ['New York', 'sleeps'])
    """
    found = split_cell(line)
    return found if found and all(isinstance(value, str | list) for value in found) else line.split()


def join_cell(values: Sequence[str]) -> str:
    """A list as one cell, which :func:`split_cell` takes apart again.

    >>> join_cell(["The", "dog"]), join_cell(["New York", "sleeps"])
    ('The dog', '["New York", "sleeps"]')
    """
    cell = " ".join(values)
    return cell if split_cell(cell) == list(values) else json.dumps(list(values), ensure_ascii=False)


def as_text(value: Any, place: Place) -> str:
    """A text; of words, the text that they make.

    Raises:
        DataError: it is something else, or holds half a character.
    """
    if isinstance(value, str):
        return check_text(value, "text", place)
    items = as_found(value, place)
    if isinstance(items, np.ndarray):
        raise place.error("a text or a list of words (front_end=vectors takes arrays)", _array(items))
    if isinstance(items, Recording | Image):
        raise _not_here(items, "a text or a list of words", place)
    return " ".join(items)


def as_words(value: Any, place: Place, cut: Callable[[str], list[str]] | None = None) -> list[str]:
    """A list of words; of a text, those that ``cut`` makes of it.

    Raises:
        DataError: it is something else, or a text without a ``cut``.
    """
    if cut is not None and isinstance(value, str):
        return cut(check_text(value, "text", place))
    items = as_lists(value, place)
    if isinstance(items, np.ndarray):
        if len(items):
            raise place.error("words (front_end=vectors takes arrays)", _array(items))
        return []
    return items


def as_vectors(value: Any, place: Place) -> NDArray[np.float32]:
    """An array ``[N, C]`` of finite numbers.

    Raises:
        DataError: it is something else.
    """
    if isinstance(value, str):
        raise place.error("an array [N, C] (other front ends take text)", f"the text {short(value)}")
    items = as_lists(value, place)
    if not isinstance(items, np.ndarray):
        if items:
            raise place.error("an array [N, C] (front_end=words takes words)", "words")
        return np.zeros((0, 0), np.float32)
    return items


def as_found(value: Any, place: Place) -> Items:
    """A text, a list of words or an array ``[N, C]``, whichever it is.

    Raises:
        DataError: it is none of them.
    """
    if isinstance(value, Recording | Image):
        return value
    return check_text(value, "text", place) if isinstance(value, str) else as_lists(value, place, text="a text, ")


def as_lists(value: Any, place: Place, *, text: str = "") -> list[str] | NDArray[np.float32]:
    """A list of words or an array ``[N, C]``, whichever it is; ``text`` says in messages what else would do.

    Raises:
        DataError: it is neither.
    """
    expected = f"{text}a list of words or an array [N, C]"
    if isinstance(value, str):
        raise place.error(expected, f"the string {short(value)}; put its words in a list")
    if isinstance(value, Recording | Image | Path):
        raise _not_here(value, expected, place)
    if value is None or isinstance(value, bytes | dict) or not hasattr(value, "__iter__"):
        raise place.error(expected, f"{short(value)} ({type(value).__name__})")
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "UO":
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return _numbers(value, place, expected)
    if value and not isinstance(value[0], str) and hasattr(value[0], "__len__"):
        return _numbers(value, place, expected)
    check_strings(value, "word", place)
    return list(value)


def check_text(text: str, kind: str, place: Place) -> str:
    """A string that UTF-8 can write.

    Raises:
        DataError: it holds half a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise place.error(f"a {kind} of whole characters", f"half a surrogate pair in {short(text)}") from None
    return str(text)


def check_strings(values: Sequence[Any], kind: str, place: Place) -> None:
    """Refuses anything but non-empty strings that UTF-8 can write.

    Raises:
        DataError: the first that is something else.
    """
    try:
        "".join(values).encode()  # one pass in C; what it stumbles over is looked for below
        if "" not in values:
            return
    except (TypeError, UnicodeEncodeError):
        pass
    for number, value in enumerate(values, 1):  # pragma: no branch - what stopped the pass above is among them
        if not isinstance(value, str):
            found = f"{value!r} ({type(value).__name__}) at item {number}; turn it into one with str"
            if kind == "label" and isinstance(value, int) and place.table == "DataFrame":
                found += ", or give the dataset that knows its name in the place of its to_pandas()"
            raise place.error(f"{kind}s that are strings", found)
        if not value:
            raise place.error(f"a {kind} of at least one character", f"an empty one at item {number}")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise place.error(f"a {kind} of whole characters", f"half a surrogate pair in {value!r} at item {number}")


def kind_of(items: Items) -> str:
    """What items are, for messages.

    >>> kind_of("The dog"), kind_of(["The", "dog"])
    ('texts', 'words')
    """
    if isinstance(items, str):
        return "texts"
    if isinstance(items, Recording | Image):
        return "recordings" if isinstance(items, Recording) else "images"
    return "words" if isinstance(items, list) else f"arrays [N, {items.shape[1]}]"


def fewest(items: Items) -> int:
    """How many items a sequence becomes at least, whatever cuts it: one for each vector, or word between blanks.

    >>> fewest("The  dog"), fewest(["New York"])
    (2, 1)
    """
    if isinstance(items, Recording | Image):
        return 1
    return len(items.split()) if isinstance(items, str) else len(items)


def identity_of(items: Items) -> bytes:
    """Tells items from others."""
    if isinstance(items, Recording | Image):
        return items.identity().encode()
    return items.tobytes() if isinstance(items, np.ndarray) else repr(items).encode()


def _numbers(rows: Any, place: Place, expected: str) -> NDArray[np.float32]:
    if not hasattr(rows, "__len__") and not hasattr(rows, "__array__"):
        raise place.error(expected, f"{short(rows)} ({type(rows).__name__})")
    try:
        array = np.asarray(rows)
    except (ValueError, TypeError, RuntimeError):  # ragged rows; a tensor that NumPy cannot hold
        raise place.error("rows of numbers, all of one length", _odd_row(rows)) from None
    if array.dtype.kind not in "biuf":
        raise place.error("rows of numbers, all of one length", _odd_row(rows))
    if array.ndim != 2 or array.shape[1] == 0 < len(array):
        raise place.error("an array [N, C]", f"shape {list(array.shape)}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes Inf and is refused as such
        vectors = array.astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        row, channel = np.argwhere(~np.isfinite(vectors))[0].tolist()
        raise place.error("finite numbers", f"{array[row, channel]} at item {row + 1}, channel {channel + 1}")
    return vectors


def _odd_row(rows: Any) -> str:
    """The first row that differs from the first in length, or that holds something else than numbers."""
    for number, row in enumerate(rows, 1):
        if not hasattr(row, "__len__") or isinstance(row, str):
            return f"{short(row)} at item {number}"
        for value in row:
            if isinstance(value, bool | str) or not hasattr(value, "__float__"):
                return f"{short(value)} at item {number}"
        if len(row) != len(rows[0]):
            return f"{len(row)} numbers at item {number}, {len(rows[0])} before"
    return f"{short(rows)}"


def _not_here(value: Recording | Image | Path, expected: str, place: Place) -> DataError:
    if isinstance(value, Image) or (isinstance(value, Path) and value.suffix.lower() in IMAGE_ENDINGS):
        return place.error(expected, "an image; front_end=patches and front_end=pixels take it")
    return place.error(expected, "a recording; front_end=audio takes it")


def _array(items: NDArray[np.float32]) -> str:
    return f"an array {list(items.shape)}"
