"""Stopping a step that goes on for long, and what comes before the first step, by real signals."""

import os
import signal
import threading
import time

import pytest
from forked import Forked
from small_training import run

from regard.front_ends.subwords import in_a_thread, learn_tokenizer
from regard.training.progress import Interrupt

STATE = "resume/state.safetensors"
both = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
on_posix = pytest.mark.skipif(os.name != "posix", reason="sends signals of POSIX")


@pytest.fixture(autouse=True)
def _heard():
    """Ctrl-C, which what a script starts in the background ignores, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@both
@on_posix
def test_a_step_that_does_not_end_is_given_up(number):
    """The signal comes again by itself, and ends a wait too."""
    told, began, before = [], time.monotonic(), signal.getsignal(number)

    def step():
        with Interrupt(lambda: told.append("stopping"), grace=0.3) as interrupt:
            os.kill(os.getpid(), number)
            assert interrupt.requested
            time.sleep(20)

    with pytest.raises(KeyboardInterrupt):
        step()
    assert told == ["stopping"]
    assert 0.3 <= time.monotonic() - began < 10
    assert signal.getsignal(number) is before


@on_posix
def test_what_was_heeded_is_finished():
    with Interrupt(lambda: None, grace=0.2) as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        interrupt.heeded()
        time.sleep(0.5)
    assert interrupt.requested


@on_posix
def test_nothing_comes_once_it_is_over():
    with Interrupt(lambda: None, grace=0.2):
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)


@on_posix
def test_a_signal_that_a_launcher_passes_on_is_the_same():
    with Interrupt(lambda: None) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        interrupt.heeded()
    assert interrupt.requested


@on_posix
def test_only_a_signal_that_came_is_heeded():
    def step():
        with Interrupt(lambda: None, grace=0.2) as interrupt:
            interrupt.heeded()  # an evaluation, say
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)

    with pytest.raises(KeyboardInterrupt):
        step()


@on_posix
def test_after_ctrl_c_an_operation_may_take_as_long_as_it_does(monkeypatch):
    monkeypatch.setattr("regard.training.progress.HARD", 0.1)
    with Interrupt(lambda: None, grace=0.1):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(20)
        time.sleep(0.4)  # beyond what SIGTERM leaves it


@on_posix
def test_a_signal_of_others_stops_nothing():
    told, heard = [], []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        with Interrupt(lambda: told.append("stopping"), grace=0.1) as interrupt:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.3)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (heard, told, interrupt.requested) == ([signal.SIGUSR1], [], False)


def test_another_thread_leaves_signals_alone():
    handlers = []

    def train():
        with Interrupt(lambda: None):
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)] == [signal.default_int_handler]


def test_where_threads_get_no_signals_the_main_thread_is_interrupted(monkeypatch):
    numbers = []
    monkeypatch.delattr(signal, "pthread_kill", raising=False)
    monkeypatch.setattr("_thread.interrupt_main", numbers.append)
    with Interrupt(lambda: None, grace=0.1):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.4)
    assert numbers == [signal.SIGINT]


def in_a_step(output, work, number, within="nullcontext"):
    """Goes on with a training whose step does some work, and sends a signal twice: exit code, stderr and seconds."""
    run(output, stop_at=3)
    before = (output / STATE).read_bytes()
    code = (
        "import hashlib, sys, time; sys.path.insert(0, sys.argv[1]); import small_training\n"
        f"small_training.sum_loss = lambda network, batch: (print('in a step', flush=True), {work})\n"
        "from contextlib import nullcontext; from regard.training.progress import own_process\n"
        f"with {within}(): small_training.run(small_training.Path(sys.argv[2]), resume=True)\n"
    )
    with Forked("-c", code, os.path.dirname(__file__), output) as process:
        process.until(lambda: "in a step" in process.out)
        process.send(number)
        told = "stopping after this step, or in 30 seconds; once more stops at once"
        process.until(lambda: told in process.err)
        time.sleep(1.2)
        began = time.monotonic()
        process.send(number)
        process.end()
    assert (output / STATE).read_bytes() == before
    return process.code, process.err, time.monotonic() - began


@both
@on_posix
def test_a_second_signal_ends_a_process_in_the_middle_of_a_step(tmp_path, number):
    _, err, seconds = in_a_step(tmp_path, "time.sleep(60)", number)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert seconds < 20


@pytest.mark.parametrize(("number", "within"), [(signal.SIGTERM, "nullcontext"), (signal.SIGINT, "own_process")])
@on_posix
def test_a_second_signal_ends_a_process_that_hears_none(tmp_path, number, within):
    """One call in C that goes on for minutes, as an operation of PyTorch may: the first signal is told all the same."""
    work = "hashlib.pbkdf2_hmac('sha256', b'', b'', 500_000_000)"
    code, err, seconds = in_a_step(tmp_path, work, number, within)
    assert code == 128 + number
    assert "ended in the middle of an operation; the last checkpoint stays" in err
    assert seconds < 20


@both
@on_posix
def test_one_signal_is_enough_while_data_are_read(tmp_path, number):
    """SIGTERM ends a process that has nothing to keep as it ends any other."""
    os.mkfifo(tmp_path / "a.conllu")
    command = ["-m", "regard", "train", "label", "--train", tmp_path / "a.conllu"]
    with (
        Forked(*command, "--output", tmp_path / "run") as process,
        open(tmp_path / "a.conllu", "w") as data,  # which waits until somebody reads
    ):
        data.write("1\tab\tx\tX\t_\t_\t0\troot\t_\t_\n\n")
        data.flush()
        time.sleep(0.5)
        process.send(number)
        process.end()
    if number == signal.SIGINT:
        assert (process.code, process.err) == (130, "stopped before the first checkpoint; nothing is kept\n")
    else:
        assert process.code == -signal.SIGTERM
    left = [path.name for path in tmp_path.glob("run/*")]
    assert left == ([] if number == signal.SIGINT else [".regard-lock"])


@on_posix
def test_after_training_the_model_stays_and_its_scores_can_be_had(tmp_path):
    """Ctrl-C while other encoders are trained to be compared with it."""
    (tmp_path / "a.conllu").write_text("1\tab\tx\tX\t_\t_\t0\troot\t_\t_\n\n" * 1000)
    command = ["-m", "regard", "train", "label", "--output", tmp_path / "run"]
    sizes = ["--dim", "8", "--depth", "1", "--heads", "2", "--epochs", "6", "--average", "0", "--baselines", "all"]
    with Forked(*command, "--train", tmp_path / "a.conllu", *sizes) as process:
        process.until((tmp_path / "run" / "scores.json").is_file)
        process.send(signal.SIGINT)
        assert process.end() == 130
    how = f"regard train label --resume --output {tmp_path / 'run'}"
    assert process.err.splitlines()[-1] == f"stopped; to go on: {how}"
    again = Forked(*command, "--resume")
    assert again.end() == 0
    assert "sliding encoder" in again.out


@on_posix
def test_a_tokenizer_that_is_being_learned_does_not_keep_ctrl_c_waiting():
    """In a process of its own, since the work goes on until that ends."""
    code = (
        "import random, regard.front_ends.subwords as subwords\n"
        "random.seed(0)\n"
        "words = [''.join(random.choices('abcdefghijklmnopqrstuvwxyz', k=10)) for _ in range(400_000)]\n"
        "print('learning', flush=True)\n"
        "subwords.learn_tokenizer(' '.join(words[at : at + 20]) for at in range(0, len(words), 20))\n"
    )
    with Forked("-c", code) as process:
        process.until(lambda: "learning" in process.out)
        time.sleep(1.5)
        began = time.monotonic()
        process.send(signal.SIGINT)
        process.end()
    assert "KeyboardInterrupt" in process.err
    assert time.monotonic() - began < 4


def test_what_goes_wrong_in_a_thread_is_told():
    def fail():
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        in_a_thread(fail)
    assert learn_tokenizer(["a b a b"]).get_vocab_size() > 5
