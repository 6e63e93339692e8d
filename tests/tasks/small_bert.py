"""Small random BERTs of `transformers`, and ours with the same weights."""

import json

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from regard import Ragged
from regard.formats.huggingface.write import write_bert
from regard.front_ends.subwords import Subwords
from regard.tasks.fitting import make_encoder
from regard.tasks.label.options import LabelConfig
from regard.training.config import make_config

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = (*"abcdeghilnorstuwzABEé中文.,!😀", "the", "The", "dog", "bark", "##s", "##ing", "##er")
VOCABULARY = (*SPECIAL, *PIECES)
TEXTS = ["The dog barks.", "", "a", "The dogs barked, barking dogs bark!", "zzz the 中文 dog"]
SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 40,
}
ODD_TEXTS = [
    *TEXTS,
    " ",
    "ÉTÉ été e\u0301te\u0301 Ångström naïve",
    "中文dog中 日本語 한국어",
    "😀dog👩‍👩‍👧 ☃️",
    "a\x00b\tc\nd\x7f\u200b\ufeff\u2028e\u00a0f\ufffd",
    "[MASK] [mask] [CLS]dog[SEP] [UNK]",
    "dogs!!! don't $5.00 a_b x" + "z" * 120,
    "İstanbul ıIiİ ß ﬁ Ǆ",
]
LIKE_BERT = {
    "front_end": "subwords",
    "subword_model": "wordpiece",
    "dim": 12,
    "depth": 2,
    "heads": 3,
    "feed_forward_dim": 20,
    "positions": "learned",
    "position_reach": 40,
    "norm": "post",
    "norm_eps": 1e-12,
    "embedding_norm": True,
    "activation": "gelu",
}


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def scramble(module):
    """Weights that are all away from where they start."""
    torch.manual_seed(7)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def save_bert(folder, kind, settings=None, **config):
    """A random one of the class ``kind`` in a folder, with its tokenizer."""
    from transformers import BertConfig

    theirs = scramble(kind(BertConfig(**(SIZES | config))))
    theirs.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return theirs


def change_config(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


def change_tensors(folder, change):
    """``change`` gets the tensors by name, and returns others or alters them."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors = change(tensors) or tensors
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})


def build(bert):
    """Our front end and encoder with what was read."""
    config = make_config(LabelConfig, bert.options)
    front_end, encoder = Subwords(bert.tokenizer, dim=config.of_part("front_end").dim), make_encoder(config)
    front_end.load_state_dict({"embedding.weight": bert.embedding})
    encoder.load_state_dict(bert.encoder)
    return front_end.eval(), encoder.eval()


def hidden(front_end, encoder, texts):
    """``[T, E]``, texts laid end to end."""
    vectors: Ragged = encoder(front_end(front_end.encode(texts)))
    return vectors.values


def their_tokens(folder, texts, **options):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt", **options)


def their_hidden(encoder, tokens):
    """The same of theirs, which pads."""
    return encoder(**tokens).last_hidden_state[tokens["attention_mask"].bool()]


def write_whole(kind, folder, tokenizer, front_end, encoder, options=LIKE_BERT, **parts):
    write_bert(
        folder,
        kind=kind,
        options=make_config(LabelConfig, options).model_dump(),
        tokenizer=tokenizer,
        embedding=front_end.embedding.weight,
        encoder=encoder.state_dict(),
        **parts,
    )
