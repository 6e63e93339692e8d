"""Writing files so that a kill, an error or a full disk at any moment leaves the old file whole; locks; JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from regard.errors import ConfigError, ModelError, RegardError

SOUND_ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph", ".w64", ".caf")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm")
PART = ".part"  # ends the name of a file that is still being written
LOCK = ".regard-lock"  # in a folder that a training wrote into, or writes
SEAL = "sha256"  # in a JSON object: the digest of all else
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
logger = logging.getLogger("regard")
_held: dict[Path, os.stat_result] = {}  # the folders that this process alone may write, and the lock of each


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
    check_held(path)
    with explain_failures(path):
        file = open(part, "x" + mode, encoding=encoding)  # noqa: SIM115
    try:
        with explain_full_disk(path), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        check_held(path)
        with explain_failures(path):
            os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to fill that takes its place at ``path``, or in an empty folder there, only when it is complete.

    Raises:
        RegardError: something stands there already, the place cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RegardError(f"{path}: cannot be written, something is there already; name a new folder")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PART}")
    with explain_failures(path):
        part.mkdir()
    try:
        with explain_full_disk(path):
            yield part
        with explain_failures(path):
            if target.exists():  # and stays, as someone may stand in it
                for entry in part.iterdir():
                    os.replace(entry, target / entry.name)
                part.rmdir()
            else:
                os.replace(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def remove_parts(folder: Path) -> None:
    """Deletes what a killed :func:`atomic_write` left beside the files of a folder."""
    for part in parts_in(folder):
        part.unlink(missing_ok=True)


def parts_in(folder: Path) -> list[Path]:
    """The files of a folder that are still being written, or were when their process was killed."""
    return list(folder.glob(f".*.????????{PART}"))


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """A folder, made where there is none, for this process alone. The operating system frees it, even after a kill.

    Whoever deletes it, or its lock, lets another process in: before each write :func:`check_held` looks.

    Raises:
        ConfigError: another process holds it, which the message names.
        RegardError: it cannot be written.
    """
    from filelock import FileLock, Timeout

    made, path, place = not folder.exists(), folder / LOCK, Path(os.path.abspath(folder))

    def sign(file: int) -> None:
        _held[place] = os.fstat(file)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        os.truncate(file, 0)
        os.write(file, json.dumps(holder).encode())

    with explain_failures(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, blocking=False, fallback_to_soft=False, preserve_lock_file=True, on_acquired=sign)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"output: {folder} is being written by {_holder(path)}; wait for it, stop it, or name another folder"
        ) from None
    except OSError as error:
        if error.errno != errno.ENOSYS:
            with explain_failures(path):
                raise
        logger.warning("%s: this file system has no locks; see to it that nothing else trains there", folder)
    try:
        yield
    finally:
        held = _held.pop(place, None)
        is_ours = held is None or _is_lock(held, path)
        if is_ours and os.path.isdir(folder) and os.listdir(folder) == [LOCK]:  # nothing came of it
            path.unlink()
            if made:
                folder.rmdir()
        lock.release()


def check_held(path: str | os.PathLike[str]) -> None:
    """Refuses to write into a folder of :func:`only_writer` that is no longer the one that was locked.

    Raises:
        RegardError: it, or the lock in it, is gone, or another.
    """
    for folder, lock in _held.items():
        if Path(os.path.abspath(path)).is_relative_to(folder) and not _is_lock(lock, folder / LOCK):
            raise RegardError(
                f"output: {folder} was taken from this training, as it or its {LOCK} was deleted or moved; nothing "
                "more is written there; leave both alone while a training runs"
            )


def _is_lock(lock: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(lock, os.stat(path))
    except OSError:
        return False


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(holder["since"]))
        return f"process {holder['pid']} on {holder['host']}, since {since}"
    except (OSError, ValueError, KeyError, TypeError):  # it has just begun, or the system lets nobody read
        return "another process"


def digest_of(value: Any) -> str:
    """Tells a JSON value from any other."""
    return hashlib.sha256(json.dumps(json.loads(json.dumps(value)), sort_keys=True).encode()).hexdigest()


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with its digest, by which :func:`unsealed` tells whether it was altered."""
    return value | {SEAL: digest_of(value)}


def unsealed(value: dict[str, Any], path: Path, *, required: bool = True) -> dict[str, Any]:
    """What :func:`sealed` was given.

    Arguments:
        required: False takes an object without a digest, of an earlier version, as it is.

    Raises:
        ModelError: it is not what was written.
    """
    rest = {name: part for name, part in value.items() if name != SEAL}
    if (required or SEAL in value) and value.get(SEAL) != digest_of(rest):
        raise ModelError(f"{path}: not what was saved (its digest differs); copy it again or train again")
    return rest


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


class Forgiving:
    """A text stream for messages: where nobody can read them any more they are dropped, and the work goes on."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return len(text) if self._stream is None else self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            if self._stream is not None:
                self._stream.flush()
        except OSError:
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


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
            if isinstance(error, FileNotFoundError):
                check_held(path)
            hint = "make its folder first" if isinstance(error, FileNotFoundError) else "name another place"
            raise RegardError(f"{path}: cannot be written, {_reason(error)}; {hint}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
