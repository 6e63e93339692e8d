"""What is written as a ViT, opened with `transformers`; and trainings that start from one."""

import numpy as np
import pytest
import torch
from small_bert import close
from small_vit import pixels, save_vit, their_hidden
from transformers import AutoModel, AutoModelForImageClassification, ViTForImageClassification, ViTModel

import regard
from regard import Classifier, ConfigError, Labeler, RegardError, UnsupportedError
from regard.formats.huggingface.write_vit import reasons_against_vit
from regard.tasks.export import export_huggingface

ONCE = {"epochs": 1, "average": 0, "baselines": "none"}
LIKE_VIT = {"front_end": "patches", "class_token": True, "positions": "none", "pooling": "first"}
SMALL = {"dim": 12, "depth": 1, "heads": 3, "dropout": 0.0}


def images(count=6, rows=12, columns=12, channels=3):
    rng = np.random.default_rng(2)
    return [(rng.random((rows, columns, channels), np.float32), "ab"[number % 2]) for number in range(count)]


def as_tensor(examples, front_end):
    """As `transformers` takes them."""
    whole = torch.stack([torch.from_numpy(image) for image, _ in examples])
    return ((whole - front_end.mean) / front_end.std).movedim(3, 1)


def opened(kind, folder):
    model, told = kind.from_pretrained(folder, output_loading_info=True)
    assert not told["mismatched_keys"]
    assert not {key for key in told["missing_keys"] | told["unexpected_keys"] if not key.startswith("pooler.")}
    return model.eval()


@pytest.mark.parametrize("kind", [ViTModel, ViTForImageClassification])
@pytest.mark.parametrize("config", [{}, {"qkv_bias": False, "hidden_act": "gelu_new", "layer_norm_eps": 0.01}], ids=str)
def test_a_vit_that_was_read_is_written_as_it_was(tmp_path, kind, config):
    first = save_vit(tmp_path / "old", kind, {"image_mean": [0.4] * 3, "image_std": [0.3] * 3}, **config)
    vit, given = regard.load_vit(tmp_path / "old"), pixels(2, 3, 12, 12)
    assert vit.save(tmp_path / "new") == kind.__name__
    theirs = opened(kind, tmp_path / "new")
    close(their_hidden(theirs, given), their_hidden(first, given))
    again = regard.load_vit(tmp_path / "new")
    assert vit.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in vit.state_dict().items())
    assert torch.equal(vit.front_end.mean, again.front_end.mean)
    with pytest.raises(RegardError, match="something is there already"):
        vit.save(tmp_path / "new")


def test_positions_of_another_image_size_are_written_for_it(tmp_path):
    save_vit(tmp_path / "old", ViTModel)
    vit = regard.load_vit(tmp_path / "old", image_size=20)
    vit.save(tmp_path / "new")
    theirs, given = opened(AutoModel, tmp_path / "new"), pixels(1, 3, 20, 20)
    assert theirs.config.image_size == 20
    close(theirs(given).last_hidden_state[0], vit(given).values)


def test_a_classifier_starts_from_a_vit_and_is_one_in_transformers(tmp_path):
    first = save_vit(tmp_path / "old", ViTForImageClassification)
    model = Classifier(pretrained=str(tmp_path / "old"), pooling="first", dropout=0.0)
    still = {**ONCE, "learning_rate": 1e-12, "weight_decay": 0.0}
    model.fit(images(), output=tmp_path / "run", **still)
    assert (model.config.front_end, model.config.image_size) == ("patches", (12, 12))
    model = regard.load(tmp_path / "run")
    network, given = model.network, as_tensor(images(), model.network.front_end)
    hidden = network.encoder(
        network.front_end(network.front_end.encode([regard.Image.from_pixels(x) for x, _ in images()]))
    )
    close(hidden.values, their_hidden(first, given))
    assert export_huggingface(model, tmp_path / "new") == "ViTForImageClassification"
    theirs = opened(AutoModelForImageClassification, tmp_path / "new")
    assert theirs.config.id2label == {0: "a", 1: "b"}
    close(theirs(given).logits.softmax(1), torch.tensor([list(row.values()) for row in model.probabilities(images())]))


def test_a_vit_is_trained_on_images_of_another_size(tmp_path):
    save_vit(tmp_path, ViTModel)
    model = Classifier(pretrained=str(tmp_path), image_size=16, pooling="bert").fit(images(), **ONCE)
    assert model.network.front_end.class_token.grid == (3, 3)
    assert model.length(type("Example", (), {"items": regard.Image.from_pixels(images()[0][0])})) == 17
    with pytest.raises(ConfigError, match="patch_size: the pretrained network has 4, got 2; leave it out"):
        Classifier(pretrained=str(tmp_path), patch_size=2).fit(images(), **ONCE)


def test_a_vit_from_nothing_is_one_in_transformers(tmp_path):
    examples = images(rows=8, channels=1)
    model = Classifier(**LIKE_VIT, **SMALL, activation="gelu_tanh").fit(examples, output=tmp_path / "run", **ONCE)
    assert model.network.front_end.class_token.grid == (2, 3)
    model = regard.load(tmp_path / "run")
    assert export_huggingface(model, tmp_path / "new") == "ViTForImageClassification"
    theirs, given = (
        opened(AutoModelForImageClassification, tmp_path / "new"),
        as_tensor(examples, model.network.front_end),
    )
    close(theirs(given).logits.softmax(1), torch.tensor([list(row.values()) for row in model.probabilities(examples)]))


def test_a_long_image_is_read_in_parts_that_each_have_the_class(tmp_path):
    model = Classifier(**LIKE_VIT, **SMALL, longest=7).fit(images(columns=8), **ONCE)
    front_end, image = model.network.front_end, regard.Image.from_pixels(images()[0][0])
    parts = front_end.split(image, 7)
    assert max(map(front_end.count, parts)) <= 7
    assert front_end.names(parts[0])[:2] == ["class", "1, 1"]
    assert len(model.predict([image])) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"class_token": False}, "class_token is False, ViT has True"),
        ({"positions": "rotary"}, "positions is 'rotary', ViT has 'none'"),
        ({"norm": "post", "causal": True}, "causal is True, ViT has False; norm is 'post', ViT has 'pre'"),
        ({"patch_stride": 2}, "patch_stride is 2, ViT has 4"),
        ({"stem": "convolution"}, "stem is 'convolution', ViT has 'linear'"),
        ({"pooling": "query"}, "pooling is 'query', ViT has 'first'"),
        ({"image_size": (8, 10)}, r"image_size is \(8, 10\), ViT has a multiple of patch_size"),
    ],
    ids=str,
)
def test_a_network_that_is_no_vit_is_refused_with_every_reason(tmp_path, options, reason):
    model = Classifier(**LIKE_VIT | SMALL | options)
    assert not reasons_against_vit("classify", Classifier(**LIKE_VIT, **SMALL).config.model_dump())
    with pytest.raises(
        UnsupportedError, match=f"^this network is none of ViT's: {reason}; train one with ViT's options"
    ):
        export_huggingface(model, tmp_path / "new")


def test_a_label_for_each_patch_has_none_for_the_class():
    with pytest.raises(ConfigError, match="class_token: it has no label of its own"):
        Labeler(**{name: value for name, value in LIKE_VIT.items() if name != "pooling"}).fit([])
