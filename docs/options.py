"""The table of options in docs/training.md, from `regard.training.config`: `python docs/options.py` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from regard.cli.options import FIRST_OF_PANEL
from regard.training.config import Config, describe

PAGE = Path(__file__).with_name("training.md")
BEGIN, END = "<!-- options: written by docs/options.py -->\n", "<!-- end of options -->\n"


def table() -> str:
    """One row for each option, under the headings of `regard train label --help`."""
    lines = []
    for name, field in Config.model_fields.items():
        if name in FIRST_OF_PANEL:
            lines += ["", f"**{FIRST_OF_PANEL[name]}**", "", "| option | default | what it is |", "|---|---|---|"]
        choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
        told = describe(name) + (f" One of: {', '.join(f'`{choice}`' for choice in choices)}." if choices else "")
        lines.append(f"| `{name}` | {_default(field.default)} | {told} |")
    return "\n".join([*lines, "", ""])


def _default(value: object) -> str:
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def with_table(page: str) -> str:
    """The page with its table written anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
