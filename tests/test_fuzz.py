"""Damaged files of every kind that is read, thousands of them: each is read, or refused by an error with a name.

`REGARD_FUZZ=100000` asks for so many in place of 10,000, `REGARD_FUZZ_SEED` for others.
"""

import io
import json
import os
import random
import resource
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from mutations import mutated, without_seals
from PIL import Image as pillow

import regard
from regard import Classifier, Labeler, MaskedModel, RegardError, Seq2Seq, Transcriber, data
from regard.cli import run
from regard.data import FORMATS, Example, open_writer
from regard.errors import LONGEST
from regard.formats.huggingface.read import read_bert
from regard.front_ends.tokenizer import read_tokenizer
from regard.tasks import TASKS
from regard.tasks.label.options import LabelConfig
from regard.training.checkpoint import FOLDER, Identity, State, read_checkpoint, write_checkpoint
from regard.training.config import make_config
from regard.training.config_file import read_config, write_config
from regard.training.progress import read_journal

CASES = int(os.environ.get("REGARD_FUZZ", "10000"))
SEED = int(os.environ.get("REGARD_FUZZ_SEED", "1"))
SLOWEST = 10.0  # seconds of one case
MOST_MEMORY = 1 << 20  # kilobytes that the memory grows by

WORDS = ["The", "dog", "ça"]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2) / 4
ITEMS = {"ts": VECTORS, "npz": VECTORS, "columns": WORDS, "conllu": WORDS}
GOALS = {"labels": ["DET", "NOUN", "X"], "label": "good", "target": "un chien"}
GOALS["segments"] = [[0.0, 0.5, "anna"], [0.5, 0.75, "ben"]]
GOALS["mask"] = [[0, 1, 255], [1, 0, 0]]
PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
NIST = {  # which nothing writes
    "stm": b";; a comment\ndog A anna 0.0 0.5 <o,f0> good morning\ndog A ben 0.5 1.0 Hallo\n",
    "ctm": b"dog A 0.0 0.5 good 0.9\ndog A 0.5 0.25 morning\n",
}
TEXTS = ["one two three", "two three four", "the dog barks"] * 3
TINY = {"dim": 8, "depth": 1, "heads": 2}
QUICK = {"epochs": 1, "average": 0, "baselines": "none"}


def outcomes(
    cases: int, place: Path, damage: Callable[[random.Random], str], read: Callable[[random.Random], None]
) -> None:
    """Damages and reads so often; each is read, or refused in few words that name a file in that place.

    Any other error fails the test, and tells of its case.
    """
    before, read_whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for number in range(cases):
        rng = random.Random(f"{SEED} {number}")
        what, started, refused = damage(rng), time.monotonic(), None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(rng)
            read_whole += 1
        except RegardError as error:
            refused = str(error)
        except BaseException as error:
            error.add_note(f"case {number} of seed {SEED}: {what}")
            raise
        assert time.monotonic() - started < SLOWEST, f"case {number} of seed {SEED}: {what}"
        assert refused is None or (str(place) in refused and len(refused) <= LONGEST), (number, SEED, refused, what)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
    assert read_whole < cases, "nothing was damaged"


def share(part: float) -> int:
    """So much of all cases."""
    return max(3, round(CASES * part))


# Files of data


