"""Characters, and symbols between blanks."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import ConfigError
from regard.front_ends.symbols import Symbols
from regard.front_ends.windows import windows


def test_characters_of_a_text_and_of_words():
    front_end = Symbols.learn(["abba", "ab b"], unit="character", dim=4)
    assert front_end.units == ["a", "b"]
    batch = front_end.encode(["ab c"])
    assert batch.tokens.tolist() == [2, 5, 6, 1, 1, 3]
    assert front_end.text(batch.tokens.tolist()) == "ab"
    words = front_end.encode([["ab", "c"], ["b"]])
    assert words.firsts.tolist() == [1, 4, 8]
    assert front_end.names(["ab", "b"]) == ["[CLS]", "a", "b", "[UNK]", "b", "[UNK]", "[SEP]"]


def test_symbols_come_back_with_a_blank_between():
    front_end = Symbols.learn(["K AE T"] * 2, unit="symbol", dim=4)
    tokens = front_end.tokens("T AE K")
    assert front_end.text(tokens) == "T AE K"
    assert front_end.count("T AE K") == 5


@given(st.text(st.characters(codec="utf-8")))
def test_known_characters_come_back(text):
    front_end = Symbols.learn([text, text], unit="character", dim=4)
    assert front_end.text(front_end.tokens(text)) == text


def test_lower_case_and_what_is_saved():
    front_end = Symbols.learn(["Ab", "aB"], unit="character", lowercase=True, dim=4)
    again = Symbols(**json.loads(json.dumps(front_end.vocabulary())), dim=4)
    assert again.tokens("AB") == front_end.tokens("ab") == [5, 6]
    with pytest.raises(ConfigError, match="unit must be one of character, symbol; got 'byte'"):
        Symbols([], unit="byte", dim=4)


@given(st.integers(0, 400), st.integers(1, 60))
def test_windows_cover_everything_and_are_no_longer_than_allowed(length, longest):
    parts = windows(length, longest)
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(stop - start <= longest for start, stop in parts)
    assert all(later[0] <= earlier[1] for earlier, later in pairwise(parts))
    assert len({stop - start for start, stop in parts}) == 1
