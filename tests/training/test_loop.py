import pytest
import torch
from safetensors.torch import load_file
from small_training import SmallNetwork, run

from regard.errors import ConfigError, DataError, RegardError
from regard.training.progress import read_journal


def lines_of(output, kind):
    return [line for line in read_journal(output / "metrics.jsonl") if line["kind"] == kind]


def test_a_training_learns_and_leaves_what_a_run_folder_holds(tmp_path):
    result, _ = run(tmp_path / "runs" / "one", epochs=12, average=0.9, learning_rate=0.01)
    assert result.stopped == "finished"
    assert result.steps > 140
    assert result.seconds > 0
    assert result.tokens_per_second > 0
    names = {path.name for path in (tmp_path / "runs" / "one").iterdir()}
    assert names == {"config.toml", "loss.png", "metrics.jsonl", "model.safetensors"}
    assert lines_of(tmp_path / "runs" / "one", "evaluation")[-1]["accuracy"] > 0.95


def test_the_journal_tells_loss_rate_norm_and_scores(tmp_path):
    run(tmp_path, epochs=2)
    steps = lines_of(tmp_path, "step")
    assert [line["step"] for line in steps] == [10, 12, 20, 24]
    assert {"epoch", "seconds", "loss", "learning_rate", "gradient_norm", "tokens_per_second"} <= steps[0].keys()
    assert steps[0]["loss"] > steps[-1]["loss"] > 0
    assert [(line["epoch"], line["step"]) for line in lines_of(tmp_path, "evaluation")] == [(1, 12), (2, 24)]
    assert lines_of(tmp_path, "end")[0]["stopped"] == "finished"


def test_the_best_weights_are_kept_and_patience_ends(tmp_path):
    result, _ = run(tmp_path, scores=[0.1, 0.5, 0.4, 0.5], epochs=9, patience=2)
    assert result.stopped == "patience"
    evaluations = lines_of(tmp_path, "evaluation")
    assert [line["best"] for line in evaluations] == [True, True, False, False]
    assert result.steps == evaluations[3]["step"]
    assert load_file(tmp_path / "model.safetensors")["steps_seen"] == evaluations[1]["step"]


def test_without_an_evaluation_the_last_weights_are_kept(tmp_path):
    _, network = run(tmp_path, evaluated=False, average=0, epochs=2)
    saved = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(saved[name], tensor) for name, tensor in network.state_dict().items())


def test_the_average_is_evaluated_and_saved_and_the_weights_stay(tmp_path):
    _, plain = run(tmp_path / "plain", evaluated=False, average=0, epochs=1)
    _, averaged = run(tmp_path / "averaged", evaluated=False, average=0.9, epochs=1)
    assert torch.equal(plain.head.weight, averaged.head.weight)
    saved = load_file(tmp_path / "averaged" / "model.safetensors")["head.weight"]
    assert not torch.equal(saved, averaged.head.weight)


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_the_steps_are_those_of_plain_pytorch(tmp_path, clip):
    """One batch a step, AdamW and clipping by PyTorch's own functions."""
    data = [torch.arange(20)]
    options = {"data": data, "dropout": 0.0, "average": 0, "batch_tokens": 20, "epochs": 6, "clip": clip}
    _, network = run(tmp_path, evaluated=False, weight_decay=0.1, warmup=0.5, learning_rate=0.01, **options)
    torch.manual_seed(1)
    twin = SmallNetwork(0.0)
    matrices = [twin.hidden.weight, twin.head.weight]
    others = [parameter for name, parameter in twin.named_parameters() if name not in ("hidden.weight", "head.weight")]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)
    for line in lines_of(tmp_path, "step"):
        logits = twin.head(twin.norm(twin.table(data[0]) + twin.hidden(twin.table(data[0])).tanh()))
        loss = torch.nn.functional.cross_entropy(logits, data[0] % 5)
        assert loss.item() == pytest.approx(line["loss"], rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), clip or float("inf"))
        assert norm.item() == pytest.approx(line["gradient_norm"], rel=1e-4)
        for group in optimizer.param_groups:
            group["lr"] = line["learning_rate"]
        optimizer.step()
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(network.get_parameter(name), parameter, rtol=1e-4, atol=1e-5)


def test_accumulation_gives_the_steps_of_the_larger_batch(tmp_path):
    _, whole = run(tmp_path / "whole", dropout=0.0, batch_tokens=60)
    _, parts = run(tmp_path / "parts", dropout=0.0, batch_tokens=20, accumulate=3)
    for one, two in zip(lines_of(tmp_path / "whole", "step"), lines_of(tmp_path / "parts", "step"), strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    networks = [run(tmp_path / str(place), seed=seed)[1] for place, seed in enumerate((3, 3, 4))]
    first, second, other = (network.head.weight for network in networks)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_bfloat16_trains_too_and_keeps_float32_weights(tmp_path):
    _, network = run(tmp_path, precision="bfloat16", epochs=12, average=0.9, learning_rate=0.01)
    assert network.head.weight.dtype == torch.float32
    assert lines_of(tmp_path, "evaluation")[-1]["accuracy"] > 0.9


def test_a_loss_that_is_not_finite_ends_with_a_clear_error(tmp_path):
    with pytest.raises(RegardError, match=r"the loss became nan by step 10; lower learning_rate, now 1e\+30"):
        run(tmp_path, learning_rate=1e30, clip=0)
    assert not (tmp_path / "model.safetensors").exists()


def test_what_cannot_be_trained_is_refused(tmp_path):
    with pytest.raises(DataError, match="at least one sequence that is not empty"):
        run(tmp_path, data=[torch.zeros(0, dtype=torch.int64)])
    with pytest.raises(ConfigError, match=r"device: .* got 'warp'"):
        run(tmp_path, device="warp")


def test_tensorboard_events_are_written_beside_the_journal(tmp_path):
    pytest.importorskip("tensorboard")
    run(tmp_path, epochs=1, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_lines_go_to_stderr_where_there_is_no_terminal(tmp_path, capfd):
    run(tmp_path, epochs=2)
    told = capfd.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert first.startswith("epoch 1/2  loss 1.")
    assert "accuracy" in first
    assert "items/s" in first
    assert first.endswith("left")
    assert second.startswith("epoch 2/2")


def test_a_score_that_evaluation_does_not_give_is_named(tmp_path):
    with pytest.raises(RegardError, match="select: evaluation gave accuracy, not f1; is dev like train"):
        run(tmp_path, epochs=1, select="f1")
