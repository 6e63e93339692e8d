"""Subwords: learned alike every time, and nothing is lost on the way to integers and back."""

import json
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from regard.errors import ConfigError, ModelError
from regard.front_ends import subwords
from regard.front_ends.subwords import KINDS, LONGEST_WORD, Subwords, learn_tokenizer

TEXTS = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog, and a mat!"] * 3
KNOWN = {kind: Subwords.learn(TEXTS, kind=kind, size=400, dim=8) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_learning_twice_gives_the_same(kind):
    """The trainer of the library alone numbers the inner characters of WordPiece in another order every time."""
    first, second = (json.loads(learn_tokenizer(TEXTS, kind=kind, size=80).to_str()) for _ in range(2))
    assert first == second


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Mn"]), max_size=30))
def test_byte_pairs_give_every_text_back(text):
    import unicodedata

    front_end = KNOWN["bpe"]
    assume(not any(name in text for name in front_end.special))  # those are what they say, as [MASK] must be
    assert front_end.text(front_end.tokens(text)) == unicodedata.normalize("NFC", text).removeprefix(" ")


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_cut_as_the_tokenizer_cuts_them(kind):
    front_end = KNOWN[kind]
    whole = Tokenizer.from_str(json.dumps(front_end.vocabulary()["tokenizer"]))
    batch = front_end.encode(TEXTS[:3])
    for text, tokens in zip(TEXTS, batch.tokens.split(batch.offsets.diff().tolist()), strict=False):
        names = [whole.id_to_token(token) for token in tokens.tolist()]
        assert names == ["[CLS]", *whole.encode(text, add_special_tokens=False).tokens, "[SEP]"]
    assert front_end.count(TEXTS[0]) == batch.offsets[1]


def test_subwords_that_are_a_part_of_a_character_are_named_by_it():
    names = KNOWN["bpe"].names("cat é 你 �")
    assert names == ["[CLS]", "cat", "␣", "é⟨1/2⟩", "é⟨2/2⟩", "␣", *(f"你⟨{n}/3⟩" for n in (1, 2, 3)), "␣", *names[10:]]
    assert names[10:] == ["⟨?⟩"] * 3 + ["[SEP]"]
    assert "".join(KNOWN["wordpiece"].names("the cat")) == "[CLS]thecat[SEP]"


@given(st.text(max_size=20))
def test_every_subword_has_a_name(text):
    for front_end in KNOWN.values():
        names = front_end.names(text)
        assert len(names) == front_end.count(text)
        assert all(names)
        assert "\ufffd" not in "".join(names)


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_has_a_first_token(kind):
    """One that the tokenizer drops, as BERT's does control characters, is unknown."""
    front_end = KNOWN[kind]
    sentences = [["the", "dog"], ["\u0007", "unheard", "mat"], []]
    batch = front_end.encode(sentences)
    assert batch.word_offsets.tolist() == [0, 2, 5, 5]
    firsts = [front_end.tokens(word)[:1] or [front_end.special["[UNK]"]] for words in sentences for word in words]
    assert batch.tokens[batch.firsts].tolist() == [first for (first,) in firsts]
    assert [front_end.count(words) for words in sentences] == batch.offsets.diff().tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_is_split_with_nothing_left_out(kind):
    front_end, text = KNOWN[kind], " ".join(f"cat {number} sat" for number in range(60))
    parts = front_end.split(text, 20)
    assert all(front_end.count(part) <= 22 for part in parts)
    place = 0
    for part in parts:
        start = text.index(part)
        assert start <= place
        place = start + len(part)
    assert place == len(text)


def test_a_saved_tokenizer_is_the_same():
    again = Subwords(**json.loads(json.dumps(KNOWN["bpe"].vocabulary())), dim=8)
    assert again.tokens("an unseen catalogue") == KNOWN["bpe"].tokens("an unseen catalogue")


def test_what_is_refused():
    with pytest.raises(ConfigError, match="subword_model must be one of bpe, wordpiece; got 'unigram'"):
        learn_tokenizer(TEXTS, kind="unigram")
    with pytest.raises(ModelError, match="not one of the `tokenizers` library"):
        Subwords({"model": 1}, dim=8)
    bare = Tokenizer.from_str(learn_tokenizer(TEXTS, size=300).to_str().replace("[CLS]", "[BEGIN]"))
    with pytest.raises(ModelError, match=r"it lacks \[CLS\]"):
        Subwords(json.loads(bare.to_str()), dim=8)


@pytest.mark.parametrize("kind", KINDS)
def test_no_part_of_a_long_text_is_longer_than_asked(kind):
    text = " ".join(word[start:] + word for word in " ".join(TEXTS).split() for start in range(len(word))) * 3
    for longest in (8, 20, 64):
        assert max(map(KNOWN[kind].count, KNOWN[kind].split(text, longest))) <= longest


def test_threads_share_what_is_remembered(monkeypatch):
    monkeypatch.setattr("regard.front_ends.subwords.MOST_KNOWN", 3)
    front_end = Subwords.learn(["one two three four five"] * 9, size=300, dim=4)
    texts = [f"one {number} two" for number in range(40)]
    wanted = [front_end.tokens(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [front_end.tokens(text) for text in texts], range(24)):
            assert found == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_that_never_ends_is_learned_from_in_pieces(kind):
    """Its work grows with the square of a word: whole, each of these takes minutes."""
    letters = Random(0)
    dna = ["".join(letters.choices("ACGT", k=100_000)) for _ in "ab"]
    for texts in (dna, ["a" * 200_000], [" " * 200_000 + "a"]):
        front_end = Subwords.learn(texts, kind=kind, size=500, dim=8)
        assert max(map(len, front_end.vocabulary()["tokenizer"]["model"]["vocab"])) <= LONGEST_WORD + 2  # "##"
    if kind == "bpe":
        front_end = Subwords.learn(dna, kind=kind, size=500, dim=8)
        assert front_end.text(front_end.tokens(dna[0])) == dna[0]
        assert front_end.count(dna[0]) < 50_000


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_usual_length_are_learned_from_whole(kind, monkeypatch):
    texts = [*TEXTS, "a" * LONGEST_WORD, "ab" * 40]
    learned = learn_tokenizer(texts, kind=kind, size=200).to_str()
    monkeypatch.setattr(subwords, "LONGEST_WORD", 10**4)
    assert learn_tokenizer(texts, kind=kind, size=200).to_str() == learned
