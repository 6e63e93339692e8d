import pytest
import torch

from regard.front_ends.words import LONGEST_WORD, UNKNOWN, Words, word_parts

SENTENCES = [["The", "dog", "barks", "."], ["The", "dogs", "bark", "."], ["A", "dog", "."]]


@pytest.fixture
def words():
    torch.manual_seed(0)
    return Words.from_sentences(SENTENCES, dim=32, min_count=1)


def test_each_word_keeps_its_place_whatever_stands_beside_it(words):
    words.eval()
    together = words(words.encode(SENTENCES))
    for sentence, vectors in zip(SENTENCES, together.unbind(), strict=True):
        alone = words(words.encode([sentence])).values
        torch.testing.assert_close(vectors, alone)
    the, _, _, stop = together.unbind()[0]
    assert torch.equal(the, together.unbind()[1][0])
    assert torch.equal(stop, together.unbind()[2][2])


def test_features_seen_too_rarely_share_the_unknown_row():
    words = Words.from_sentences(SENTENCES, dim=8, min_count=2)
    known = words.encode([["dog", "zebra"]]).features
    assert UNKNOWN not in known[0].tolist()
    assert known[1, 0] == UNKNOWN
    assert "w:dog" in words.feature_counts
    assert "w:barks" not in words.feature_counts


def test_rare_features_are_dropped_in_training_only(words):
    inputs = words.encode(SENTENCES)
    words.eval()
    assert torch.equal(words(inputs).values, words(inputs).values)
    words.train()
    torch.manual_seed(1)
    first = words(inputs).values
    torch.manual_seed(2)
    assert not torch.equal(first, words(inputs).values)


def test_the_vocabulary_builds_the_same_front_end_again(words):
    again = Words(**words.vocabulary(), dim=32)
    again.load_state_dict(words.state_dict())
    words.eval(), again.eval()
    assert torch.equal(words(words.encode(SENTENCES)).values, again(again.encode(SENTENCES)).values)


def test_empty_sentences_empty_words_and_endless_words(words):
    words.eval()
    batch = words(words.encode([[], ["", "x" * 10_000], []]))
    assert batch.lengths.tolist() == [0, 2, 0]
    assert torch.isfinite(batch.values).all()
    assert len(words.encode([["y" * 10_000]]).characters) == LONGEST_WORD


def test_parts_of_one_kind_are_not_mistaken_for_another():
    parts = word_parts("ed")
    assert len(set(parts)) == len(parts)