def sample(format: data.formats.Format, goal: str, folder: Path) -> bytes:
    """A small sound file; a recording that it may name is written beside it."""
    soundfile.write(folder / "dog.wav", np.zeros(8000), 8000)
    if format.name in NIST:
        return NIST[format.name]
    items = ITEMS.get(format.name, WORDS if goal == "labels" else "The dog")
    if format.name == "idx":
        (folder / "a-labels").write_bytes(b"\0\0\x08\x01\0\0\0\x02\x07\x09")
        return b"\0\0\x08\x03" + bytes([0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + PIXELS.tobytes()
    if goal == "mask" and format.name == "npz":
        out = io.BytesIO()
        np.savez_compressed(out, images=PIXELS, masks=PIXELS)
        return out.getvalue()
    answer = {goal: GOALS[goal]}
    if goal == "labels":
        answer["scores"] = [0.5] * 3
    kind = None
    if goal == "segments":
        items, kind = regard.Recording.from_file(folder / "dog.wav"), "recordings"
    if goal == "mask":
        pillow.fromarray(PIXELS[0]).save(folder / "dog.png")
        items, kind = regard.Image.from_file(folder / "dog.png"), "images"
    out = io.BytesIO() if format.medium == "bytes" else io.StringIO(newline="")
    with open_writer(out, format=format.name, goal=goal, items=kind) as put:
        for _ in range(3):
            put(Example(items), answer)
    content = out.getvalue()
    return content if isinstance(content, bytes) else content.encode()


SOUNDS = {"a.wav": "PCM_16", "b.wav": "FLOAT", "a.flac": "PCM_16", "a.ogg": "VORBIS", "a.mp3": "MPEG_LAYER_III"}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, 4000), 8000, subtype=SOUNDS[name])
    whole = path.read_bytes()

    def damage(rng):
        content = mutated(whole, rng)
        path.write_bytes(content)
        return f"{len(content)} bytes of {name}"

    def hear(rng):
        recording = regard.Recording.from_file(path)
        assert len(recording.samples(8000)) == recording.length_at(8000)

    outcomes(share(0.02), tmp_path, damage, hear)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff", "webp", "bmp"])
def test_images_and_masks(tmp_path, kind):
    path = tmp_path / "a"
    pillow.fromarray(np.random.default_rng(1).integers(0, 255, (12, 9)).astype(np.uint8)).save(path, kind)
    whole = path.read_bytes()

    def damage(rng):
        content = mutated(whole, rng)
        path.write_bytes(content)
        return f"{len(content)} bytes of {kind}"

    def see(rng):
        image = regard.Image.from_file(path)
        seen = image.numbers() if rng.random() < 0.3 else image.pixels()
        assert seen.shape[:2] == image.size

    outcomes(share(0.02), tmp_path, damage, see)


def test_tables_of_pixels(tmp_path):
    path = tmp_path / "a.csv"
    whole = b"label,pixel0,pixel1,pixel2,pixel3\n7,0,1,2,255\n1,0.5,1,2,3\n"

    def damage(rng):
        content = mutated(rng.choice((whole, whole.partition(b"\n")[2])), rng)
        path.write_bytes(content)
        return repr(content)

    def read(rng):
        data.read(path, goal="label", items="images", labelled=rng.random() < 0.7, column=rng.choice((None, "1", "5")))

    outcomes(share(0.02), tmp_path, damage, read)


FILES = [(row, goal) for row in FORMATS if row.medium != "folder" for goal in row.holds or ("nothing",)]


@pytest.mark.parametrize(("format", "goal"), FILES, ids=[f"{row.name} {goal}" for row, goal in FILES])
def test_data(format, goal, tmp_path):
    beside = format.name == "lines"
    sound = b"The dog\nbarks\n" if beside or format.name == "text" else sample(format, goal, tmp_path)
    path, targets = tmp_path / ("a-images" if format.name == "idx" else "a"), tmp_path / "b"

    def damage(rng: random.Random) -> str:
        content = mutated(sound, rng)
        path.write_bytes(content)
        if beside:
            targets.write_bytes(mutated(sound, rng))
        return repr(content[:2000])

    def read(rng: random.Random) -> None:
        labelled = rng.random() < 0.7
        items = rng.choice((None, None, "vectors" if format.name in ("ts", "npz") else "words", "text"))
        if goal == "segments" or (format.name in NIST and rng.random() < 0.7):
            items = "recordings"
        if goal == "mask" or format.name == "idx" or (format.name in ("csv", "npz") and rng.random() < 0.2):
            items = "images"
        options = {"goal": goal, "format": format.name, "labelled": labelled, "items": items}
        if beside and labelled:
            options["target"] = targets
        examples = data.read(path, lazily=rng.random() < 0.3, **options)
        assert all(len(example) >= 0 for example in examples)

    outcomes(share(0.79 / len(FILES)), tmp_path, damage, read)


