import json
import os
import signal
import threading
import time

import pytest
import torch
from safetensors.torch import load_file

from regard import ConfigError, Labeler

WORDS = ["saw", "the", "fish", "we", "a", "for", "I", "old", "ran"]
LABELS = {
    "saw": "VERB",
    "the": "DET",
    "fish": "NOUN",
    "we": "PRON",
    "a": "DET",
    "for": "ADP",
    "I": "PRON",
    "old": "ADJ",
}


def sentences():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, len(WORDS), (60, 7), generator=generator).tolist()
    words = [[WORDS[number] for number in row[: 1 + place % 7]] for place, row in enumerate(drawn)]
    return [(sentence, [LABELS.get(word, "VERB") for word in sentence]) for sentence in words]


def interrupt_after_a_checkpoint(output):
    while not (output / "resume" / "state.safetensors").is_file():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)


def fit(output, **options):
    torch.set_num_threads(1)
    labeler = Labeler(dim=16, depth=1, heads=2)
    return labeler.fit(sentences(), dev=sentences()[:10], output=output, epochs=6, batch_tokens=25, **options)


def test_a_stopped_labeler_goes_on_bit_for_bit(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(whole)
    threading.Thread(target=interrupt_after_a_checkpoint, args=[parts]).start()
    with pytest.raises(KeyboardInterrupt):
        fit(parts, checkpoint_seconds=0)
    with pytest.raises(ConfigError, match="resume it"):
        fit(parts)
    fit(parts, resume=True)
    saved, saved_again = (load_file(output / "model.safetensors") for output in (whole, parts))
    assert all(torch.equal(saved[name], saved_again[name]) for name in saved)
    scores, scores_again = (json.loads((output / "scores.json").read_text())["scores"] for output in (whole, parts))
    assert scores == scores_again
    assert {path.name for path in whole.iterdir()} == {path.name for path in parts.iterdir()}
