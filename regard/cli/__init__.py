"""The command line."""

from regard.cli.run import run

__all__ = ["run"]