def test_folders(tmp_path):
    def damage(rng: random.Random) -> str:
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        for label in ("good", "bad"):
            (tmp_path / "a" / label).mkdir(parents=True)
            (tmp_path / "a" / label / "1.txt").write_bytes(content := mutated(b"The dog\nbarks\n", rng))
        return repr(content[:2000])

    outcomes(share(0.02), tmp_path, damage, lambda rng: data.read(tmp_path / "a", goal="label"))


def test_folders_of_label_tracks(tmp_path):
    soundfile.write(tmp_path / "dog.wav", np.zeros(8000), 8000)

    def damage(rng: random.Random) -> str:
        content = mutated(b"0.0\t0.5\tanna\n\\\t100.0\t200.0\n0.5\t1.0\tben\n", rng)
        (tmp_path / "dog.txt").write_bytes(content)
        return repr(content[:2000])

    outcomes(share(0.02), tmp_path, damage, lambda rng: data.read(tmp_path, goal="segments", items="recordings"))


# Run folders


def damage_of(folder: Path, names: list[str]) -> Callable[[random.Random], str]:
    """Puts damage into one of the files of a folder, the others as they were."""
    sound = {name: (folder / name).read_bytes() for name in names}

    def damage(rng: random.Random) -> str:
        for name, content in sound.items():
            (folder / name).write_bytes(content)
        name = rng.choice(names)
        content = mutated(sound[name], rng)
        (folder / name).write_bytes(content)
        return f"{name}: {content[:4000]!r}"

    return damage


def trained(kind: str, folder: Path) -> Path:
    """A run folder that a tiny training left."""
    words = [text.split() for text in TEXTS]
    if kind == "label words":
        model, train = Labeler(front_end="words", **TINY), [(text, ["X", "Y", "Z"]) for text in words]
    elif kind == "label subwords":
        options = {"front_end": "subwords", "subword_model": "wordpiece", "subwords": 60}
        model, train = Labeler(**options, **TINY), [(text, ["X", "Y", "Z"]) for text in words]
    elif kind == "classify vectors":
        model, train = Classifier(front_end="vectors", **TINY), [(VECTORS, "good"), (VECTORS * 2, "bad")] * 3
    elif kind == "transduce":
        options = {"front_end": "characters", "target_units": "symbols"}
        model, train = Seq2Seq(**options, **TINY), [(text, text) for text in TEXTS]
    elif kind == "transcribe":
        options = {"front_end": "characters", "target_units": "subwords", "subwords": 300}
        model, train = Transcriber(**options, **TINY), [(text, text) for text in TEXTS]
    else:
        model, train = MaskedModel(front_end="subwords", subwords=300, **TINY), TEXTS
    model.fit(train, output=folder, **QUICK)
    return folder


RUNS = ["label words", "label subwords", "classify vectors", "transduce", "transcribe", "pretrain"]


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("sealed", [True, False])
def test_run_folders(kind, sealed, tmp_path, capfd):
    folder = trained(kind, tmp_path / "run")
    if not sealed:
        without_seals(folder)
    capfd.readouterr()
    names = ["model.json", "model.json", "config.toml", "scores.json", "model.safetensors"]
    given = VECTORS if kind == "classify vectors" else ["one", "two"] if kind.startswith("label") else "one two"

    def read(rng: random.Random) -> None:
        if rng.random() < 0.5:
            code = run(["info", str(folder), *(["--json"] if rng.random() < 0.5 else [])])
            _, err = capfd.readouterr()
            assert code in (0, 1)
            assert not err if code == 0 else err.startswith("regard: ") and err.count("\n") == 1
            assert "please report it" not in err
        model = regard.load(folder)
        model.describe()
        with suppress(RegardError):  # an option that makes this input too long, say; what it names is the input
            assert len(model.predict([given])) == 1

    outcomes(share((0.02 if sealed else 0.06) / len(RUNS)), folder, damage_of(folder, names), read)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra"])
