"""Long sequences in overlapping parts."""

from __future__ import annotations


def windows(length: int, longest: int) -> list[tuple[int, int]]:
    """Parts of a sequence, of one size that is at most ``longest``; each overlaps the next by about a quarter.

    >>> windows(10, 4), windows(3, 4)
    ([(0, 4), (3, 7), (6, 10)], [(0, 3)])
    """
    if length <= longest:
        return [(0, length)]
    longest = max(1, longest)
    step = max(1, longest - longest // 4)
    count = 1 + -(-(length - longest) // step)
    starts = [round(number * (length - longest) / (count - 1)) for number in range(count)]
    return [(start, start + longest) for start in starts]
