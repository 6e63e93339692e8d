"""The run folders beside this file, as regard 0.1.0 wrote them: made once, on commit 0679f73, and not to be made again.

In a checkout of that commit:  OMP_NUM_THREADS=1 .venv/bin/python .../tests/tasks/runs-0.1.0/make_runs.py

Each holds what a run folder needs to be opened, and ``expected.json``: inputs, and what 0.1.0 predicted for them.
Of the `words` front end, whose sizes are not options, the matrices were made ones that gzip makes small after training:
those of the character encoder are their first 61 numbers again and again, the other tables −s, 0 and s. What is
expected is of these weights. Weights of more than 10 kB are gzipped.
"""

import gzip
import json
import random
import shutil
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
KEPT = {"config.toml", "model.json", "model.safetensors", "scores.json"}
TINY = {"dim": 8, "depth": 1, "heads": 2, "feed_forward_dim": 16, "dropout": 0.0}
QUICK = {"epochs": 30, "batch_tokens": 60, "learning_rate": 2e-2, "average": 0.9, "baselines": "simple", "seed": 3}
CLOSE = 2e-4  # nothing that is expected may hang on a smaller difference

WORDS = {"a": "DET", "the": "DET", "cat": "NOUN", "cats": "NOUN", "eat": "VERB", "eats": "VERB", ".": "PUNCT"}
TAGGED = [
    "the cat eats .",
    "cats eat the cat .",
    "a cat eats a cat .",
    "the cats eat .",
    "eat the cat .",
    "cats eat cats .",
]
SPANS = [
    ("I saw New York .", "O O B-LOC I-LOC O"),
    ("Anna Lee saw Rome", "B-PER I-PER O B-LOC"),
    ("Rome , New York", "B-LOC O B-LOC I-LOC"),
    ("I saw Anna .", "O O B-PER O"),
    ("Anna saw York Lee", "B-PER O B-PER I-PER"),
]
FILMS = [
    ("a fine film", "good"),
    ("what a joy", "good"),
    ("great fun", "good"),
    ("a dull film", "bad"),
    ("what a bore", "bad"),
    ("so so", "fair"),
]
SPELLED = [
    ("ab", "A B"),
    ("ba", "B A"),
    ("aab", "A A B"),
    ("abc", "A B K"),
    ("cab", "K A B"),
    ("bca", "B K A"),
    ("cc", "K K"),
]
TURNED = [("ab", "ba"), ("abc", "cba"), ("aab", "baa"), ("cab", "bac"), ("b c", "c b"), ("ca b", "b ac")]
COUNTED = ["one two three four", "two three four five", "five four three two", "three four five six one"]


def numbers(seed, lengths, shift=0.0):
    """Arrays ``[N, 2]`` of numbers with two digits, which JSON holds exactly enough."""
    rng = random.Random(seed)
    return [[[round(rng.gauss(shift, 1), 2) for _ in range(2)] for _ in range(length)] for length in lengths]


def signs(rows):
    """A label for each vector, by its own first number and the one before."""
    before = [0.0, *(row[0] for row in rows)]
    return ["up" if row[0] >= before[place] else "down" for place, row in enumerate(rows)]


def waves(count, length):
    return [
        [[round(float(np.sin(0.7 * (place + start))), 2), round(float(np.cos(0.7 * (place + start))), 2)]
         for place in range(length)]
        for start in range(count)
    ]  # fmt: skip


def arrays(inputs):
    """Inputs as a model takes them: lists of vectors as arrays."""
    return [np.array(one, np.float32) if one and isinstance(one[0], list) else one for one in inputs]


