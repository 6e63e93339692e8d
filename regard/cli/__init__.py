"""The command line."""

from regard.cli.app import run

__all__ = ["run"]
