import io
import sys

import pytest
from rich.console import Console

from regard import UnsupportedError
from regard.training.progress import Journal, Progress, read_journal


def shown(*, terminal):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120, force_interactive=terminal, color_system=None)
    with Progress(epochs=3, total=300, done=0, shown=True, console=console) as progress:
        progress.step(0, 50)
        progress.loss(0, 0.5, 1234.0)
        progress.step(0, 50)
        progress.evaluation(0, "accuracy", 0.875, best=True)
        progress.note("a word")
    return stream.getvalue()


def test_a_terminal_gets_a_bar():
    told = shown(terminal=True)
    for part in ("epoch 1/3", "33%", "loss 0.5000", "accuracy 87.50 % (best)", "1,234 items/s", "a word", "━"):
        assert part in told


def test_elsewhere_there_are_plain_lines():
    first, second = shown(terminal=False).splitlines()
    assert first.startswith("epoch 1/3  loss 0.5000  accuracy 87.50 % (best)  1,234 items/s  0:00 left")
    assert second == "a word"


def test_only_the_main_process_tells(capfd):
    with Progress(epochs=1, total=1, done=0, shown=False) as progress:
        progress.note("nothing")
    assert capfd.readouterr() == ("", "")


def test_a_long_epoch_tells_of_itself_now_and_then(monkeypatch):
    monkeypatch.setattr("regard.training.progress.LINE_EVERY", -1)
    first, second, _ = shown(terminal=False).splitlines()
    assert first.startswith("epoch 1/3  loss 0.5000  1,234 items/s")
    assert "accuracy" not in first
    assert "accuracy 87.50 %" in second


def test_no_journal_has_no_lines(tmp_path):
    assert read_journal(tmp_path / "metrics.jsonl") == []


def test_tensorboard_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        UnsupportedError, match=r"tensorboard: it is not installed; pip install 'regard\[tensorboard\]'"
    ):
        Journal(tmp_path, length=0, digest="", step=0, tensorboard=True)
