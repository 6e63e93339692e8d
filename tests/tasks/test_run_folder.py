"""A run folder belongs to one training, holds nothing else, and every file that is read back is the one written."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from forked import Forked
from mutations import without_seals

import regard
from regard import Classifier, ConfigError, Labeler, ModelError, RegardError
from regard.files import explain_failures, only_writer
from regard.tasks import MaskedModel
from regard.training.checkpoint import FREE

SENTENCE = (["I", "saw", "a", "saw"], ["PRON", "VERB", "DET", "NOUN"])
SMALL = {"dim": 16, "depth": 1, "heads": 2}
ONCE = {"epochs": 1, "average": 0}
LINES = "".join(f"{word}\t{label}\n" for word, label in zip(*SENTENCE, strict=True)) + "\n"
FLAGS = ("--dim", "16", "--depth", "1", "--heads", "2", "--average", "0")


def command(output, *flags):
    data = output.parent / "data.tsv"
    data.write_text(LINES * 8)
    return ["-m", "regard", "train", "label", "--train", data, "--output", output, *FLAGS, *flags]


def train(output, *flags, **options):
    """`regard train label` as a process of its own."""
    return Forked(*command(output, *flags), **options)


def launch(output, *flags):
    """The same twice, by torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    line = list(map(str, [*launcher, *command(output, *flags)]))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_growth(path, process):
    size = path.stat().st_size
    process.until(lambda: path.stat().st_size > size)


def test_a_second_training_is_refused_by_the_name_of_the_first(tmp_path):
    output = tmp_path / "run"
    with train(output, "--epochs", "100000") as first:  # whose end lets go of the folder
        first.until((output / "resume" / "state.safetensors").exists)
        for options in (["--epochs", "1", "--dim", "32"], ["--resume"]):
            second = train(output, *options)
            assert second.end() == 1
            assert second.err.count("\n") == 1
            assert f"{output} is being written by process {first.pid} on " in second.err
            assert "name another folder" in second.err
        with pytest.raises(ConfigError, match=rf"written by process {first.pid} on"):
            Labeler(**SMALL).fit([SENTENCE], output=output, **ONCE)
    with train(output, "--resume", "--epochs", "100000") as again:
        wait_for_growth(output / "metrics.jsonl", again)
        again.send(signal.SIGINT)
        again.end()
        assert "to go on: regard train label --resume" in again.err


def test_a_training_in_another_thread_is_one_too(tmp_path):
    with only_writer(tmp_path / "run"):
        found = []

        def fit():
            try:
                Labeler(**SMALL).fit([SENTENCE], output=tmp_path / "run", **ONCE)
            except ConfigError as error:
                found.append(str(error))

        thread = threading.Thread(target=fit)
        thread.start()
        thread.join()
        assert f"is being written by process {os.getpid()} on" in found[0]
    assert not (tmp_path / "run").exists()  # nothing came of it
    Labeler(**SMALL).fit([SENTENCE], output=tmp_path / "run", **ONCE)


def ends_as_no_longer_its_own(process, output):
    assert process.end() == 1
    assert process.err.splitlines()[-1] == (
        f"regard: output: {output} was taken from this training, as it or its .regard-lock was deleted or moved; "
        "nothing more is written there; leave both alone while a training runs"
    )


@pytest.mark.parametrize("lost", ["folder", "lock"])
def test_a_training_that_lost_its_folder_spoils_no_other(tmp_path, lost):
    output = tmp_path / "run"
    journal = output / "metrics.jsonl"
    with train(output, "--epochs", "100000", "--checkpoint-seconds", "0") as first:
        first.until((output / "resume" / "state.safetensors").exists)
        first.send(signal.SIGSTOP)
        if lost == "folder":
            shutil.rmtree(output)
        else:
            (output / ".regard-lock").unlink()
        options = ("--seed", "2") if lost == "folder" else ("--resume",)
        with train(output, "--epochs", "100000", *options) as second:
            second.until(journal.exists)
            wait_for_growth(journal, second)
            first.send(signal.SIGCONT)
            ends_as_no_longer_its_own(first, output)
            second.send(signal.SIGINT)
            second.end()
            assert second.err.splitlines()[-1].startswith("stopped; to go on: regard train label --resume")
    assert not list(output.rglob("*.part"))
    with train(output, "--resume") as third:
        wait_for_growth(journal, third)
        assert "going on from step" in third.err
    assert regard.load(output).config.seed == (2 if lost == "folder" else 1)


