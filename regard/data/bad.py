"""Bad records: an error, or passed over, counted, and the first of them told."""

from __future__ import annotations

import logging
from types import TracebackType

from regard.errors import DataError

SHOWN = 10
logger = logging.getLogger(__name__)


class BadRecords:
    """What becomes of records that cannot be used: ``with`` it around what makes one, a DataError is raised or noted.

    Arguments:
        skip: whether they are passed over.
        shown: how many are kept for messages.
    """

    def __init__(self, *, skip: bool, shown: int = SHOWN) -> None:
        self.skip, self.shown = skip, shown
        self.count = 0
        self.first: list[DataError] = []

    def take(self, error: DataError) -> None:
        """Notes what is wrong with one.

        Raises:
            DataError: that, where they are not passed over.
        """
        if not self.skip:
            raise error
        self.count += 1
        if len(self.first) < self.shown:
            self.first.append(error)

    def warn(self, source: str) -> None:
        """Tells of those that were passed over, if any were."""
        for error in self.first:
            logger.warning("left out: %s", error)
        if self.count:
            more = f", of which the first {len(self.first)} are told" if self.count > len(self.first) else ""
            logger.warning("%s: %d bad records left out%s", source, self.count, more)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not self.skip or not isinstance(error, DataError):
            return False
        self.take(error)
        return True


REFUSED = BadRecords(skip=False)
