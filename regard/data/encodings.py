"""How text is written down: which bytes make which characters, and what parts the cells of a table."""

from __future__ import annotations

import codecs

from regard.errors import ConfigError, DataError

UTF8 = "utf-8"
NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}  # what is hard to type


def checked_encoding(name: str) -> str:
    """The name of an encoding as Python has it; a byte order mark of UTF-8 is dropped in any case.

    >>> checked_encoding("latin1"), checked_encoding("UTF-8-sig")
    ('iso8859-1', 'utf-8')

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        "\n".encode(name).decode(name)
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise ConfigError(
            f"encoding: one that Python knows (utf-8, cp1252, latin-1, utf-16, ...), got '{name}'"
        ) from None
    return found.removesuffix("-sig") if found.startswith(UTF8) else found


def is_by_lines(encoding: str) -> bool:
    """Whether a line feed is the one byte that it is in ASCII, so that lines can be found before they are decoded."""
    return "\n".encode(encoding) == b"\n"


def checked_delimiter(text: str) -> str:
    """The one character that parts cells, which may be called by its name.

    >>> checked_delimiter("tab"), checked_delimiter(";")
    ('\\t', ';')

    Raises:
        ConfigError: it is not one character, or one that words and quotes are made of.
    """
    found = NAMED.get(text.lower(), text)
    if len(found) != 1 or found.isalnum() or found in '"\r\n\0':
        known = "one character that is no letter, digit or quote, or the name of one (tab, semicolon, pipe, comma)"
        raise ConfigError(f"delimiter: {known}, got '{text}'")
    return found


def undecodable(error: UnicodeError, encoding: str, name: str, line: int | None) -> DataError:
    """The error about bytes that are no text in an encoding."""
    expected = "UTF-8 text" if encoding == UTF8 else f"text in {encoding}"
    if not isinstance(error, UnicodeDecodeError) or "BOM" in error.reason:  # UTF-16 says in which order its bytes stand
        return DataError(expected, f"no byte order mark; give encoding={encoding}-le or {encoding}-be", path=name)
    found = f"byte 0x{error.object[error.start]:02x}"
    if line is not None:
        found += f" at byte {error.start + 1} of the line"
    what_to_do = (
        "save the file as UTF-8, or give its encoding (encoding=cp1252 is that of Windows in the west)"
        if encoding == UTF8
        else "give another encoding"
    )
    return DataError(expected, f"{found}; {what_to_do}", path=name, line=line)
