"""Which format a file is read in: the one given, else the one that its name tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from regard.data.lines import STDIN, check_file, show
from regard.errors import ConfigError, DataError


def choose_format(
    source: str | Path,
    format: str,
    formats: Sequence[str],
    suffixes: Mapping[str, str],
    *,
    plain: str,
    labelled: bool,
    hint: str = "",
) -> str:
    """One of ``formats``; ``plain`` is the one that holds nothing to learn, and what standard input is without labels.

    ``hint`` ends the message about a name that tells nothing.

    Raises:
        ConfigError: a format that does not exist.
        DataError: a name that tells nothing.
    """
    if format != "auto":
        return check_format(format, ("auto", *formats))
    if str(source) == STDIN and not labelled:
        return plain
    suffix = ending(source)
    found = suffixes.get(suffix)
    if found is None or (found == plain and labelled):
        if str(source) != STDIN:
            check_file(source)
        choices = ", ".join(name for name in formats if name != plain or not labelled)
        told = f"the ending '{suffix}'" if suffix else "no ending"
        told += ", which is that of text without labels" if found else ""
        raise DataError(
            f"a name whose ending tells the format, or the format itself ({choices})", told + hint, path=show(source)
        )
    return found


def check_format(format: str, formats: Sequence[str]) -> str:
    """The format, if there is one of that name.

    Raises:
        ConfigError: there is not; the nearest name is told.
    """
    if format in formats:
        return format
    near = get_close_matches(format, formats, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise ConfigError(f"format must be {', '.join(formats)}, got '{format}'{hint}")


def ending(source: str | Path) -> str:
    """The end of a name that tells its format.

    >>> ending("train.v2.TSV.gz"), ending("train")
    ('.tsv', '')
    """
    suffixes = [suffix.lower() for suffix in Path(source).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