def test_a_training_whose_folder_is_gone_says_so_and_makes_no_other(tmp_path):
    output = tmp_path / "run"
    process = train(output, "--epochs", "100000")
    process.until((output / "resume" / "state.safetensors").exists)
    output.rename(tmp_path / "moved")
    ends_as_no_longer_its_own(process, output)
    assert not output.exists()


def test_a_folder_that_goes_while_a_file_is_written_was_taken(tmp_path):
    path = tmp_path / "run" / "scores.json"
    with only_writer(path.parent):
        path.parent.rename(tmp_path / "moved")
        with pytest.raises(RegardError, match="was taken from this training"), explain_failures(path):
            path.touch()


def test_the_processes_of_one_launch_share_the_folder(tmp_path):
    process = launch(tmp_path / "run", "--epochs", "1")
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert regard.load(tmp_path / "run").predict([SENTENCE[0]])


@pytest.mark.parametrize("rank", [0, 1])
def test_the_end_of_one_process_of_a_launch_is_told_by_the_others(tmp_path, rank):
    for attempt in range(3):  # on a busy machine the launcher may end the others before they can tell
        output = tmp_path / f"run-{attempt}"
        process = launch(output, "--epochs", "100000")
        while not (output / "resume" / "state.safetensors").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if f"\0RANK={rank}\0" in Path(f"/proc/{child}/environ").read_text():
                os.kill(int(child), signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        if told := [line for line in err.splitlines() if "regard: " in line]:
            break
    go_on = f"to go on, with as many processes: regard train label --resume --output {output}"
    assert told == [f"regard: another process of this training ended; {go_on}"]


def test_a_folder_that_holds_a_run_is_refused_with_what_to_type(tmp_path):
    output = tmp_path / "a run"
    with train(output, "--epochs", "100000") as first:
        first.until((output / "resume" / "state.safetensors").exists)
    go_on = f"regard train label --resume --output '{output}'"
    second = train(output)
    second.end()
    what_to_do = f"resume it ({go_on}), delete it or name another one"
    assert second.err == f"regard: output: {output} holds an interrupted training; {what_to_do}\n"
    with pytest.raises(ConfigError, match=rf"interrupted training; resume it \({re.escape(go_on)}\)"):
        MaskedModel(**SMALL).fit([["I", "saw"]], output=output, **ONCE)  # it is the task of that training
    Labeler(**SMALL).fit([SENTENCE], output=tmp_path / "whole", **ONCE)
    with pytest.raises(
        ConfigError, match=r"already holds a run; choose another .* resume it \(fit\(\.\.\., resume=True\)"
    ):
        Labeler(**SMALL).fit([SENTENCE], output=tmp_path / "whole", **ONCE)


def test_refused_options_leave_no_folder(tmp_path):
    with pytest.raises(ConfigError):
        Labeler(**SMALL).fit([SENTENCE], output=tmp_path / "new" / "run", heads=3)
    assert not (tmp_path / "new" / "run").exists()


@pytest.mark.parametrize("name", ["README.md", "config.toml", "metrics.jsonl", "notes", ".hidden", "model.safetensors"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_other_things_is_left_alone(tmp_path, name, resume):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"output: .* holds other things than a run \('{name}'\); name a new folder"):
        Labeler(**SMALL).fit([SENTENCE], output=tmp_path, resume=resume, **ONCE)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("name", ["README.md", "notes.txt", "config.toml", "metrics.jsonl", "resume/own.txt"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_lock_that_was_left_makes_no_folder_a_run(tmp_path, name, resume):
    """As after `rm -r run/*`, which leaves what is hidden."""
    (tmp_path / ".regard-lock").write_text("{}")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"output: .* holds other things than a run \('{name}'\); name a new folder"):
        Labeler(**SMALL).fit([SENTENCE], output=tmp_path, resume=resume, **ONCE)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".regard-lock", name.split("/")[0]])
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "scores.json", "confusion.png", "calibration.png"])
def test_an_interrupted_training_writes_over_nothing_of_a_user(tmp_path, name):
    output = interrupted(tmp_path / "run")
    (output / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"output: .* holds other things than a run \('{name}'\); move them"):
        resume(output)
    assert (output / name).read_text() == "mine"


