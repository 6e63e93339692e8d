"""One long sequence over many processes: each holds a part of its rows."""

from regard.parallel.api import attend
from regard.parallel.group import Traffic, traffic
from regard.parallel.rows import gather, split
from regard.parallel.sharing import sharing

__all__ = ["Traffic", "attend", "gather", "sharing", "split", "traffic"]
