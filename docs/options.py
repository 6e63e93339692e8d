"""The tables of options in docs/training.md, from `regard.training.config`; `python docs/options.py` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from regard.tasks import TASKS
from regard.training.config import PANELS, Config, describe, panel_of

PAGE = Path(__file__).with_name("training.md")
BEGIN, END = "<!-- options: written by docs/options.py -->\n", "<!-- end of options -->\n"
HEAD = ["", "| option | default | what it is |", "|---|---|---|"]


def tables() -> str:
    """The options that all tasks share, under the headings of `--help`; then those of each task."""
    lines = []
    for panel in PANELS:
        lines += ["", f"**{panel}**", *HEAD]
        lines += [_row(Config, name) for name in Config.model_fields if panel_of(Config, name) == panel]
    for task, kind in ((name, row.config) for name, row in TASKS.items()):
        own = [name for name, field in kind.model_fields.items() if not _is_shared(name, field.default)]
        lines += ["", f"**`{task}`**: options of its own, or with another default", *HEAD]
        lines += [_row(kind, name) for name in own]
    return "\n".join([*lines, "", ""])


def _is_shared(name: str, default: object) -> bool:
    return name in Config.model_fields and Config.model_fields[name].default == default


def _row(kind: type[Config], name: str) -> str:
    field = kind.model_fields[name]
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    told = describe(kind, name) + (f" One of: {', '.join(f'`{choice}`' for choice in choices)}." if choices else "")
    return f"| `{name}` | {_default(field.default)} | {told} |"


def _default(value: object) -> str:
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def with_tables(page: str) -> str:
    """The page with its tables written anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + tables() + END + after


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