def test_a_training_without_weights_yet_is_told_how_to_go_on(tmp_path):
    output = interrupted(tmp_path / "run")
    for name in ("model.safetensors", "model.json"):
        (output / name).unlink(missing_ok=True)
    with pytest.raises(
        ModelError, match=r"run: its training has no weights yet; go on with it: fit\(..., resume=True\)"
    ):
        regard.load(output)


def test_the_end_of_a_training_deletes_its_own_checkpoint_and_nothing_else(tmp_path):
    output = interrupted(tmp_path / "run")
    for own in (output / "log.txt", output / "resume" / "log.txt"):
        own.write_text("mine")
    resume(output)
    assert [path.name for path in (output / "resume").iterdir()] == ["log.txt"]
    assert (output / "log.txt").read_text() == "mine"
    resume(output)  # it has finished


def test_a_training_that_was_killed_before_its_first_checkpoint_begins_anew(tmp_path):
    output = tmp_path / "run"
    with train(output, "--epochs", "100000", "--tensorboard") as process:
        process.until((output / "metrics.jsonl").exists)
    shutil.rmtree(output / "resume")
    (output / "resume").mkdir()
    (output / "resume" / ".state.safetensors.01234567.part").write_text("half")
    for name in ("model.safetensors", "model.json"):
        (output / name).unlink(missing_ok=True)
    Labeler(**SMALL).fit([SENTENCE], output=output, **ONCE)
    assert not (output / "resume").exists()


def test_the_working_folder_is_no_output(tmp_path):
    output = tmp_path / "work"
    output.mkdir()
    (output / "config.toml").write_text('task = "label"\nepochs = 1\n')
    process = train(output, "--config", "config.toml", "--output", ".", cwd=output)
    assert process.end() == 1
    assert "output: . holds other things than a run ('config.toml'); name a new folder" in process.err
    assert [path.name for path in output.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("name", ["config.toml", "model.safetensors", "loss.png", "resume", "resume/state.safetensors"])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path, name):
    output, theirs = tmp_path / "run", tmp_path / "theirs"
    interrupted(output)
    link = output / name
    if link.exists():
        link.rename(theirs)
    else:
        theirs.write_text("mine")
    link.symlink_to(theirs)
    before = theirs.read_bytes() if theirs.is_file() else sorted(theirs.iterdir())
    with pytest.raises(ConfigError, match=rf"output: .*{name} is a link, which a training would write through; remove"):
        Labeler(**SMALL).fit([SENTENCE] * 8, output=output, resume=True, epochs=3, average=0)
    assert (theirs.read_bytes() if theirs.is_file() else sorted(theirs.iterdir())) == before


def test_the_output_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    Labeler(**SMALL).fit([SENTENCE], output=tmp_path / "run", **ONCE)
    assert (tmp_path / "disk" / "model.safetensors").is_file()


def test_options_that_do_not_go_together_are_refused_by_the_name_of_their_file(tmp_path):
    """In a run of an earlier version, whose options have no digest."""
    run = tmp_path / "run"
    Classifier(front_end="characters", **SMALL).fit([("a b", "x"), ("b c", "y")] * 4, output=run, **ONCE)
    config = without_seals(run) / "config.toml"
    config.write_text(re.sub(r"(?m)^(# )?mixup = .*$", "mixup = 0.5", config.read_text()))
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(config))}: mixup, cutmix: they mix images, got front_end"):
        regard.load(run)


