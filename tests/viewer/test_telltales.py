"""Telltales against the same taken apart: dense products, autograd over the weights, networks with a head cut out."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch

from regard import Classifier, Labeler, MaskedModel, Seq2Seq, Transcriber
from regard.nn import MultiHeadAttention
from regard.nn.pooling import POOLINGS
from regard.tasks.files import read
from regard.viewer.recording import record
from regard.viewer.telltales import telltales

OPTIONS = {"dim": 16, "depth": 2, "heads": 2, "dropout": 0.0, "positions": "sinusoidal"}
TRAINING = {"epochs": 2, "average": 0, "baselines": "none", "quiet": True}
SENTENCE = ["we", "saw", "a", "saw"]


def labeler(**options):
    data = [(SENTENCE, ["PRON", "VERB", "DET", "NOUN"])] * 4
    return Labeler(**OPTIONS, **options).fit(data, **TRAINING), SENTENCE


def classifier(**options):
    data = [("good day", "+"), ("bad night", "-")] * 4
    return Classifier(front_end="characters", **OPTIONS, **options).fit(data, **TRAINING), "good night"


def watched(model, items):
    return model.watched(read(model, [items], labelled=False)[0])


CASES = {
    "words": labeler,
    "a window": lambda: labeler(window=1),
    "subwords": lambda: labeler(front_end="subwords"),
    "relu": lambda: labeler(normalizer="relu"),
    "pooled": classifier,
    **{pooling: partial(classifier, pooling=pooling) for pooling in POOLINGS if pooling != "query"},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rollout_is_the_product_of_what_layers_mix(case):
    model, items = case()
    asked = watched(model, items)
    found = telltales(asked).rollout
    with record(model.network.encoder) as layers, torch.no_grad():
        asked.run()
    own = [layer.weights.dense()[0].mean(0) for layer in layers if layer.role == "attention"]  # [N, N]
    N = len(own[0])
    product = torch.eye(N)
    for weights in own:
        mixed = weights + torch.eye(N)
        product = mixed / mixed.sum(1, keepdim=True) @ product
    if asked.places is not None:
        expected = product[asked.places]
    elif model.config.pooling == "mean":
        expected = product.mean(0, keepdim=True)
    elif model.config.pooling not in ("query", "max"):
        expected = product[:1]  # the first vector alone
    else:
        hidden = model.network.encoder(model.network.front_end(model.network.front_end.encode([items])))
        expected = model.network.pool.attention_weights(hidden)[0].mean(0, keepdim=True) @ product
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(len(found)))


def dense_weights(part, x):
    """``[H, N, N]`` with a gradient, by the formula."""
    q, k, _ = part.input(x.values).view(len(x.values), 3, part.heads, -1).unbind(1)
    scores = torch.einsum("qhd,khd->hqk", q, k) / part.head_dim**0.5
    if part.normalizer == "relu":
        return scores.relu() / len(q)
    if part.window is not None:
        place = torch.arange(len(x.values))
        scores = scores.masked_fill((place[:, None] - place).abs() > part.window, -torch.inf)
    return scores.softmax(-1)


def attend_densely(part, held):
    """Makes an attention multiply its values by weights and a leaf of zeros, of which autograd has a gradient."""

    def before(_, inputs, keywords):
        values = part.project(inputs[0]).value
        weights = dense_weights(part, inputs[0])
        added = torch.zeros_like(weights).requires_grad_()
        mixed = torch.einsum("hqk,khd->qhd", weights + added, values).flatten(1)
        held.append((weights.detach(), added))
        handles.append(part.output.register_forward_pre_hook(lambda _, inputs: (mixed,)))

    handles: list = []
    return part.register_forward_pre_hook(before, with_kwargs=True)


@pytest.mark.parametrize("case", [*CASES.values()][:4], ids=[*CASES][:4])
def test_gradients_are_those_of_the_weights(case):
    model, items = case()
    asked = watched(model, items)
    found = telltales(asked)
    held = []
    for part in model.network.encoder.modules():
        if isinstance(part, MultiHeadAttention):
            attend_densely(part, held)
    log_probs = asked.run()
    torch.testing.assert_close(found.log_probs, log_probs.detach())
    for answer, log_prob in enumerate(log_probs):
        gradients = torch.autograd.grad(log_prob, [added for _, added in held], retain_graph=True)
        expected = sum((weights * g).sum((0, 1)) for (weights, _), g in zip(held, gradients, strict=True))
        torch.testing.assert_close(found.gradient[answer], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_drops_are_those_of_networks_without_the_head(case):
    model, items = case()
    asked = watched(model, items)
    found = telltales(asked)
    for column, (name, head) in enumerate(found.heads):
        if name == "pool":
            continue  # which has no matrix of its own behind it
        other = deepcopy(model)
        part = other.network.get_submodule(name)
        start = head * part.head_dim
        with torch.no_grad():
            part.output.weight[:, start : start + part.head_dim] = 0
            again = watched(other, items)
            if again.names == asked.names:
                expected = found.log_probs - again.run()
                torch.testing.assert_close(found.drops[:, column], expected, atol=1e-5, rtol=1e-4)
    own = [part for part in model.network.encoder.modules() if isinstance(part, MultiHeadAttention)]
    assert len(found.heads) == sum(part.heads for part in own) + (2 if any(n == "pool" for n, _ in found.heads) else 0)


def test_of_a_new_sequence_the_source_is_told():
    model = Seq2Seq(front_end="characters", target_units="symbols", **OPTIONS)
    model.fit([("ab", "A B"), ("ba", "B A")] * 8, **TRAINING)
    asked = watched(model, "abb")
    found = telltales(asked)
    count = model.network.front_end.count("abb")
    assert found.rollout.shape == found.gradient.shape == (len(asked.names), count)
    assert found.drops.shape == (len(asked.names), (2 + 4) * 2)
    torch.testing.assert_close(found.rollout.sum(1), torch.ones(len(asked.names)))


def test_of_a_transcript_each_symbol_is_told():
    model = Transcriber(front_end="characters", target_units="symbols", **OPTIONS)
    model.fit([("ab", "A B"), ("ba", "B A"), ("aab", "A B")] * 20, epochs=15, average=0, baselines="none", quiet=True)
    asked = watched(model, "ab")
    assert " ".join(name.strip() for name in asked.names) == model.predict(["ab"], beam=1)[0]
    assert telltales(asked).gradient.shape == (len(asked.names), model.network.front_end.count("ab"))


def test_of_a_blank_the_guess_is_told():
    model = MaskedModel(front_end="symbols", **OPTIONS).fit(["one two three"] * 8, **TRAINING)
    asked = watched(model, "one [MASK] three")
    assert asked.names == [model.candidates(["one [MASK] three"], top=1)[0][0][0][0]]
    assert telltales(asked).rollout.shape[0] == 1


def test_arrays_and_many_keys_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    data = [(rng.normal(size=(9, 3)).astype(np.float32), "+-"[n % 2]) for n in range(8)]
    model = Classifier(front_end="vectors", window=2, **OPTIONS).fit(data, **TRAINING)
    whole = telltales(watched(model, data[0][0]))
    monkeypatch.setattr("regard.viewer.telltales.HELD", 1)
    parts = telltales(watched(model, data[0][0]))
    torch.testing.assert_close(parts.gradient, whole.gradient)
    torch.testing.assert_close(parts.rollout, whole.rollout)
