"""How well recordings were labelled in time: by their frames, and by their segments."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from regard.data.segments import Segment
from regard.errors import UnsupportedError

Segments = Sequence[Sequence[Segment]]


def segment_scores(gold: Segments, predicted: Segments, seconds: Sequence[float]) -> dict[str, float]:
    """Three errors of the time of segments, lower is better, summed over all recordings, by `pyannote.metrics`.

    ``detection_error`` is ``(missed + false alarm) / total`` of the time in any segment, whatever its label;
    ``identification_error`` ``(missed + false alarm + confused) / total``, where another label is confused with the
    true one; ``diarization_error`` the same where in each recording the labels that were found may be called otherwise,
    one by one, so that the least is confused. All may be above 1. No time around the bounds of segments is left out.

    Arguments:
        seconds: how long each recording is.

    >>> segment_scores([[Segment(0, 2, "anna")]], [[Segment(1, 2.5, "ben")]], [3.0])
    {'detection_error': 0.75, 'diarization_error': 0.75, 'identification_error': 1.25}

    Raises:
        UnsupportedError: pyannote.metrics is not installed.
    """
    core, detection, diarization, identification = library()
    metrics: dict[str, Any] = {
        "detection_error": detection.DetectionErrorRate(),
        "diarization_error": diarization.DiarizationErrorRate(),
        "identification_error": identification.IdentificationErrorRate(),
    }
    for number, (true, found, length) in enumerate(zip(gold, predicted, seconds, strict=True)):
        whole = core.Timeline([core.Segment(0, length)], uri=str(number))
        pair = [_annotation(core, part, number) for part in (true, found)]
        for metric in metrics.values():
            metric(*pair, uem=whole)
    return {name: float(abs(metric)) for name, metric in metrics.items()}


def library() -> tuple[ModuleType, ...]:
    """What `pyannote` has of segments and their errors.

    Raises:
        UnsupportedError: it is not installed, and how to install it.
    """
    try:
        from pyannote import core
        from pyannote.metrics import detection, diarization, identification
    except ImportError:
        raise UnsupportedError("scores of segments need pyannote.metrics: pip install 'regard[audio]'") from None
    return core, detection, diarization, identification


def _annotation(core: ModuleType, segments: Sequence[Segment], number: int) -> Any:
    """Segments as that library has them; each recording has a name of its own there."""
    made = core.Annotation(uri=str(number))
    for part in segments:
        made[core.Segment(part.start, part.end)] = part.label
    return made
