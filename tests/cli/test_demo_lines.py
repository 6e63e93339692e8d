"""The command that a demo prints for the user to type next is one that works."""

import io
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import soundfile
from command_line import SENTENCES, as_conllu

from regard import Classifier, Labeler, Seq2Seq

SMALL = {"dim": 8, "depth": 1, "heads": 2}
WORDS = [("ab", "A B"), ("ba", "B A")] * 6
VOWELS = "@dimensions 12\n@equalLength false\n@classLabel true 1 2\n@data\n"
HUM = {"audio": "hum.wav", "segments": [[0.2, 0.8, "anna"]], "said": [[0.2, 0.8, "hum"]]}


@pytest.mark.parametrize("task", ["label", "classify", "transduce", "speech"])
def test_what_a_demo_prints(call, tmp_path, monkeypatch, task):
    """The second start of a demo, which trains nothing."""
    output, folder = tmp_path / "my demo", tmp_path / "my demo" / "data"
    ending, content, model = {
        "label": (".conllu", as_conllu(SENTENCES * 4), Labeler(**SMALL)),
        "classify": (
            ".ts",
            VOWELS + "".join(":".join(["1,2,3"] * 12) + f":{1 + number % 2}\n" for number in range(8)),
            Classifier(**SMALL, front_end="vectors"),
        ),
        "transduce": (
            ".tsv",
            "".join(f"{word}\t{sounds}\n" for word, sounds in WORDS),
            Seq2Seq(**SMALL, front_end="characters", target_units="symbols"),
        ),
        "speech": (".jsonl", f"{json.dumps(HUM)}\n", Labeler(**SMALL, front_end="audio", window=4)),
    }[task]
    train = tmp_path / f"train{ending}"
    train.write_text(content)
    soundfile.write(tmp_path / "hum.wav", np.sin(np.arange(8000) / 5), 8000)
    model.fit(train, output=output, epochs=1, average=0)
    folder.mkdir()
    shutil.copy(tmp_path / "hum.wav", folder)
    for part in ("train", "dev", "test"):
        (folder / f"{part}{ending}").write_text(content)
    shown = call("demo", task, "--output", output)
    assert "was trained before" in shown.out, shown.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"yourword\n")))
    ((line, command),) = re.findall(r"^next: (.*(regard predict .*))$", shown.out, re.MULTILINE)
    outcome = call(*shlex.split(command)[1:])
    assert outcome.code == 0, (line, outcome.err)
    assert outcome.out