def main():
    from regard import Classifier, Labeler, MaskedModel, Seq2Seq

    tagged = [(text.split(), [WORDS[word] for word in text.split()]) for text in TAGGED]
    spans = [(words.split(), labels.split()) for words, labels in SPANS]
    series = numbers(1, [3, 5, 4, 6, 2, 7])
    framed = [(rows, signs(rows)) for rows in series]
    sorted_series = [(rows, name) for name, shift in (("low", -1.0), ("high", 1.0))
                     for rows in numbers(shift, [2, 4, 3, 5], shift)]  # fmt: skip
    more = numbers(9, [4, 1, 6])

    label(
        Labeler(**TINY),
        "label-words",
        tagged,
        [["the", "cat", "eats"], ["cats", "eat", "a", "zebra", "."], ["."], ["Cat", "Eats"]],
        [*tagged[:3], (["a", "zebra", "eats"], ["DET", "NOUN", "VERB"])],
    )
    label(
        Labeler(front_end="subwords", subwords=300, lowercase=True, case=True, positions="rotary", **TINY),
        "label-subwords",
        spans,
        [["Anna", "saw", "New", "York"], ["I", "saw", "Lee", ","], ["Zoë"]],
        [*spans[:4], (["Lee", "saw", "York"], ["B-PER", "O", "B-LOC"])],
    )
    label(
        Labeler(front_end="vectors", window=(2, 0), normalizer="sigmoid", norm="post", **TINY),
        "label-vectors",
        framed,
        more,
        framed[:2] + [(rows, signs(rows)) for rows in more],
    )
    classify(
        Classifier(front_end="characters", pooling="query", positions="learned", position_reach=32, **TINY),
        "classify-characters",
        FILMS,
        ["a great film", "what a bore !", "Fun", "so dull", "ever so so"],
        [*FILMS, ("a joy", "good"), ("a fine bore", "bad"), ("a film", "fair")],
        class_weights="balanced",
    )
    classify(
        Classifier(front_end="vectors", pooling="mean", score="additive", activation="gelu", **TINY),
        "classify-vectors",
        sorted_series,
        more,
        [*sorted_series[::2], (more[0], "low"), (more[2], "high")],
    )
    transduce(
        Seq2Seq(front_end="characters", target_units="symbols", **TINY),
        "transduce-characters-symbols",
        SPELLED,
        ["ab", "bac", "cabba", "xa"],
        [*SPELLED[:4], ("bb", "B B"), ("ac", "A K")],
    )
    transduce(
        Seq2Seq(
            front_end="characters",
            target_units="characters",
            shared_vocabulary=True,
            tied=False,
            positions="sinusoidal",
            embedding_norm=True,
            decoder_depth=2,
            **TINY,
        ),
        "transduce-shared",
        TURNED,
        ["ab", "a b", "cb a", "xa"],
        [*TURNED[:4], ("bb", "bb"), ("ac", "ca")],
        length_penalty=0.5,
        beam=3,
    )
    blanks = ["one two [MASK] four", "[MASK] four three [MASK]", "two seven [MASK]", "one two"]
    pretrain(
        MaskedModel(front_end="symbols", positions="alibi", **TINY),
        "pretrain-symbols",
        COUNTED,
        blanks,
        COUNTED,
        epochs=80,
    )
    pretrain(
        MaskedModel(front_end="words", **TINY),
        "pretrain-words",
        TAGGED,
        ["the [MASK] eats .", "[MASK] eat  the zebra [MASK]", "cats."],
        TAGGED,
        mask_share=0.3,
    )
    ripples = waves(6, 8)
    pretrain(MaskedModel(front_end="vectors", **TINY), "pretrain-vectors", ripples, [], waves(3, 11), mask_share=0.3)


def label(model, name, train, inputs, scored, **options):
    model = fit(
        model, name, list(zip(arrays([items for items, _ in train]), [y for _, y in train], strict=True)), options
    )
    inputs_given, scored_given = arrays(inputs), [(arrays([items])[0], labels) for items, labels in scored]
    everything = inputs_given + [items for items, _ in scored_given]
    logits = model.network.eval()(model.network.front_end.encode(everything)).values
    check_far(logits.detach().topk(2, 1).values.tolist(), name)
    write(
        name,
        {
            "inputs": inputs,
            "labels": model.predict(inputs_given),
            "scored": scored,
            "scores": model.evaluate(scored_given),
        },
    )


