"""The goal of recordings that are labelled in time: segments, made of a record's value, checked, and cut with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from regard.data.recordings import SLACK
from regard.data.records import Items, Place, short
from regard.recording import Recording

SPEECH = "speech"  # the label of two times alone
OUTSIDE = "O"  # the label of what is in no segment
TOUCH = 1e-3  # seconds by which times that mean the same may differ
NOISE = 1e-9  # seconds by which sums of them are off, less than a sample lasts
EXPECTED = "a list of segments [start, end, label], in seconds"


class Segment(NamedTuple):
    """A part of a recording and its label.

    Arguments:
        start, end: seconds from the beginning of the recording.
        label: who, or what, is heard.
    """

    start: float
    end: float
    label: str


def segments(value: Any, items: Items, place: Place) -> list[Segment]:
    """Segments in the order of time; those of one label that touch or overlap are one.

    >>> recording = Recording.from_samples(np.zeros(16000, np.int16), 8000)
    >>> segments([[1, 1.5, "anna"], [0.2, 0.7], {"start": 1.5, "end": 2, "label": "anna"}], recording, Place())
    [Segment(start=0.2, end=0.7, label='speech'), Segment(start=1.0, end=2.0, label='anna')]

    Arguments:
        value: a list of ``[start, end, label]``, of ``[start, end]`` which is speech, of dicts with these keys; or such
            a list as a text of JSON.

    Raises:
        DataError: it is something else, or one that is empty, beyond the end, or overlaps another of another label.
    """
    if not isinstance(items, Recording):
        raise place.error("a recording, of which segments are parts", f"a {type(items).__name__}; front_end=audio")
    listed = _listed(value, place)
    found = [_segment(entry, number, items.seconds, place) for number, entry in enumerate(listed)]
    made: list[Segment] = []
    for number in sorted(range(len(found)), key=found.__getitem__):
        start, end, label = found[number]
        before = made[-1] if made else Segment(0.0, 0.0, OUTSIDE)
        if start <= before.end + TOUCH and label == before.label:
            made[-1] = Segment(before.start, max(before.end, end), label)
            continue
        if start < before.end - TOUCH or end <= before.end:
            both = f"{before.label}+{label}"
            expected = (
                f"one label at a time (give the time of two to one of them, or to a label of its own, as '{both}')"
            )
            raise place.error(expected, f"{_shown(found[number])}, which overlaps {_shown(before)}", number)
        made.append(Segment(before.end if start <= before.end + TOUCH else start, end, label))
    return made


def cut(parts: Sequence[Segment], start: float, stop: float) -> list[Segment]:
    """What lies of segments between two times, counted from the first.

    >>> cut([Segment(0.0, 3.0, "anna"), Segment(5.0, 6.0, "ben")], 2.0, 5.0)
    [Segment(start=0.0, end=1.0, label='anna')]
    """
    clipped = (Segment(max(start, part.start) - start, min(stop, part.end) - start, part.label) for part in parts)
    return [part for part in clipped if part.start < part.end]


def has_outside(parts: Sequence[Segment], seconds: float) -> bool:
    """Whether any time of a recording is in none of its segments, which are in order."""
    ends = [0.0, *(part.end for part in parts)]
    starts = [*(part.start for part in parts), seconds]
    return any(start - end > NOISE for end, start in zip(ends, starts, strict=True))


def _listed(value: Any, place: Place) -> Sequence[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise place.error(f"{EXPECTED}, or JSON of one", short(value)) from None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise place.error(EXPECTED, f"{short(value)} ({type(value).__name__})")
    return value


def _segment(entry: Any, number: int, seconds: float, place: Place) -> Segment:
    """One, checked by itself; an end that is that of the recording but for a little is that."""
    parts = [entry.get(name) for name in Segment._fields] if isinstance(entry, Mapping) else entry
    if isinstance(parts, np.ndarray):
        parts = parts.tolist()
    if not isinstance(parts, list | tuple) or not 2 <= len(parts) <= 3:
        raise place.error("a segment [start, end, label]", short(entry), number)
    start, end = (_number(part, entry, number, place) for part in parts[:2])
    label = SPEECH if len(parts) == 2 or parts[2] is None else parts[2]
    if not isinstance(label, str) or not label.strip():
        raise place.error("a label that is a string and not blank", short(entry), number)
    if label == OUTSIDE:
        raise place.error(f"a label other than {OUTSIDE}, which is what lies outside of all segments", "it", number)
    if not 0 <= start < end or start >= seconds:
        raise place.error(f"a start before its end, within the recording's {seconds:.2f} s", short(entry), number)
    if end > seconds + SLACK:
        raise place.error(f"a segment that ends within the recording's {seconds:.2f} s", short(entry), number)
    return Segment(start, end if end < seconds - TOUCH else seconds, label)


def _number(part: Any, entry: Any, number: int, place: Place) -> float:
    try:
        found = float(part) if isinstance(part, int | float | np.number) and not isinstance(part, bool) else math.nan
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise place.error("a segment whose start and end are seconds", short(entry), number)
    return found


def _shown(segment: Segment) -> str:
    return f"{segment.start:g} to {segment.end:g} s of '{segment.label}'"