def test_a_bert_of_others(architecture, tmp_path, capfd):
    run_folder, folder = tmp_path / "run", tmp_path / "bert"
    options = {"front_end": "subwords", "subword_model": "wordpiece", "subwords": 60, "positions": "learned"}
    options |= {"norm": "post", "embedding_norm": True, "position_reach": 32, "architecture": architecture}
    options |= {"embedding_dim": 8} if architecture == "electra" else {}
    Labeler(**options, **TINY).fit([(text.split(), ["X", "Y", "Z"]) for text in TEXTS], output=run_folder, **QUICK)
    assert run(["export", str(run_folder), "--output", str(folder)]) == 0
    capfd.readouterr()
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\none\ntwo\n")
    (folder / "vocab.json").write_text(
        json.dumps({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6})
    )
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    names = ["config.json", "tokenizer.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]

    def read(rng: random.Random) -> None:
        if rng.random() < 0.5:
            read_tokenizer(folder / rng.choice(("vocab.txt", "vocab.json")))
        read_bert(folder)

    read_bert(folder)
    outcomes(share(0.01), folder, damage_of(folder, [*names, "vocab.txt", "vocab.json", "merges.txt"]), read)
    assert capfd.readouterr().err == ""


def test_a_vit_of_others(tmp_path, capfd):
    run_folder, folder = tmp_path / "run", tmp_path / "vit"
    options = {"front_end": "patches", "class_token": True, "positions": "none", "pooling": "first"}
    images = [(np.full((8, 8), number / 4, np.float32), "XY"[number % 2]) for number in range(4)]
    Classifier(**options, **TINY).fit(images, output=run_folder, **QUICK)
    assert run(["export", str(run_folder), "--output", str(folder)]) == 0
    capfd.readouterr()
    vit = regard.load_vit(folder)

    def read(rng: random.Random) -> None:
        regard.load_vit(folder)

    names = ["config.json", "config.json", "preprocessor_config.json", "model.safetensors"]
    outcomes(share(0.02), folder, damage_of(folder, names), read)
    assert vit.labels == ["X", "Y"]
    assert capfd.readouterr().err == ""


# What a training leaves for itself


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return trained("classify vectors", tmp_path_factory.mktemp("fuzz") / "run")


def test_journals(finished):
    journal = finished / "metrics.jsonl"
    outcomes(share(0.02), finished, damage_of(finished, [journal.name]), lambda rng: read_journal(journal))


def test_finished_trainings(finished):
    train = [(VECTORS, "good"), (VECTORS * 2, "bad")] * 3

    def read(rng: random.Random) -> None:
        model = Classifier(front_end="vectors", **TINY)
        model.fit(train, output=finished, resume=True, **QUICK)

    outcomes(share(0.001), finished, damage_of(finished, ["metrics.jsonl"]), read)


def test_checkpoints(tmp_path):

    config = LabelConfig()
    identity = Identity(config.model_dump(mode="json"), "data", 1, "dev")
    (tmp_path / FOLDER).mkdir()
    write_checkpoint(tmp_path, State(step=3), {"network.a": torch.ones(3)}, identity)

    def read(rng: random.Random) -> None:
        tensors = {}
        state = read_checkpoint(tmp_path, identity, lambda file: tensors.update(file.read_all()))
        assert abs(state.step) >= 0
        assert all(tensor.numel() >= 0 for tensor in tensors.values())

    outcomes(share(0.03), tmp_path, damage_of(tmp_path / FOLDER, ["state.safetensors"]), read)


@pytest.mark.parametrize("task", TASKS)
def test_options(task, tmp_path):
    kind, path = TASKS[task].config, tmp_path / "a.toml"
    write_config(make_config(kind, {"window": (8, None), "train": "a.csv"}), path)
    outcomes(share(0.03 / len(TASKS)), path, damage_of(tmp_path, [path.name]), lambda rng: read_config(path, kind))
