"""Pages of made-up networks and inputs of every kind, whose weights a test knows."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from regard import AttentionWeights, attention_weights
from regard.viewer.page.axes import audio_axis, image_axis, text_axis, vectors_axis
from regard.viewer.page.build import Page, Stack

HOSTILE = [
    "<script>window.hurt = 1</script>",
    "</script><img src=x onerror='window.hurt = 2'>",
    "שלום",
    "e\u0301\u0323\u0302",
    "👩‍👩‍👧‍👦",
    "&lt;b&gt;",
    "{{SCRIPT}}",
    "]]><!--",
    "\u202eright to left",
    "w" * 10_000,
    "日本語",
    "हिन्दी",
    " ",
    "",
]


WORDS = ["The", "small", "dog", "barks", "at", "the", "tall", "man", ",", "who", "laughs", "."]


@dataclass(frozen=True)
class Attended:
    name: str
    role: str
    weights: AttentionWeights | None
    why: str = ""


def layers(queries, keys=None, *, depth=2, heads=3, window=None, role="attention", seed=0, sharp=3.0):
    """Weights of vectors that know where they stand, so that heads look somewhere."""
    generator = torch.Generator().manual_seed(seed)
    keys = queries if keys is None else keys
    found = []
    for layer in range(depth):
        q, k = (torch.randn(1, heads, count, 8, generator=generator) for count in (queries, keys))
        for x in (q, k):
            angle = torch.arange(x.shape[2]) / max(queries, keys) * 2 * math.pi * (1 + layer)
            x[..., 0] += 2.5 * angle.cos()
            x[..., 1] += 2.5 * angle.sin()
        weights = attention_weights(sharp * q / 3, k, window=window)
        found.append(Attended(f"encoder.layers.{layer}.{role}", role, weights))
    return found


def text_page(words=None, *, title="The small dog barks", window=None, seed=0, depth=2, heads=3, **answers):
    words = (
        ["The", "small", "dog", "barks", "at", "the", "tall", "man", ",", "who", "laughs", "."]
        if words is None
        else words
    )
    axis = text_axis(words).named(**answers)
    stack = Stack(
        "encoder", "encoder", "words", "words", layers(len(words), window=window, seed=seed, depth=depth, heads=heads)
    )
    return Page(title, {"words": axis}, [stack])


def tagged_page():
    labels = ["DET", "ADJ", "NOUN", "VERB", "ADP", "DET", "ADJ", "NOUN", "PUNCT", "PRON", "NOUN", "PUNCT"]
    gold = labels.copy()
    gold[10] = "VERB"
    return text_page(labels=labels, gold=gold, scores=[0.5 + i / 25 for i in range(12)])


def classified_page():
    words = ["a", "warm", "and", "funny", "film"]
    axes = {"words": text_axis(words), "answer": text_axis(["the answer"])}
    stacks = [
        Stack("encoder", "encoder", "words", "words", layers(5)),
        Stack("pooling", "pooling", "answer", "words", layers(1, 5, depth=1, role="pooling")),
    ]
    answer = {
        "kind": "label",
        "label": "positive",
        "score": 0.93,
        "candidates": [["positive", 0.93], ["negative", 0.07]],
    }
    return Page("a warm and funny film", axes, stacks, answers=[answer])


def pair_page():
    source, target = ["ein", "kleiner", "Hund", "bellt", "."], ["a", "small", "dog", "is", "barking", "."]
    axes = {"source": text_axis(source), "target": text_axis(target)}
    stacks = [
        Stack("encoder", "source to itself", "source", "source", layers(5)),
        Stack("decoder", "target to itself", "target", "target", layers(6, window=(None, 0), seed=1)),
        Stack("cross", "target to source", "target", "source", layers(6, 5, role="cross_attention", seed=2)),
    ]
    answer = {"kind": "text", "text": " ".join(target), "score": -0.4}
    return Page("ein kleiner Hund bellt .", axes, stacks, answers=[answer])


def tones(seconds=2.0, rate=8000):
    """Three tones, each louder, with silence between."""
    time = np.arange(int(seconds * rate)) / rate
    third = np.minimum((time / seconds * 3).astype(int), 2)
    loud = (np.sin(np.pi * ((time / seconds * 3) % 1)) ** 2) * (third + 1) / 3
    return (loud * np.sin(2 * np.pi * time * (300 + 700 * third))).astype(np.float32), rate


def audio_page(count=200, window=16):
    samples, rate = tones()
    labels = ["one"] * (count // 3) + ["two"] * (count // 3) + ["three"] * (count - 2 * (count // 3))
    axis = audio_axis(samples, rate, count=count, seconds=2.0 / count).named(labels=labels)
    return Page(
        "three tones", {"sound": axis}, [Stack("encoder", "encoder", "sound", "sound", layers(count, window=window))]
    )


def image_page(before=1):
    rows, columns, stride = 7, 9, 4
    y, x = np.mgrid[: rows * stride, : columns * stride]
    picture = np.stack([(np.hypot(y - 14, x - 20) < 10) * 0.8, x / 40, y / 40], 2).astype(np.float32)
    axis = image_axis(picture, grid=(rows, columns), stride=stride, before=before)
    answer = {"kind": "label", "label": "a disc", "score": 0.71, "candidates": [["a disc", 0.71], ["a box", 0.29]]}
    return Page(
        "disc.png",
        {"image": axis},
        [Stack("encoder", "encoder", "image", "image", layers(axis.count))],
        answers=[answer],
    )


def vectors_page(channels=3):
    time = np.linspace(0, 12, 120)
    values = np.stack([np.sin(time * (c + 1) / 2) + c for c in range(channels)], 1).astype(np.float32)
    axis = vectors_axis(values)
    return Page("sensors", {"values": axis}, [Stack("encoder", "encoder", "values", "values", layers(120))])


def hostile_page():
    return text_page(HOSTILE, title="</title><script>window.hurt = 3</script>", labels=HOSTILE[::-1], gold=HOSTILE)


def long_page(count=20_000, window=128, depth=1, heads=2):
    return text_page([f"w{i}" for i in range(count)], title="a long text", window=window, depth=depth, heads=heads)


def two_models_page():
    words = ["The", "small", "dog", "barks", "at", "the", "tall", "man", "."]
    stacks = [
        Stack("before", "encoder", "words", "words", layers(9, seed=0), 0),
        Stack("after", "encoder", "words", "words", layers(9, seed=0, sharp=5.0), 1),
    ]
    return Page("before and after", {"words": text_axis(words)}, stacks, models=("before", "after"))


def reasons_page():
    axis = {"words": text_axis(["a", "b"])}
    one = layers(2, depth=1)
    return Page(
        "some",
        axis,
        [
            Stack(
                "encoder",
                "encoder",
                "words",
                "words",
                [*one, Attended("x", "attention", None, "this kernel gives no weights")],
            )
        ],
    )


def text_of_512_page():
    words = [WORDS[i % 12] + ("" if i % 3 else str(i)) for i in range(512)]
    return text_page(words, title="512 words", depth=12, heads=12)
