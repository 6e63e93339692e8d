"""Sizes that would take all memory: of a network, by its options; of a sequence that is read in windows."""

import shutil
import time
from functools import partial

import pytest
import torch
from forked import Forked
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from regard import Classifier, Labeler, MaskedModel, Seq2Seq, load
from regard.errors import ConfigError, DataError, ModelError
from regard.tasks.fitting import _check_memory

SMALL = {"dim": 8, "depth": 1, "heads": 2, "dropout": 0.0}
ONCE = {"epochs": 1, "average": 0, "baselines": "none"}
TEXTS = [("a b", "X"), ("c d", "Y")] * 4
LONG = "a b " * 20


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    Classifier(front_end="characters", **SMALL).fit(TEXTS, output=output, **ONCE)
    return output


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (Labeler, {"dim": 10**9}),
        (Labeler, {"depth": 10**9}),
        (Classifier, {"heads": 10**9}),
        (Classifier, {"feed_forward_dim": 10**12}),
        (Classifier, {"position_reach": 10**12}),
        (MaskedModel, {"subwords": 10**12}),
        (Seq2Seq, {"decoder_depth": 10**9}),
        (Seq2Seq, {"dim": 10**9}),
        (Seq2Seq, {"beam": 10**9}),
        (Labeler, {"seed": 10**30}),
    ],
)
def test_sizes_that_nothing_has_are_refused(task, options):
    ((name, value),) = options.items()
    with pytest.raises(ConfigError, match=rf"^{name}: input should be less than (or equal to )?\d+, got {value}$"):
        task(**options)


def test_a_network_that_the_machine_cannot_hold_is_refused_before_anything_is_made():
    with pytest.raises(
        ConfigError, match=r"an encoder of [\d,]+ parameters needs [\d,]+ GiB, got a machine with [\d,]+;"
    ):
        Labeler(dim=65536, depth=100, heads=64).fit([(["a"], ["X"])], **ONCE)


def test_in_shards_a_process_needs_less(monkeypatch):
    monkeypatch.setattr("regard.tasks.fitting.memory", lambda: 8000)
    check = partial(_check_memory, 1000, torch.device("cpu"))  # weights: 4 bytes, and 12 to train each
    check(4)
    with pytest.raises(ConfigError, match="needs 0 GiB"):
        check(2)


@pytest.mark.parametrize("option", ["depth = 1000000000", "dim = 1000000000", "position_reach = 99999999999"])
def test_a_run_folder_with_a_size_that_nothing_has(run, tmp_path, option):
    name = option.split()[0]
    altered = with_option(run, tmp_path / "altered", option)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=rf"config.toml:\d+: {name}: input should be less than or equal to \d+"):
        load(altered)
    process = Forked("-m", "regard", "info", altered)
    assert process.end() == 1
    assert process.err.count("\n") == 1
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "option", ["dim = 65536", "depth = 400", "position_reach = 16777216", "feed_forward_dim = 262144"]
)
def test_a_run_folder_whose_options_ask_for_other_weights_takes_no_memory(run, tmp_path, option):
    altered = with_option(run, tmp_path / "altered", option)
    with pytest.raises(ModelError, match=rf"config\.toml: {option.split()[0]} is .*, the weights were trained with"):
        load(altered)
    weights = altered / "model.safetensors"
    with safe_open(weights, framework="pt") as file:
        digest = file.metadata()["sha256"]
    save_file(load_file(weights), weights, {"format": "pt", "sha256": digest})  # as earlier versions wrote them
    with pytest.raises(ModelError, match=r"weights and config.toml belong to different networks"):
        load(altered)


def with_option(run, folder, option):
    shutil.copytree(run, folder)
    name = option.split()[0]
    lines = (folder / "config.toml").read_text().splitlines()
    (folder / "config.toml").write_text(
        "\n".join(option if line.removeprefix("# ").startswith(f"{name} =") else line for line in lines)
    )
    return folder


def test_a_sequence_in_windows_has_an_end(tmp_path):
    options = {**ONCE, "longest": 16, "longest_windowed": 40}
    message = r"a sequence of at most 40 items, all in memory at once \(split it, or set a larger `longest_windowed`\)"
    model = Classifier(front_end="characters", **SMALL).fit(TEXTS, **options)
    for call in (model.predict, model.probabilities):
        with pytest.raises(DataError, match=rf"example 2: expected {message}, found one of 82"):
            call(["a b", LONG])
    for call in (model.evaluate, lambda source: Classifier(front_end="characters", **SMALL).fit(source, **options)):
        with pytest.raises(DataError, match=rf"example 9: expected {message}, found one of 82"):
            call([*TEXTS, (LONG, "X")])
    assert len(model.predict(["a b" * 12])) == 1


def test_a_pretrained_sequence_has_an_end():
    options = {**ONCE, "longest": 16, "longest_windowed": 40}
    model = MaskedModel(front_end="characters", **SMALL).fit(["a b", "c d"] * 4, **options)
    for call in (
        model.evaluate,
        model.predict,
        lambda source: MaskedModel(front_end="characters", **SMALL).fit(source, **options),
    ):
        with pytest.raises(DataError, match="example 2: expected a sequence of at most 40 items"):
            call(["a b", LONG])


def test_a_labeler_with_a_window_has_an_end():
    model = Labeler(window=4, **SMALL).fit([(["a", "b"], ["X", "Y"])] * 4, longest_windowed=40, **ONCE)
    assert len(model.predict([["a"] * 40])[0]) == 40
    with pytest.raises(DataError, match="example 1: expected a sequence of at most 40 items"):
        model.predict([["a"] * 41])
    with pytest.raises(DataError, match="example 1: expected a sequence of at most 40 items"):
        Labeler(window=4, **SMALL).fit([(["a"] * 41, ["X"] * 41)], longest_windowed=40, **ONCE)


def test_limits_are_flags_of_every_command_that_reads(run, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "x" * (1 << 20) + ",X\n")
    for command in ("evaluate", "predict"):
        line = ["-m", "regard", command, run, tmp_path / "a.csv", "--largest-record"]
        for size, complaint in (
            ("1", "a.csv:2: expected a line of at most 1 MiB"),
            ("0", "largest_record: input should be greater than 0, got 0"),
        ):
            process = Forked(*line, size)
            assert process.end() == 1
            assert complaint in process.err
