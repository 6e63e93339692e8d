"""Recording models of `transformers`: their own weights, and outputs that stay what they are."""

import pytest
import torch
import transformers as hf

import regard

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 20}
TEXT = SIZES | {"vocab_size": 30, "pad_token_id": 0}
IDS = torch.arange(1, 17).view(2, 8) % 30
MASK = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
TEXTS = {"input_ids": IDS, "attention_mask": MASK}
CONV = {"conv_dim": (8, 8), "conv_kernel": (4, 3), "conv_stride": (2, 2), "num_feat_extract_layers": 2}
CONV |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "feat_extract_norm": "layer"}
SOUND = {"input_values": torch.sin(torch.arange(120.0)).view(2, 60)}
PAIR = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "vocab_size": 30}
PAIR |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "max_position_embeddings": 32}
PAIR |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
T5 = {"d_model": 16, "d_kv": 4, "d_ff": 20, "num_layers": 2, "num_heads": 4, "vocab_size": 30, "pad_token_id": 0}

# What is built, what it is given, the name of its first attention.
MODELS = {
    "bert": (lambda: hf.BertModel(hf.BertConfig(**TEXT)), TEXTS, "encoder.layer.0.attention.self"),
    "roberta": (lambda: hf.RobertaModel(hf.RobertaConfig(**TEXT)), TEXTS, "encoder.layer.0.attention.self"),
    "distilbert": (
        lambda: hf.DistilBertModel(hf.DistilBertConfig(vocab_size=30, dim=16, n_layers=2, n_heads=4, hidden_dim=20)),
        TEXTS,
        "transformer.layer.0.attention",
    ),
    "albert": (
        lambda: hf.AlbertModel(hf.AlbertConfig(**TEXT, embedding_size=8)),
        TEXTS,
        "encoder.albert_layer_groups.0.albert_layers.0.attention",
    ),
    "gpt2": (
        lambda: hf.GPT2Model(hf.GPT2Config(vocab_size=30, n_embd=16, n_layer=2, n_head=4, n_positions=32)),
        TEXTS,
        "h.0.attn",
    ),
    "llama": (lambda: hf.LlamaModel(hf.LlamaConfig(**TEXT, num_key_value_heads=2)), TEXTS, "layers.0.self_attn"),
    "vit": (
        lambda: hf.ViTModel(hf.ViTConfig(**SIZES, image_size=8, patch_size=4)),
        {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 64).view(2, 3, 8, 8)},
        None,
    ),
    "wav2vec2": (lambda: hf.Wav2Vec2Model(hf.Wav2Vec2Config(**SIZES, **CONV)), SOUND, "encoder.layers.0.attention"),
}


def flat(output):
    return [x for x in output.to_tuple() if isinstance(x, torch.Tensor)]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", MODELS)
def test_weights_are_those_of_the_library(name, implementation):
    build, inputs, first = MODELS[name]
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        model.set_attn_implementation("eager")
        wanted = model(**inputs, output_attentions=True).attentions
        model.set_attn_implementation(implementation)
        plain = flat(model(**inputs))
        with regard.record(model, example=1) as recording:
            recorded = flat(model(**inputs))
    assert all(map(torch.equal, plain, recorded))
    assert [layer.role for layer in recording] == ["attention"] * 2
    assert first is None or recording[0].name == first
    length = 5 if "attention_mask" in inputs else wanted[0].shape[-1]
    for layer, theirs in zip(recording, wanted, strict=True):
        ours = layer.weights.dense()
        torch.testing.assert_close(ours, theirs[1:2, :, :length, :length], rtol=0, atol=1e-6)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("build", [lambda: hf.BartModel(hf.BartConfig(**PAIR)), lambda: hf.T5Model(hf.T5Config(**T5))])
def test_encoder_decoder_and_what_one_reads_of_the_other(build, implementation):
    torch.manual_seed(0)
    model = build().eval()
    inputs = TEXTS | {"decoder_input_ids": torch.tensor([[2, 5, 7], [2, 9, 3]])}
    with torch.no_grad():
        model.set_attn_implementation("eager")
        wanted = model(**inputs, output_attentions=True)
        model.set_attn_implementation(implementation)
        with regard.record(model, example=1) as recording:
            model(**inputs)
    stacks = (
        (recording.within("encoder"), wanted.encoder_attentions, 5),
        (recording.within("decoder").of_role("attention"), wanted.decoder_attentions, 3),
        (recording.of_role("cross_attention"), wanted.cross_attentions, 5),
    )
    assert len(recording) == 6
    for layers, theirs, keys in stacks:
        for ours, other in zip(layers, theirs, strict=True):
            other = other[1:2, ..., :keys]
            found = ours.weights.dense()
            torch.testing.assert_close(found, other[:, :, : found.shape[2]], rtol=0, atol=1e-6)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_text_that_is_written_word_by_word_is_one_run(implementation):
    """As many rows as one pass over all of it has."""
    torch.manual_seed(0)
    config = hf.GPT2Config(vocab_size=30, n_embd=16, n_layer=2, n_head=4, n_positions=32, bos_token_id=1)
    model = hf.GPT2LMHeadModel(config).eval()
    model.set_attn_implementation(implementation)
    prompt = torch.tensor([[0, 0, 5, 6], [3, 4, 5, 6]])  # padded on the left
    mask = (prompt > 0).long()
    with torch.no_grad():
        with regard.record(model) as recording:
            written = model.generate(
                prompt, attention_mask=mask, max_new_tokens=5, min_new_tokens=5, do_sample=False, pad_token_id=0
            )
        model.set_attn_implementation("eager")
        alone = model(written[:1, 2:], output_attentions=True).attentions
    assert len(recording.runs) == 1
    for layer, theirs in zip(recording, alone, strict=True):
        assert layer.weights.values.shape == (1, 4, 6, 6)  # of what was written last nobody asked yet
        torch.testing.assert_close(layer.weights.dense(), theirs[:, :, :6, :6], rtol=0, atol=1e-6)


def test_a_pair_that_is_written_word_by_word_is_one_run():
    torch.manual_seed(0)
    model = hf.BartForConditionalGeneration(hf.BartConfig(**PAIR)).eval()
    with torch.no_grad(), regard.record(model) as recording:
        model.generate(IDS, num_beams=1, do_sample=False, max_new_tokens=4, min_new_tokens=4)
        model.generate(IDS, num_beams=1, do_sample=False, max_new_tokens=2, min_new_tokens=2)
    assert [len(run) for run in recording.runs] == [6, 6]
    first = recording.runs[0]
    assert [layer.weights.values.shape[1:] for layer in first[2:]] == [(4, 4, 4), (4, 4, 8)] * 2
    assert [layer.weights.values.shape[2] for layer in recording] == [8, 8, 2, 2, 2, 2]


def test_a_kernel_that_gives_no_weights_says_what_to_do(monkeypatch):
    """A stand-in for flash attention, which needs a GPU."""

    def flash(module, query, key, value, mask, **options):
        return value.transpose(1, 2), None

    known = hf.modeling_utils.ALL_ATTENTION_FUNCTIONS._global_mapping
    monkeypatch.setitem(known, "flash_stand_in", flash)
    model = hf.BertModel(hf.BertConfig(**TEXT)).eval()
    model.config._attn_implementation = "flash_stand_in"
    with torch.no_grad(), regard.record(model) as recording:
        model(IDS)
    assert [layer.name for layer in recording] == [f"encoder.layer.{number}.attention.self" for number in (0, 1)]
    assert all(layer.weights is None and 'attn_implementation="sdpa"' in layer.why for layer in recording)