@pytest.mark.parametrize("name", ["missing/..", "missing/../mine", "link", "link/../mine"])
def test_no_way_to_the_output_is_made_that_ends_in_a_folder_of_others(tmp_path, name):
    """`missing/..` is nothing until `missing` is made, and then it is what stands beside it."""
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path, tmp_path / "mine"):
        (folder / "README.md").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(ConfigError, match=r"output: .* leads through a folder that does not exist; name it without"):
        Labeler(**SMALL).fit([SENTENCE], output=tmp_path / name, **ONCE)
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def interrupted(output, epochs=3, seed=1):
    """A run folder with a checkpoint to go on from, and with weights that were the best so far."""

    class Stop(Labeler):
        done = 0

        def score(self, network, examples, **options):
            self.done += 1
            if self.done == 2:
                signal.raise_signal(signal.SIGINT)
            return super().score(network, examples, **options)

    with pytest.raises(KeyboardInterrupt):
        Stop(**SMALL).fit([SENTENCE] * 8, [SENTENCE], output=output, epochs=epochs, average=0, seed=seed)
    return output


def flipped(path, places):
    """The file with one bit changed, for each of some places."""
    whole = path.read_bytes()
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 7)
        path.write_bytes(changed)
        yield place
    path.write_bytes(whole)


def outcome(function):
    """What it gives, or the text of its error."""
    try:
        return function()
    except RegardError as error:
        return str(error)


def everything(model):
    """All that a user sees of a model."""
    weights = {name: tensor.tolist() for name, tensor in model.network.state_dict().items()}
    return weights, model.scores, model.vocabulary(), model.config.model_dump(exclude=FREE)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "scores.json", "config.toml"])
def test_a_flipped_bit_is_told_or_changes_nothing(tmp_path, name):
    output = tmp_path / "run"
    Labeler(**SMALL).fit([SENTENCE] * 4, [SENTENCE], output=output, **ONCE)
    sound, refused = everything(regard.load(output)), 0
    size, rng = (output / name).stat().st_size, random.Random(name)
    header = int.from_bytes((output / name).read_bytes()[:8], "little") if name.endswith("safetensors") else 0
    places = rng.sample(range(size), min(size, 120)) + rng.sample(range(header), min(header, 240))
    for place in flipped(output / name, sorted(places)):
        found = outcome(lambda: everything(regard.load(output)))
        if isinstance(found, str):
            assert found.startswith(f"{output / name}:"), place
            assert name == "config.toml" or "config.toml" not in found, place
            refused += 1
        else:
            assert found == sound, place
    assert refused > 20


@pytest.mark.parametrize("name", ["resume/state.safetensors", "metrics.jsonl"])
def test_a_flipped_bit_is_no_part_of_a_resumed_training(tmp_path, name):
    output = interrupted(tmp_path / "run")
    size, rng = (output / name).stat().st_size, random.Random(name)
    for place in flipped(output / name, sorted(rng.sample(range(size), 40))):
        with pytest.raises(RegardError, match=name.split("/")[-1]):
            Labeler(**SMALL).fit([SENTENCE] * 8, [SENTENCE], output=output, epochs=3, average=0, resume=True)
        assert (output / name).stat().st_size == size, place
    whole = Labeler(**SMALL).fit([SENTENCE] * 8, [SENTENCE], output=output, epochs=3, average=0, resume=True)
    unbroken = Labeler(**SMALL).fit([SENTENCE] * 8, [SENTENCE], epochs=3, average=0)
    assert all(
        torch.equal(*pair) for pair in zip(whole.network.parameters(), unbroken.network.parameters(), strict=True)
    )


class Flat(Labeler):
    """Of which no epoch is a new best."""

    def score(self, network, examples, **options):
        return super().score(network, examples, **options) | {"accuracy": 0.0}


def resume(output):
    return Flat(**SMALL).fit([SENTENCE] * 8, [SENTENCE], output=output, epochs=3, average=0, resume=True)


@pytest.mark.parametrize("name", ["model.json", "config.toml"])
@pytest.mark.parametrize("end", ["interrupted", "finished"])
@pytest.mark.parametrize("damage", [lambda path: next(flipped(path, [90])), os.unlink], ids=["flipped", "missing"])
def test_resuming_writes_again_what_the_training_data_tell(tmp_path, name, end, damage):
    output = interrupted(tmp_path / "run")
    if end == "finished":
        resume(output)
    damage(output / name)
    weights = (output / "model.safetensors").read_bytes()
    resume(output)
    assert (output / "model.safetensors").read_bytes() == weights
    assert regard.load(output).predict([SENTENCE[0]])


