"""Fonts for words of any script: those that are installed and have the characters."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

logger = logging.getLogger(__name__)
USUAL = "DejaVu Sans"  # which matplotlib brings along
MOST_SHOWN = 10


def families(texts: Iterable[str]) -> list[str]:
    """The font that matplotlib brings along, and installed ones with the characters that it lacks.

    What no font has is told once, in a warning. "Noto Sans CJK" and others of many scripts are free.

    >>> families(["word", "Привет", "ğ"])
    ['DejaVu Sans']
    """
    missing = {character for text in texts for character in text if not _needs_none(character)} - _characters(USUAL)
    chosen = [USUAL]
    while missing:
        best = max(_installed(), key=lambda family: len(missing & _characters(family)))
        found = missing & _characters(best)
        if not found:
            _warn("".join(sorted(missing)))
            break
        chosen.append(best)
        missing -= found
    return chosen


def _needs_none(character: str) -> bool:
    """Whether it is drawn as nothing: blanks, controls, joiners and selectors of variants."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"


@cache
def _installed() -> tuple[str, ...]:
    """Families with an upright, regular font; first those without serifs, as the usual one."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    listed = {font.fname for font in fontManager.ttflist}
    for path in set(findSystemFonts()) - listed:  # installed since matplotlib wrote its list
        with suppress(OSError, RuntimeError):  # no font, or one of pictures
            fontManager.addfont(path)
    upright = (font for font in fontManager.ttflist if font.style == "normal")
    names = {font.name for font in upright if font.weight in (400, "normal", "regular")}
    return tuple(sorted({*names, USUAL}, key=lambda name: ("Sans" not in name, name)))


@cache
def _characters(family: str) -> frozenset[str]:
    """Those of which a family has a shape that can be drawn."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        font = get_font(findfont(FontProperties(family=family), fallback_to_default=False))
    except (OSError, RuntimeError, ValueError):  # a file that went, or that holds pictures instead of shapes
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()


@cache
def _warn(missing: str) -> None:
    shown = " ".join(missing[:MOST_SHOWN]) + " …" * (len(missing) > MOST_SHOWN)
    logger.warning(
        "no installed font has %s: they are drawn as boxes; install one that has them, such as Noto Sans or Noto Sans "
        "CJK, or write .svg, whose text is drawn with the fonts of the machine that shows it",
        shown,
    )
