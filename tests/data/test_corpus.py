"""Raw text from anywhere in a file."""

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regard import DataError
from regard.data import Corpus, read_texts

LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0\ufeff"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, min_size=1, max_size=8), mark=st.booleans(), ended=st.booleans(), windows=st.booleans())
def test_every_line_is_found_where_it_stands(tmp_path, lines, mark, ended, windows):
    end = "\r\n" if windows else "\n"
    path = tmp_path / "raw.txt"
    path.write_bytes(("\ufeff" * mark + end.join(lines) + end * ended).encode())
    wanted = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not wanted:
        with pytest.raises(DataError, match="expected lines of text, found an empty file"):
            Corpus(path)
        return
    corpus = Corpus(path)
    assert [(example.line, example.items) for example in corpus] == wanted
    assert [corpus[place].items for place in reversed(range(len(corpus)))] == [line for _, line in reversed(wanted)]
    assert [example.items for example in corpus[:2]] == [line for _, line in wanted[:2]]


def test_what_is_refused(tmp_path):
    (tmp_path / "raw.txt.gz").write_bytes(gzip.compress(b"a\n"))
    with pytest.raises(DataError, match=r"raw\.txt\.gz: expected plain text, .* found gzip; unpack it first"):
        Corpus(tmp_path / "raw.txt.gz")
    (tmp_path / "raw.txt").write_bytes(b"fine\n\xff\n")
    with pytest.raises(DataError, match=r"raw\.txt:2: expected UTF-8 text, found byte 0xff"):
        Corpus(tmp_path / "raw.txt")
    with pytest.raises(DataError, match=r"example 2: expected a text \(str\), found 7 \(int\)"):
        read_texts(["a", 7])
    with pytest.raises(DataError, match="expected at least one text, found none"):
        read_texts([])
