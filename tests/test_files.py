import os
import resource
import subprocess
import sys

import pytest

from regard.errors import RegardError
from regard.files import atomic_write, remove_parts


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    path = tmp_path / "scores.json"
    with atomic_write(path) as file:
        file.write("öld")
    with atomic_write(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text(encoding="utf-8") == "öld"
    assert path.read_text(encoding="utf-8") == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")

    def write_half():
        with atomic_write(path, binary=True) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.bin"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "written") as file:
        file.write("")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    with atomic_write(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


def test_a_device_is_written_to_and_not_replaced():
    with atomic_write("/dev/null") as file:
        file.write("gone")
    assert not os.path.isfile("/dev/null")


@pytest.mark.parametrize(
    ("place", "message"),
    [("missing/file", "no such file or directory; make its folder first"), (".", "is a directory; name another place")],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path, place, message):
    with pytest.raises(RegardError, match=message) as refused, atomic_write(tmp_path / place) as file:
        file.write("text")
    assert str(refused.value).startswith(f"{tmp_path / place}: cannot be written")


def test_errors_of_other_files_are_left_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "copy") as file:
        file.write((tmp_path / "original").read_text())
    assert not list(tmp_path.iterdir())


def test_parts_that_a_kill_left_are_removed(tmp_path):
    code = (
        "import os, sys; from regard.files import atomic_write\nwith atomic_write(sys.argv[1]): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "file"]).returncode == -9
    (tmp_path / ".hidden.part").write_text("a user's own")
    assert len(list(tmp_path.iterdir())) == 2
    remove_parts(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [".hidden.part"]


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_no_room_is_one_clear_error_and_keeps_the_old_file(tmp_path, size):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(RegardError, match="file too large; free some space") as refused:  # noqa: SIM117
            with atomic_write(path, binary=True) as file:
                file.write(b"x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(path) in str(refused.value)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.bin"]


def test_a_full_disk_is_one_clear_error():
    with pytest.raises(RegardError, match=r"/dev/full: cannot be written, no space left on device; free some space"):  # noqa: SIM117
        with atomic_write("/dev/full") as file:
            file.write("text")
