"""Writing files so that a kill, an error or a full disk at any moment leaves the old file whole."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from regard.errors import ModelError, RegardError

PART = ".part"  # ends the name of a file that is still being written
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: str | os.PathLike[str], binary: bool = False) -> Iterator[IO[Any]]:
    """A file to write (UTF-8 text, or bytes) that takes its place at ``path`` only when it is complete and on disk.

    A device or a pipe, ``/dev/null`` say, is written to as it is.

    Raises:
        RegardError: the place cannot be written, or the disk is full; what stood at ``path`` is untouched.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    mode, encoding = ("b", None) if binary else ("", "utf-8")
    if target.exists() and not target.is_file():
        with explain_failures(path), open(target, "w" + mode, encoding=encoding) as file:
            yield file
        return
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PART}")
    with explain_failures(path):
        file = open(part, "x" + mode, encoding=encoding)  # noqa: SIM115
    try:
        with explain_full_disk(path), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with explain_failures(path):
            os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to fill that takes its place at ``path`` only when it is complete.

    Raises:
        RegardError: something stands there already, the place cannot be written, or the disk is full.
    """
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RegardError(f"{path}: cannot be written, something is there already; name a new folder")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PART}")
    with explain_failures(path):
        part.mkdir()
    try:
        with explain_full_disk(path):
            yield part
        with explain_failures(path):
            os.replace(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def remove_parts(folder: Path) -> None:
    """Deletes what a killed :func:`atomic_write` left beside the files of a folder."""
    for part in folder.glob(f".*.????????{PART}"):
        part.unlink(missing_ok=True)


def write_json(value: Any, path: Path) -> None:
    """Writes JSON that people can read."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object that :func:`write_json` wrote.

    Raises:
        ModelError: the file is missing, or does not hold one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\ud" in text.lower():  # half a character can be read, and not written
            json.dumps(value, ensure_ascii=False).encode()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; is {path.parent} a run folder that was trained?") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read, {_reason(error)}") from None
    except ValueError as error:  # also of a whole number with thousands of digits
        raise ModelError(f"{path}: not whole JSON ({error}); copy it again or train again") from error
    except RecursionError:
        raise ModelError(f"{path}: lists or objects nested too deeply; copy it again or train again") from None
    if not isinstance(value, dict):
        raise ModelError(
            f"{path}: holds a JSON {type(value).__name__} instead of an object; copy it again or train again"
        )
    return value


@contextmanager
def explain_full_disk(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the operating system's "no room" into a :class:`RegardError` that names the file and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise RegardError(
            f"{path}: cannot be written, {_reason(error)}; free some space, lift the limit or name another place, "
            "then run again; nothing half-written was left"
        ) from error


@contextmanager
def explain_failures(path: str | os.PathLike[str]) -> Iterator[None]:
    """The same for every way in which opening or replacing ``path`` may fail."""
    with explain_full_disk(path):
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            hint = "make its folder first" if isinstance(error, FileNotFoundError) else "name another place"
            raise RegardError(f"{path}: cannot be written, {_reason(error)}; {hint}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
