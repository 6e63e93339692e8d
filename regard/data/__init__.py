"""Reading sequences and what is to be learnt from them from files and Python values, and writing predictions.

A *format* makes records of a file, *items* and *goals* are made of the values of a record: see docs/design.md. Names
load on first use, so that the table of formats need not wait for NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regard.data.formats import FORMATS, find_format, formats_for, output_format, writable_formats
    from regard.data.goals import check_spans, span_scheme
    from regard.data.reading import Source, iter_read, read
    from regard.data.records import Example, Place, Record
    from regard.data.writing import open_writer, write

__all__ = [
    "FORMATS",
    "Example",
    "Place",
    "Record",
    "Source",
    "check_spans",
    "find_format",
    "formats_for",
    "iter_read",
    "open_writer",
    "output_format",
    "read",
    "span_scheme",
    "writable_formats",
    "write",
]

_HOMES = {
    "records": ("Example", "Place", "Record"),
    "formats": ("FORMATS", "find_format", "formats_for", "output_format", "writable_formats"),
    "goals": ("check_spans", "span_scheme"),
    "reading": ("Source", "iter_read", "read"),
    "writing": ("open_writer", "write"),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"regard.data.{home}"), name)
                return value
        raise AttributeError(f"module 'regard.data' has no attribute '{name}'")
