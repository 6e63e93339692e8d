"""Standard streams that are closed, full, or whose other end goes away, in real shells."""

import os
import pty
import signal
import subprocess
import sys

import pytest
from command_line import TINY

LOST = "regard: standard output: cannot be written, {}; send it elsewhere, or name a file to write\n"
CLOSED = LOST.format("it is closed")


@pytest.fixture
def shell(trained, files, tmp_path):
    """Runs a line of bash in which `regard` is the command, $run a run folder, $dev data, and $out a new place."""

    def shell(line, **more):
        script = f'set -o pipefail; regard() {{ "{sys.executable}" -m regard "$@"; }}; {line}'
        places = {"run": trained, "dev": files / "dev.conllu", "train": files / "train.conllu", "out": tmp_path / "out"}
        environment = os.environ | {name: str(place) for name, place in places.items()} | more
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, env=environment)
        return done.returncode, done.stdout, done.stderr

    return shell


@pytest.mark.parametrize(
    ("line", "unbuffered"),
    [("--help", ""), ("--help", "1"), ('info "$run" --json', "1"), ('evaluate "$run" "$dev"', "")],
)
def test_a_reader_that_leaves(shell, line, unbuffered):
    assert shell(f"regard {line} | true", PYTHONUNBUFFERED=unbuffered) == (141, "", "")


@pytest.mark.parametrize("line", ["--version", 'predict "$run" "$dev"'])
def test_closed_output(shell, line):
    assert shell(f"regard {line} >&-") == (1, "", CLOSED)


def test_full_output(shell):
    assert shell('regard info "$run" --json >/dev/full') == (1, "", LOST.format("no space left on device"))


def test_output_that_is_not_needed(shell, tmp_path):
    assert shell('regard predict "$run" "$dev" --output "$out" <&- >&-') == (0, "", "")
    assert (tmp_path / "out").stat().st_size > 0


def test_closed_errors(shell):
    assert shell('regard info "$out" 2>&-') == (1, "", "")
    assert shell('regard info "$out" 2>&1 | true; echo ${PIPESTATUS[0]}')[1] == "1\n"


def test_closed_input(shell):
    expected = "regard: <stdin>: expected a file, or lines of standard input, found standard input closed\n"
    assert shell('regard predict "$run" - <&-') == (1, "", expected)


TRAIN = f'regard train label --train "$train" --dev "$dev" --output "$out" {" ".join(TINY)} --epochs 3'


def test_a_training_goes_on_where_nobody_listens(shell, tmp_path):
    code, out, err = shell(f"{TRAIN} 2>&1 | head -n 2")
    assert (code, err) == (141, "")
    assert "dev shares 2 of its 2 examples" in out
    assert "\nepoch 1/3" in out
    assert (tmp_path / "out" / "README.md").is_file()
    assert not (tmp_path / "out" / "resume").exists()


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_goes_away(files, tmp_path, ignored):
    """The training stops with a checkpoint, as after Ctrl-C; where that is ignored, as nohup does, it goes on."""
    leader, terminal = pty.openpty()
    data = ("--train", files / "train.conllu", "--output", tmp_path / "run")
    epochs = ("--epochs", "40" if ignored else "4000")
    command = [sys.executable, "-m", "regard", "train", "label", *map(str, data), *TINY, *epochs]
    started = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL),
    )
    os.close(terminal)
    shown = b""
    while b"epoch 2/" not in shown:
        shown += os.read(leader, 1000)
    os.close(leader)
    started.send_signal(signal.SIGHUP)
    assert started.wait(timeout=60) == (0 if ignored else 130)
    assert (tmp_path / "run" / "resume" / "state.safetensors").is_file() == (not ignored)
    assert (tmp_path / "run" / "README.md").is_file() == ignored
