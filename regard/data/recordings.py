"""Recordings as items, made of a record's value: a path, samples, or what the `datasets` library makes of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.paths import placed, read_named
from regard.data.records import Place, short
from regard.recording import Recording

SOUND = "a sound file"
SLACK = 0.1  # seconds by which a part or a segment may pass the end of its recording: times are rounded


def as_recording(value: Any, place: Place, beside: Mapping[str, Any] | None = None) -> Recording:
    """A recording: the path of a file, as a list in the folder of ``place`` names it, or what `datasets` makes of one.

    Arguments:
        beside: the other values of the record: ``start``, ``end``, ``offset`` or ``duration``, in seconds, of a part.

    Raises:
        MissingFile: there is no such file.
        DataError: it is something else, or a file that cannot be read, or a part that is not in it or empty.
    """
    if isinstance(value, str | Path):
        value = read_named(value, place, SOUND, Recording.from_file)
    elif isinstance(value, Mapping):
        value = _of_dataset(value, place)
    elif hasattr(value, "get_all_samples"):  # torchcodec
        found = value.get_all_samples()
        value = Recording.from_samples(np.asarray(found.data).T, int(found.sample_rate))
    elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int | np.integer):
        value = Recording.from_samples(*value)
    if not isinstance(value, Recording):
        hint = "; regard.Recording.from_samples(samples, rate) tells its rate" if hasattr(value, "__array__") else ""
        raise place.error("a recording: the path of a sound file, or a regard.Recording", short(value) + hint)
    part = _part(value, {} if beside is None else beside, place)
    if not part.length:
        raise place.error("a recording of at least one sample", f"an empty part of {part.name}")
    return part


def _of_dataset(value: Mapping[str, Any], place: Place) -> Recording:
    """What the `datasets` library has in a column of audio, decoded or not."""
    if value.get("array") is not None and "sampling_rate" in value:
        samples = np.asarray(value["array"])
        return Recording.from_samples(samples if samples.ndim == 1 else samples.T, int(value["sampling_rate"]))
    if isinstance(value.get("bytes"), bytes):
        name = value.get("path") or "a recording in memory"
        with placed(name, place):
            return Recording.from_file(name, content=value["bytes"])
    if isinstance(value.get("path"), str):
        return read_named(value["path"], place, SOUND, Recording.from_file)
    raise place.error(
        "a recording with the key path, bytes, or array and sampling_rate", f"the keys {', '.join(value)}"
    )


def _part(recording: Recording, beside: Mapping[str, Any], place: Place) -> Recording:
    """What lies between the times that stand beside a recording, if any do."""
    start = _seconds(beside, ("start", "offset"), place)
    stop, duration = (_seconds(beside, (name,), place) for name in ("end", "duration"))
    begin = 0.0 if start is None else start
    if stop is None and duration is not None:
        stop = begin + duration
    if start is None and stop is None:
        return recording
    end = recording.seconds if stop is None else stop
    if not 0 <= begin < end or begin >= recording.seconds or end > recording.seconds + SLACK:
        raise place.error(f"a part of {recording.name}, {recording.seconds:.2f} s", f"{begin:.2f} to {end:.2f} s")
    return recording.part(begin, end)


def _seconds(values: Mapping[str, Any], names: Sequence[str], place: Place) -> float | None:
    for name in names:
        value = values.get(name)
        if value is None or value == "":
            continue
        try:
            return float(value)
        except (TypeError, ValueError):
            raise place.error(f"seconds under '{name}'", short(value)) from None
    return None