def classify(model, name, train, inputs, scored, **options):
    model = fit(
        model, name, list(zip(arrays([items for items, _ in train]), [y for _, y in train], strict=True)), options
    )
    inputs_given, scored_given = arrays(inputs), [(arrays([items])[0], label) for items, label in scored]
    everything = model.probabilities(inputs_given + [items for items, _ in scored_given])
    check_far([sorted(row.values(), reverse=True)[:2] for row in everything], name)
    for row in everything:  # chances fall into fifteen or so bins of `calibration`
        assert all(abs(max(row.values()) * bins % 1 - 0.5) < 0.5 - CLOSE * bins for bins in (10, 15)), (name, row)
    write(
        name,
        {
            "inputs": inputs,
            "labels": model.predict(inputs_given),
            "probabilities": model.probabilities(inputs_given),
            "scored": scored,
            "scores": model.evaluate(scored_given),
        },
    )


def transduce(model, name, train, inputs, scored, **options):
    model = fit(model, name, train, options | {"epochs": 60})
    candidates = model.candidates(inputs, top=3)
    check_far([[score for _, score in some] for some in candidates], name)
    everything = model.candidates([source for source, _ in scored], top=2)
    check_far([[score for _, score in some] for some in everything], name)
    write(
        name,
        {
            "inputs": inputs,
            "texts": model.predict(inputs),
            "candidates": candidates,
            "greedy": model.predict(inputs, beam=1),
            "scored": scored,
            "scores": model.evaluate(scored),
        },
    )


def pretrain(model, name, train, inputs, scored, **options):
    model = fit(model, name, arrays(train) * 6, options)
    expected = {"inputs": inputs, "scored": scored, "scores": model.evaluate(arrays(scored))}
    if inputs:
        found = model.candidates(inputs, top=3)
        check_far([[chance for _, chance in blank] for blanks in found for blank in blanks], name)
        expected |= {"texts": model.predict(inputs), "candidates": found}
    write(name, expected)


def check_far(rows, name):
    """What comes first must come first on any machine."""
    for row in rows:
        for first, second in zip(row, row[1:]):  # noqa: B905, RUF007
            assert first - second > CLOSE, (name, row)


def fit(model, name, train, options):
    """The model as it is opened again from its small folder."""
    import regard
    from regard.tasks import fitting  # of 0.1.0

    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    repeated = train if name.startswith("pretrain") else train * 6
    model.fit(repeated, output=folder, **QUICK | options)
    if model.config.front_end == "words":
        simplify(model.network.front_end)
        fitting.save(model, model.network, folder)
    for file in folder.iterdir():
        if file.name not in KEPT:
            file.unlink()
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text.replace(str(folder), f"runs/{name}"))
    return regard.load(folder)


def simplify(front_end):
    for name, tensor in front_end.state_dict().items():
        flat = tensor.flatten()
        if "character_encoder" in name and len(flat) > 61 and "norm" not in name:
            tensor.copy_(flat[:61].repeat(1 + len(flat) // 61)[: len(flat)].view_as(tensor))
        elif len(flat) > 500:
            least = flat.abs().quantile(0.5)
            tensor.copy_(tensor.sign() * (tensor.abs() > least) * 2 * least)


def write(name, expected):
    folder = HERE / name
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in expected.items()]
    (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    weights = folder / "model.safetensors"
    if weights.stat().st_size > 10_000:
        with open(f"{weights}.gz", "wb") as file:
            file.write(gzip.compress(weights.read_bytes(), 9, mtime=0))
        weights.unlink()
    print(name, expected["scores"], {file.name: file.stat().st_size for file in sorted(folder.iterdir())})
    for key in ("labels", "texts"):
        print("  ", list(zip(expected["inputs"], expected.get(key, []), strict=False)))


if __name__ == "__main__":
    main()
