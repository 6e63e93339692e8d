"""What is changed of images while a network learns: as PyTorch's seed says, masks with them, nothing otherwise."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import SHAPES, colours, save_classes, shape
from safetensors.torch import load_file

from regard import Classifier, ConfigError, Image, Labeler
from regard.front_ends.image import Patches
from regard.front_ends.image.augment import Changes, mixed

ALL = Changes(flip=True, shift=2, crop=0.4, color=0.5)
TINY = {"front_end": "patches", "patch_size": 4, "dim": 16, "depth": 1, "heads": 2, "dropout": 0.0}
QUICK = {"epochs": 3, "batch_tokens": 60, "average": 0, "baselines": "none"}


def batch(count=8, channels=3, rows=6, columns=9):
    pixels = np.stack([colours(rows, columns, 3, seed)[:, :, :channels] for seed in range(count)])
    return torch.from_numpy(pixels / np.float32(255)).movedim(3, 1)


@pytest.mark.parametrize("changes", [ALL, Changes(flip=True), Changes(shift=3), Changes(crop=0.3), Changes(color=0.4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_seed_decides(changes, channels):
    images = batch(channels=channels)
    torch.manual_seed(3)
    first, _ = changes.of(images)
    torch.manual_seed(3)
    again, _ = changes.of(images)
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    other, _ = changes.of(images)
    assert first.shape == images.shape
    assert not torch.equal(first, images)
    assert not torch.equal(first, other)
    assert first.min() >= -1e-5
    assert first.max() <= 1 + 1e-5


def test_mirrored():
    images = batch(40)
    changed, _ = Changes(flip=True).of(images)
    flipped = [torch.equal(own, other.flip(2)) for own, other in zip(changed, images, strict=True)]
    same = [torch.equal(own, other) for own, other in zip(changed, images, strict=True)]
    assert all(a or b for a, b in zip(flipped, same, strict=True))
    assert 8 < sum(flipped) < 32


def test_moved_with_the_border_repeated():
    images = batch(20)
    changed, _ = Changes(shift=2).of(images)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode="replicate")
    places = set()
    for own, whole in zip(changed, padded, strict=True):
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.allclose(own, whole[:, top : top + 6, left : left + 9], atol=1e-6)
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) > 8


@pytest.mark.parametrize("size", [(10, 100), (100, 10), (40, 40), (1, 7)])
def test_no_more_is_cut_off_than_is_said(size):
    """Images whose channels tell row and column: from the first pixel to the last is what is left."""
    ramps = torch.stack(torch.meshgrid(*(torch.arange(float(side)) for side in size), indexing="ij"))
    changed, _ = Changes(crop=0.3).of(ramps.expand(64, -1, -1, -1))
    kept = (changed[:, :, -1, -1] - changed[:, :, 0, 0]).round() + 1  # rows and columns of each
    assert (kept.prod(1) >= 0.7 * size[0] * size[1] - sum(size)).all()  # each side is a whole number of pixels
    if min(size) > 1:
        assert len(kept.unique(dim=0)) > 8


@settings(deadline=None, max_examples=25)
@given(st.booleans(), st.integers(0, 3), st.sampled_from([0.0, 0.5]), st.sampled_from([(6, 9), (5, 5), (1, 1), (2, 7)]))
def test_a_mask_goes_where_its_image_goes(flip, shift, crop, size):
    """An image whose pixels tell their label: after any change, the mask still tells the same."""
    changes = Changes(flip=flip, shift=shift, crop=crop)
    if changes == Changes():
        return
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (4, 1, *size)))
    images = labels.float()
    if crop:  # between two pixels a mask has one of them, an image what is between
        images = labels.float().fill_(0)
        labels[:] = 0
        labels[:, :, : size[0] // 2] = 1
        images[:, :, : size[0] // 2] = 1
    changed, moved = changes.of(images, labels)
    assert moved.dtype == torch.int64
    assert set(moved.unique().tolist()) <= {0, 1}
    assert ((changed - moved).abs() < (1 - 1e-3 if crop else 1e-3)).all()


def test_a_mask_keeps_what_has_no_label():
    labels = torch.full((3, 1, 6, 6), -1)
    _, moved = ALL.of(batch(3, rows=6, columns=6), labels)
    assert (moved == -1).all()


def test_images_are_changed_only_while_a_network_learns():
    front_end = Patches([0.5] * 3, [0.2] * 3, dim=4, patch=2, changes=ALL)
    images = [Image.from_pixels(colours(*size)) for size in ((6, 8), (4, 4), (6, 8))]
    masks = [np.zeros(image.size, np.int64) for image in images]
    plain = front_end.eval().encode(images)
    torch.testing.assert_close(plain.values, torch.cat([torch.from_numpy(x.pixels()).flatten(0, 1) for x in images]))
    changed, moved = front_end.train().encode_with(images, masks)
    assert changed.grid.tolist() == plain.grid.tolist()
    assert not torch.equal(changed.values, plain.values)
    assert [mask.shape for mask in moved] == [image.size for image in images]


@pytest.mark.parametrize("cut", [False, True])
def test_mixed_images_are_what_they_say(cut):
    images = batch(6, rows=8, columns=8)
    torch.manual_seed(1)
    found, others, shares = mixed(images, cut=cut)
    assert sorted(others.tolist()) == list(range(6))
    for own, image, other, share in zip(found, images, images[others], shares, strict=True):
        if cut:
            kept, taken = (own == image).all(0), (own == other).all(0)
            assert (kept | taken).all()
            assert kept.float().mean() == pytest.approx(float(share)) or torch.equal(image, other)
        else:
            torch.testing.assert_close(own, share * image + (1 - share) * other)
    torch.manual_seed(1)
    torch.testing.assert_close(mixed(images, cut=cut)[0], found, atol=0, rtol=0)


def test_only_images_of_one_size_are_mixed():
    front_end = Patches([0.5] * 3, [0.2] * 3, dim=4, patch=2)
    sizes = ((6, 8), (4, 4), (6, 8), (2, 2))
    inputs = front_end.encode([Image.from_pixels(colours(*size, seed=place)) for place, size in enumerate(sizes)])
    torch.manual_seed(0)
    found, others, shares = front_end.mixed(inputs, cut=False)
    assert {others[0].item(), others[2].item()} == {0, 2}
    assert others[[1, 3]].tolist() == [1, 3]
    for place in range(4):
        share = shares[place]
        wanted = share * inputs.unbind()[place] + (1 - share) * inputs.unbind()[others[place]]
        torch.testing.assert_close(found.unbind()[place], wanted)


def test_the_loss_of_mixed_images():
    data = [(shape(name, seed=seed), name) for seed in range(4) for name in SHAPES]
    model = Classifier(**TINY).fit(data, **QUICK, mixup=1.0, label_smoothing=0.0)
    model.network.train()
    from regard.data import Example

    batch = model.collate([Example(Image.from_pixels(pixels), name) for pixels, name in data])
    loss, count = model.loss(model.network, batch)
    logits = model.network(batch.inputs, batch.offsets)
    targets = torch.zeros(count, 3)
    targets[range(count), batch.labels] += batch.shares
    targets[range(count), batch.others] += 1 - batch.shares
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
    model.network.eval()
    assert model.collate([Example(Image.from_pixels(data[0][0]), "bar")]).others is None


CHANGED = {"flip": True, "shift": 1, "crop": 0.2, "color": 0.3}


def interrupt_after_a_checkpoint(output):
    while not (output / "resume" / "state.safetensors").is_file():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_resumed_training_draws_the_same(tmp_path):
    folder = save_classes(tmp_path / "data", 6)

    def fit(output, **how):
        options = {**QUICK, **CHANGED, "epochs": 8, "mixup": 0.4, "cutmix": 0.4}
        return Classifier(**TINY).fit(folder, output=tmp_path / output, **options, **how)

    fit("whole")
    threading.Thread(target=interrupt_after_a_checkpoint, args=[tmp_path / "parts"]).start()
    with pytest.raises(KeyboardInterrupt):
        fit("parts", checkpoint_seconds=0)
    fit("parts", resume=True)
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_labeler_learns_from_changed_images_and_masks():
    images = [shape(name, seed=seed) for seed in range(6) for name in SHAPES]
    pairs = [(pixels, (pixels > 100).astype(np.uint8)) for pixels in images]
    options = {**QUICK, "epochs": 12, "learning_rate": 1e-2, "batch_tokens": 400}
    model = Labeler(front_end="pixels", dim=16, depth=1, heads=2, dropout=0.0).fit(pairs, **options, **CHANGED)
    assert model.evaluate(pairs)["mean_iou"] > 0.9


def test_options_that_do_not_go_together():
    with pytest.raises(ConfigError, match=r"at most 1 together, got 0.7 and 0.7"):
        Classifier(**TINY).fit([], mixup=0.7, cutmix=0.7)
    with pytest.raises(ConfigError, match="they mix images, got front_end words; leave them out"):
        Classifier(front_end="words").fit([("a", "b")], mixup=0.7)


def test_colours_are_changed_on_their_own_scale_alone():
    with pytest.raises(ConfigError, match=r"color: it changes pixels from 0 to 1, got some from 0 to 16; bring arrays"):
        Classifier(**TINY).fit([(np.array([[0.0, 16.0]]), label) for label in "ab"], color=0.2)


@pytest.mark.parametrize("channels", [2, 5])
def test_other_channels_are_changed_too(channels):
    images = torch.rand(3, channels, 5, 7)
    assert ALL.of(images)[0].shape == images.shape


def test_without_kornia_it_is_said_before_anything_is_learned(monkeypatch):
    monkeypatch.setattr("regard.front_ends.image.augment.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"flip, shift, crop and color need kornia: pip install 'regard\[image\]'"):
        Classifier(**TINY).fit([(shape(name), name) for name in SHAPES], flip=True)


def test_training_without_changes_loads_no_kornia():
    code = """
import sys, numpy as np, regard
from regard.front_ends import learn_front_end
from regard.data import Example
model = regard.Classifier(front_end="patches", dim=8, depth=1, heads=2)
examples = [Example(regard.Image.from_pixels(np.full((4, 4), shade, np.uint8)), str(shade)) for shade in (0, 255)]
model.learn_labels(examples)
front_end = learn_front_end("patches", [example.items for example in examples], model.config)
model.network = model.build({"front_end": front_end}).train()
model.loss(model.network, model.collate(examples))[0].backward()
print("kornia" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
