"""Examples with their goals where a source tells them, of every kind of source."""

import numpy as np
import pytest

from regard import Classifier, Labeler
from regard.tasks.files import read_partly

SMALL = {"dim": 16, "depth": 1, "heads": 2}
ONCE = {"epochs": 1, "average": 0, "baselines": "none", "quiet": True}
WORDS = {
    "half.conllu": "1\twe\t_\tPRON\t_\t_\t0\t_\t_\t_\n\n1\twe\t_\t_\t_\t_\t0\t_\t_\t_\n\n",
    "half.tsv": "we\tPRON\n\nwe\n",
    "half.jsonl": '{"words": ["we"], "upos": ["PRON"]}\n{"words": ["we"]}\n',
}
TEXTS = {
    "half.csv": "text,label\nwe saw,a\nwe,\n",
    "half.jsonl": '{"text": "we saw", "label": "a"}\n{"text": "we", "label": null}\n',
    "none.csv": "text\nwe saw\nwe\n",
    "none.txt": "we saw\nwe\n",
    "all.csv": "text,label\nwe saw,a\nwe,b\n",
}


@pytest.fixture(scope="module")
def labeler():
    return Labeler(**SMALL).fit([(["we", "saw"], ["PRON", "VERB"])] * 2, **ONCE)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(front_end="characters", **SMALL).fit([("we", "a"), ("saw", "b")], **ONCE)


@pytest.mark.parametrize("name", WORDS)
def test_labels_of_words(labeler, tmp_path, caplog, name):
    path = tmp_path / name
    path.write_text(WORDS[name])
    assert [(one.items, one.goal) for one in read_partly(labeler, path)] == [(["we"], ["PRON"]), (["we"], None)]
    assert not caplog.records  # none was left out


@pytest.mark.parametrize("name", TEXTS)
def test_labels_of_texts(classifier, tmp_path, name):
    path = tmp_path / name
    path.write_text(TEXTS[name])
    goals = {"half": ["a", None], "none": [None, None], "all": ["a", "b"]}[path.stem]
    assert [(one.items, one.goal) for one in read_partly(classifier, path)] == list(
        zip(["we saw", "we"], goals, strict=True)
    )


def test_of_python_values(labeler, classifier):
    for model, given, goals in (
        (classifier, iter([("we saw", "a"), ("we", None)]), ["a", None]),
        (classifier, ["we saw", "we"], [None, None]),
        (labeler, [(["we"], ["PRON"]), (["we"], None)], [["PRON"], None]),
        (labeler, [["we", "saw"], ["we"]], [None, None]),
    ):
        assert [one.goal for one in read_partly(model, given)] == goals


def test_of_folders(tmp_path):
    image = pytest.importorskip("PIL.Image")
    data = [(np.full((8, 8), 40 * n, np.uint8), "ab"[n % 2]) for n in range(4)]
    model = Classifier(front_end="patches", patch_size=4, **SMALL).fit(data, **ONCE)
    for pixels, label in data:
        (tmp_path / "by" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "flat").mkdir(exist_ok=True)
        for folder in (tmp_path / "by" / label, tmp_path / "flat"):
            image.fromarray(pixels).save(folder / f"{pixels[0, 0]}.png")
    assert [one.goal for one in read_partly(model, tmp_path / "by")] == ["a", "a", "b", "b"]
    assert [one.goal for one in read_partly(model, tmp_path / "flat")] == [None] * 4
