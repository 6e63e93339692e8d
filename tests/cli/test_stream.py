"""`regard stream`: files and pipes, wav and raw, as predictions of the whole; readers that leave, Ctrl-C, bad input."""

import io
import json
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

import regard
from regard import Labeler, Recording
from regard.front_ends import learn_front_end
from regard.tasks.files import read
from regard.tasks.run_folder import save_run

RATE, SECONDS = 8000, 1.5
HEAD = b"RIFF....WAVEfmt "


def samples():
    return np.random.default_rng(1).normal(0, 3000, round(RATE * SECONDS)).astype(np.int16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run folders of models that have learned nothing, and a recording."""
    folder = tmp_path_factory.mktemp("stream")
    known = {"audio": [Recording.from_samples(samples(), RATE)], "vectors": [np.ones((2, 3))], "words": [["a"]]}
    for kind, sequences in known.items():
        model = Labeler(front_end=kind, dim=8, heads=2, depth=2, windows=[(8, 2), (8, 0)], seed=1)
        model.labels = ["one", "two"]
        model.network = model.build({"front_end": learn_front_end(kind, sequences, model.config)})
        (folder / kind).mkdir()
        save_run(model, model.network, folder / kind)
    soundfile.write(folder / "a.wav", samples(), RATE)
    soundfile.write(folder / "a.flac", samples(), RATE)
    return folder


@pytest.fixture
def pipe(monkeypatch, call, folder):
    """The command with bytes on standard input."""

    def pipe(content, *arguments, run="audio"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return call("stream", folder / run, *arguments)

    return pipe


def lines(outcome):
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


@pytest.fixture(scope="module")
def expected(folder):
    """Runs of one label, of the whole recording."""
    return runs_in(folder)


def runs_in(folder, **options):
    model = regard.load(folder / "audio")
    (answer,) = model.answers(read(model, [folder / "a.wav"], labelled=False), frames=True, **options)
    labels = answer["labels"]
    starts = [n for n, label in enumerate(labels) if n == 0 or labels[n - 1] != label]
    return [
        {"start": round(start * 0.02, 6), "end": round(stop * 0.02, 6), "label": labels[start]}
        for start, stop in zip(starts, [*starts[1:], len(labels)], strict=True)
    ]


@pytest.mark.parametrize("chunk", [1, 80, 5000])
def test_a_file(call, folder, expected, chunk):
    for name in ("a.wav", "a.flac"):
        assert lines(call("stream", folder / "audio", folder / name, "--chunk", chunk)) == expected


def test_a_pipe(pipe, folder, expected):
    raw = samples().tobytes()
    assert lines(pipe(raw)) == lines(pipe(raw, "-")) == lines(pipe(raw, "-", "--rate", RATE)) == expected
    assert lines(pipe(raw + b"\x00", "--chunk", 33)) == expected, "half a sample at the end"
    assert lines(pipe((folder / "a.wav").read_bytes())) == expected
    assert lines(pipe(b"")) == lines(pipe(b"\x01")) == []


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_a_wav_through_a_pipe_is_that_file(pipe, call, folder, tmp_path, subtype, channels, kind):
    sound = np.random.default_rng(2).normal(0, 0.1, (4000, channels))
    soundfile.write(tmp_path / "b.wav", sound, RATE, subtype=subtype, format=kind)
    told = lines(pipe((tmp_path / "b.wav").read_bytes() + b"LIST", "--every"))
    from_file = lines(call("stream", folder / "audio", tmp_path / "b.wav", "--every"))
    assert [line.pop("score") for line in told] == pytest.approx([line.pop("score") for line in from_file], abs=1e-4)
    assert told == from_file


def test_a_wav_whose_end_is_not_known(pipe, expected, folder):
    content = bytearray((folder / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    for size in (0, 2**32 - 1, 2**31 - 1):
        content[place : place + 4] = struct.pack("<I", size)
        assert lines(pipe(bytes(content))) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fLaC....", "a wav file, or raw samples, through a pipe, found a file of flac, which cannot be read before"),
        (b"RIFF....AVI ", "found a RIFF file that is no wav"),
        (HEAD, "found a wav that ends before its samples begin"),
        (HEAD + b"\x04\0\0\0\1\0\1\0", "found a wav with a damaged header"),
        (
            b"RIFF....WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 6, 1, 8000, 8000, 1, 8),
            "a wav of coding 6 with 8 bits",
        ),
        (b"RIFF....WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 0, 8000, 8000, 1, 8), "found a wav of no channels"),
        (
            b"RIFF....WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 3, 8000, 1, 8),
            "a rate in Hz, a whole number from 100 to",
        ),
    ],
)
def test_what_a_pipe_cannot_bring(pipe, content, message):
    complaint = pipe(content).complaint
    assert complaint.startswith("<stdin>: expected ")
    assert message in complaint


def test_what_the_command_refuses(pipe, call, folder):
    assert call("stream", folder / "audio", "--realtime").complaint.startswith("realtime: paces a file")
    assert call("stream", folder / "audio", folder / "a.wav", "--rate", 8000).complaint.startswith("rate: for raw")
    assert call("stream", folder / "vectors").complaint.startswith("stream: of sound; this model has the front end vec")
    assert call("stream", folder / "words").complaint.startswith("stream: of sound; this model has the front end words")
    assert "found nothing of that name" in call("stream", folder / "audio", folder / "b.wav").complaint
    assert call("stream", folder / "audio", folder / "a.wav", "--window", "none").complaint.startswith(
        "window: a stream cannot wait for all that follows"
    )


def test_other_windows(pipe):
    raw = samples().tobytes()
    told = [lines(pipe(raw, "--every", *more)) for more in ((), ("--window", "3"), ("--windows", "8,2/8,0"))]
    assert told[0] == told[2] != told[1]


def test_labels_are_smoothed_as_in_prediction(call, folder, expected, caplog):
    smooth = runs_in(folder, smooth=0.3)
    assert lines(call("stream", folder / "audio", folder / "a.wav", "--smooth", 0.3)) == smooth != expected
    model = regard.load(folder / "audio")
    model.config = model.config.model_copy(update={"smooth": 0.3, "shortest": 0.2})
    stream = model.stream(rate=RATE)
    told = stream.push(samples()) + stream.close()
    starts = [one.start for number, one in enumerate(told) if number == 0 or told[number - 1].label != one.label]
    assert starts == [run["start"] for run in smooth]
    assert "shortest: in a stream segments and pauses below 0.2 s stay as they are" in caplog.text


def test_a_paced_file_tells_how_late_answers_are(call, folder, expected):
    began = time.monotonic()
    outcome = call("stream", folder / "audio", folder / "a.wav", "--realtime")
    assert time.monotonic() - began > SECONDS
    assert lines(outcome) == expected
    assert "real-time factor 0." in outcome.err
    late = float(outcome.err.split("answers are ")[1].split(" ms")[0])
    assert 2 * 20 + 27.5 <= late < 1000  # the window, and what a vector hears beyond itself


def test_lines_come_while_the_pipe_is_open_and_ctrl_c_ends_it(folder):
    whole = samples()[: 18 * 640]  # chunks of 80 ms; what is left of the next is not taken in
    certain = len(regard.load(folder / "audio").stream().push(whole))
    command = [sys.executable, "-m", "regard", "stream", folder / "audio", "--every"]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdin.write(samples().tobytes())
    running.stdin.flush()
    told = [json.loads(running.stdout.readline()) for _ in range(certain)]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, b"")
    told += map(json.loads, out.splitlines())
    assert [line["end"] for line in told] == [pytest.approx(0.02 * number) for number in range(1, 73)]


def test_a_reader_that_leaves(folder):
    (folder / "raw").write_bytes(samples().tobytes() * 20)
    line = f'set -o pipefail; "{sys.executable}" -m regard stream audio --every < raw | head -n 1'
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, cwd=folder)
    assert (done.returncode, done.stderr) == (141, b"")
    assert json.loads(done.stdout)["end"] == 0.02
