"""No step of a training waits for a GPU: on meta, where there are no numbers, none is asked for; and on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from attention.test_waiting import GPU, Watch
from torch.utils._python_dispatch import TorchDispatchMode

import regard
from regard import Recording
from regard.tasks import files
from regard.training.ahead import tensors_of
from regard.training.learner import Learner, Step

SMALL: dict[str, Any] = {"dim": 16, "depth": 1, "heads": 2}
QUICK: dict[str, Any] = {"baselines": "none", "quiet": True, "average": 0.9, "batch_tokens": 400}
WORDS = [["one", "two", "three"], ["four", "five"], ["six"] * 9]
LABELLED = [(words, [word[0] for word in words]) for words in WORDS]
TEXTS = [" ".join(words) for words in WORDS]
ROWS = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
ARRAYS = [ROWS[:5], ROWS[:9], ROWS[3:6]]
SOUND = [Recording.from_samples(np.sin(np.arange(n) * 0.05), 8000) for n in (3000, 4000, 2500)]
PICTURES = [ROWS[:, :1] * np.ones((9, 8)), np.ones((9, 8)), ROWS[:8, :1] * np.ones((8, 8))]
CLASSES = ["a", "b", "a"]
MASKS = [(np.abs(picture) > 1).astype(np.int64) for picture in PICTURES]
HEARD = {"front_end": "audio", "sample_rate": 8000, "mask_frames": 1.0}


def label(examples: Any, **options: Any) -> tuple[Any, Any]:
    return regard.Labeler(**SMALL | options), examples


def classify(items: Any, **options: Any) -> tuple[Any, Any]:
    return regard.Classifier(**SMALL | options), [*zip(items, CLASSES, strict=True)]


def pretrain(items: Any, **options: Any) -> tuple[Any, Any]:
    return regard.MaskedModel(**SMALL | options), items


def transcribe(items: Any, **options: Any) -> tuple[Any, Any]:
    return regard.Transcriber(target_units="characters", **SMALL | options), [*zip(items, CLASSES, strict=True)]


MODELS = {
    "label words": label(LABELLED, front_end="words", window=2),
    "label subwords": label(LABELLED, front_end="subwords", positions="rotary"),
    "label arrays": label([(x, ["y"] * len(x)) for x in ARRAYS], front_end="vectors", encoder="sliding", window=1),
    "label recordings": label([(x, [(0.0, 0.2, "a")]) for x in SOUND], **HEARD, normalize="utterance"),
    "label masks": label([*zip(PICTURES, MASKS, strict=True)], front_end="pixels", window=2),
    "classify texts": classify(TEXTS, front_end="characters", pooling="query"),
    "classify recordings": classify(SOUND, **HEARD, normalize="running"),
    "classify images": classify(PICTURES, front_end="patches", patch_size=2, flip=True, class_token=True),
    "classify mixed": classify(PICTURES, front_end="pixels", mixup=1.0),
    "pretrain subwords": pretrain(TEXTS * 4, front_end="subwords"),
    "pretrain words": pretrain(WORDS * 4, front_end="words"),
    "pretrain arrays": pretrain(ARRAYS, front_end="vectors"),
    "pretrain recordings": pretrain(SOUND, **HEARD),
    "transcribe recordings": transcribe(SOUND, **HEARD),
    "transcribe images": transcribe(PICTURES, front_end="pixels"),
    "transduce": (
        regard.Seq2Seq(front_end="characters", target_units="characters", **SMALL),
        [*zip(TEXTS, TEXTS, strict=True)],
    ),
}


class Sent(TorchDispatchMode):
    """Counts the tensors that go from the CPU elsewhere."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **kwargs or {})
        self.count += func.overloadpacket.__name__ == "_to_copy" and args[0].is_cpu and not out.is_cpu
        return out


@pytest.mark.parametrize("name", MODELS)
def test_no_step_asks_for_a_number(name: str) -> None:
    model, examples = MODELS[name]
    model.fit(examples, epochs=1, device="cpu", **QUICK)
    network = model.network.train().to("meta")
    with Sent() as sent:
        batch = model.collate(files.read(model, examples, labelled=True)).to("meta")
    assert sum(x.is_meta for x in tensors_of(batch)) == sent.count > 0
    with Watch() as watch:
        if name.startswith("transcribe"):  # PyTorch's loss cannot run on meta
            loss, count = network(batch.inputs).values.sum(), 0
        else:
            loss, count = model.loss(network, batch)
        loss.backward()
    assert loss.is_meta
    assert type(count) is int
    assert watch.seen == []


@GPU
@pytest.mark.parametrize("name", MODELS)
def test_no_step_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But the last of an epoch, whose loss and norm are told."""
    steps, step = [], Learner.step

    def watched(*args: Any, **options: Any) -> Step:
        steps.append(options["number"])
        torch.cuda.set_sync_debug_mode("default" if len(steps) == 1 else "error")  # at first there is much to set up
        try:
            return step(*args, **options)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Learner, "step", watched)
    model, examples = MODELS[name]
    model.fit(examples * 3, epochs=3, device="cuda", **QUICK)
    assert len(steps) > 3
