"""How far what a network says of a vector reaches: what it is made of, and how long it is waited for."""

from __future__ import annotations

from typing import Any, TypedDict


class Reach(TypedDict):
    """None stands for no end, and in seconds for a front end without times.

    Arguments:
        receptive_field: vectors that one answer is made of, its own among them.
        look_ahead: those of them that follow its own; it grows from layer to layer.
        receptive_field_seconds: of the sound that they are made of.
        look_ahead_seconds: from the end of a vector to the last sample that its answer waits for.
    """

    receptive_field: int | None
    look_ahead: int | None
    receptive_field_seconds: float | None
    look_ahead_seconds: float | None


def reach_of(network: Any) -> Reach:
    """The reach of an encoder behind its front end."""
    left, right = network.encoder.reach
    field = None if left is None or right is None else left + 1 + right
    seconds = getattr(network.front_end, "seconds", None)
    found: Reach = {
        "receptive_field": field,
        "look_ahead": right,
        "receptive_field_seconds": None,
        "look_ahead_seconds": None,
    }
    if seconds is not None:
        before, after = network.front_end.context()
        if field is not None and before is not None:
            found["receptive_field_seconds"] = round(before + field * seconds + after, 6)
        if right is not None and after is not None:
            found["look_ahead_seconds"] = round(right * seconds + after, 6)
    return found


def told(reach: Reach, *, timed: bool) -> str:
    """The same for people.

    >>> field = Reach(receptive_field=161, look_ahead=64, receptive_field_seconds=3.255, look_ahead_seconds=1.3)
    >>> told(field, timed=True)
    'receptive field 161 vectors, 3.25 s; look-ahead 64 vectors, 1.30 s'
    """
    return "; ".join(
        f"{name} {_count(reach[key])}" + (f", {_seconds(reach[f'{key}_seconds'])}" if timed else "")  # type: ignore[literal-required]
        for name, key in (("receptive field", "receptive_field"), ("look-ahead", "look_ahead"))
    )


def _count(vectors: int | None) -> str:
    return "all vectors" if vectors is None else f"{vectors:,} vector{'' if vectors == 1 else 's'}"


def _seconds(seconds: float | None) -> str:
    return "the whole recording" if seconds is None else f"{seconds:.2f} s"
