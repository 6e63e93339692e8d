"""A share of the training data, which may stand in the place of a file of dev data."""

from __future__ import annotations

import re

_SHARE = re.compile(r"0*\.\d+|\d*\.?\d+e-\d+")


def share_of(dev: object) -> float | None:
    """The share of train that a text asks for in the place of dev data; None of the name of a file.

    >>> share_of("0.1"), share_of("./0.1"), share_of("dev.csv")
    (0.1, None, None)
    """
    if not isinstance(dev, str) or not _SHARE.fullmatch(dev):
        return None
    share = float(dev)
    return share if 0 < share < 1 else None
