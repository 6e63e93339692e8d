"""Small random encoders of `transformers` that are nearly BERT, with the tokenizers that they come with."""

import json

import transformers
from small_bert import SIZES, VOCABULARY, scramble
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "The dog barks.",
    "The dogs barked, barking dogs bark!",
    "zzz the 中文 dog",
    "it's a naïve café, isn't it?",
] * 3
ROBERTAS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
MASK = AddedToken("<mask>", lstrip=True, special=True, normalized=False)


def byte_pairs():
    """The parts of RoBERTa's tokenizer: tokens by number, pairs."""
    learning = Tokenizer(models.BPE())
    learning.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[*ROBERTAS], initial_alphabet=alphabet, show_progress=False
    )
    learning.train_from_iterator(CORPUS, trainer)
    model = json.loads(learning.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def pieces():
    """Those of XLM-RoBERTa's: tokens with their scores, of SentencePiece's kind."""
    learning = Tokenizer(models.Unigram())
    learning.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    learning.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=[*ROBERTAS[:4]], unk_token="<unk>", show_progress=False
    )
    learning.train_from_iterator(CORPUS, trainer)
    found = [tuple(piece) for piece in json.loads(learning.to_str())["model"]["vocab"]]
    return [*sorted(found[:4], key=lambda piece: ROBERTAS.index(piece[0])), *found[4:], ("<mask>", 0.0)]


def save_tokenizer(folder, name):
    """As `transformers` saves that of an architecture; gives how many tokens it has."""
    if name == "roberta":
        vocabulary, merges = byte_pairs()
        theirs = transformers.RobertaTokenizer(vocab=vocabulary, merges=merges)
    elif name in ("xlm-roberta", "camembert"):
        theirs = transformers.XLMRobertaTokenizer(vocab=pieces())
    else:
        (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
        return len(VOCABULARY)
    theirs.save_pretrained(folder)
    return len(theirs)


CLASSES = {
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "camembert": "Camembert",
    "distilbert": "DistilBert",
    "electra": "Electra",
}
OWN = {  # of their settings
    **{name: {"type_vocab_size": 1} for name in ("roberta", "xlm-roberta", "camembert")},
    "distilbert": {"dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20, "max_position_embeddings": 40},
    "electra": {"embedding_size": 8},
}


def save_kin(folder, name, kind="Model", **config):
    """A random one in a folder, with its tokenizer."""
    folder.mkdir(exist_ok=True)
    tokens = save_tokenizer(folder, name)
    own = {"max_position_embeddings": 40} if name == "distilbert" else SIZES
    settings = own | OWN[name] | {"vocab_size": tokens} | config
    theirs = getattr(transformers, CLASSES[name] + kind)
    scrambled = scramble(theirs(getattr(transformers, f"{CLASSES[name]}Config")(**settings)))
    scrambled.save_pretrained(folder)
    return scrambled