@pytest.mark.parametrize("end", ["interrupted", "finished"])
def test_resuming_refuses_weights_that_are_not_whole_before_it_trains(tmp_path, end):
    output = interrupted(tmp_path / "run")
    if end == "finished":
        resume(output)
    weights, journal = output / "model.safetensors", (output / "metrics.jsonl").read_bytes()
    for _ in flipped(weights, [400, weights.stat().st_size - 9]):
        with pytest.raises(RegardError, match=r"model\.safetensors: "):
            resume(output)
    weights.unlink()
    with pytest.raises(RegardError, match=r"model\.safetensors: no such file"):
        resume(output)
    assert (output / "metrics.jsonl").read_bytes() == journal


def test_the_end_of_a_journal_is_checked(tmp_path):
    output = tmp_path / "run"
    Labeler(**SMALL).fit([SENTENCE] * 4, output=output, **ONCE)
    whole = (output / "metrics.jsonl").read_bytes()
    places = random.Random(1).sample(range(len(whole) - 1), 40)
    for place in flipped(output / "metrics.jsonl", [place for place in places if whole[place] != ord("e")]):
        # but for an e, which may be that of 1e-05, the same number as 1E-05
        found = outcome(lambda: Labeler(**SMALL).fit([SENTENCE] * 4, output=output, resume=True, **ONCE))
        assert "metrics.jsonl" in str(found), place


def test_options_that_were_changed_are_named(tmp_path):
    output = tmp_path / "run"
    Labeler(**SMALL, window=8).fit([SENTENCE] * 4, output=output, **ONCE)
    config = output / "config.toml"
    config.write_text(config.read_text().replace("window = 8", "window = 2"))
    with pytest.raises(RegardError, match=r"config\.toml: window is 2, the weights were trained with 8; put that back"):
        regard.load(output)
    with pytest.raises(RegardError, match=r"config\.toml: window is 2"):
        MaskedModel(pretrained=str(output)).fit([["I", "saw"]], **ONCE)


def test_an_option_that_is_no_longer_in_the_file_is_told(tmp_path):
    output = tmp_path / "run"
    Labeler(**SMALL).fit([SENTENCE] * 4, output=output, unseen_labels="count-wrong", **ONCE)
    config = output / "config.toml"
    whole = config.read_text()
    config.write_text(re.sub(r"(?m)^# Labels outside the training data.*\n.*\n", "", whole))
    message = r"config\.toml: no longer holds unseen_labels; put that back, or copy the file again"
    with pytest.raises(RegardError, match=message):
        regard.load(output)
    with pytest.raises(RegardError, match=message):
        MaskedModel(pretrained=str(output)).fit([["I", "saw"]], **ONCE)
    again = train(output, "--resume")
    assert again.end() == 1
    assert "config.toml: no longer holds unseen_labels; put that back" in again.err
    config.write_text(re.sub(r"(?m)^options = .*\n", "", config.read_text()))  # as earlier versions wrote it
    assert regard.load(output).config.unseen_labels == "refuse"
    config.write_text(whole.replace('unseen_labels = "count-wrong"', '# unseen_labels = "count-wrong"'))
    assert regard.load(output).config.unseen_labels == "refuse"


@pytest.mark.parametrize(("name", "value"), [("device", "aupo"), ("unseen_labels", "rifuse"), ("format", "conlly")])
def test_an_option_that_may_be_changed_takes_no_unknown_value(tmp_path, name, value):
    output = tmp_path / "run"
    Labeler(**SMALL).fit([SENTENCE] * 4, output=output, **ONCE)
    config = output / "config.toml"
    config.write_text(re.sub(f"(?m)^{name} = .*$", f'{name} = "{value}"', config.read_text()))
    with pytest.raises(ConfigError, match=rf"config\.toml:\d+: {name}: .* got '{value}'"):
        regard.load(output)


def test_files_of_two_trainings_are_no_run(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    Labeler(**SMALL).fit([SENTENCE] * 4, output=one, **ONCE)
    Labeler(**SMALL).fit([(SENTENCE[0], ["PRON", "VERB", "DET", "X"])] * 4, output=two, **ONCE)
    (one / "model.json").write_bytes((two / "model.json").read_bytes())
    with pytest.raises(RegardError, match=r"weights and model\.json are of two trainings; copy the whole folder"):
        regard.load(one)
