"""The `subwords` front end: a learned vector for every piece that a tokenizer cuts text into."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any, Self

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn

from regard.errors import ConfigError, ModelError
from regard.front_ends import Options
from regard.front_ends.stored import check_vocabulary
from regard.front_ends.tokenizer import needs_blank, read_tokenizer
from regard.front_ends.tokenizer_rules import check_numbers, check_tokenizer, named_failures
from regard.front_ends.tokens import (
    END,
    MASK,
    SPECIAL,
    START,
    UNKNOWN,
    Joined,
    TokenInputs,
    join_texts,
    join_words,
    special_names,
)
from regard.front_ends.windows import windows
from regard.nn import Dropout
from regard.ragged import Ragged

KINDS = ("bpe", "wordpiece")
CASES = ("none", "lower", "capital", "upper", "mixed")
LONGEST_WORD = 1000  # characters; a longer one is learned from in pieces, for the work grows with their square
CUT = "\ufffd"  # what bytes are decoded as that are no character by themselves
BLANK = "␣"
MOST_PARTS = 16  # subwords that are characters together only
MOST_KNOWN = 200_000  # texts whose tokens are remembered: a stream of new ones must not fill the memory


def learn_tokenizer(texts: Iterable[str], *, kind: str = "bpe", size: int = 8000, lowercase: bool = False) -> Tokenizer:
    """A tokenizer of at most ``size`` pieces, made of the training texts.

    "bpe" joins bytes, so that it knows every text and gives it back as it was (Sennrich, Haddow and Birch 2016);
    "wordpiece" joins characters within words, as BERT does (Schuster and Nakajima 2012). A word of more than
    ``LONGEST_WORD`` characters, as DNA is one, is learned from as if it were cut after so many.

    Raises:
        ConfigError: any other ``kind``.
    """
    if kind not in KINDS:
        raise ConfigError(f"subword_model must be one of {', '.join(KINDS)}; got {kind!r}")
    return _learn_bpe(texts, size, lowercase) if kind == "bpe" else _learn_wordpiece(texts, size, lowercase)


def _learn_bpe(texts: Iterable[str], size: int, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC()] + [normalizers.Lowercase()] * lowercase)
    words = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.pre_tokenizer = _in_pieces(words)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=_special_tokens(), initial_alphabet=alphabet, show_progress=False
    )
    in_a_thread(lambda: tokenizer.train_from_iterator(texts, trainer))
    tokenizer.pre_tokenizer = words
    return tokenizer


def _in_pieces(words: pre_tokenizers.PreTokenizer) -> pre_tokenizers.PreTokenizer:
    pieces = pre_tokenizers.Split(Regex(rf"[\s\S]{{{LONGEST_WORD}}}"), "isolated")
    return pre_tokenizers.Sequence([words, pieces])


def in_a_thread(work: Callable[[], object]) -> None:
    """Lets a library work for long where Ctrl-C does not wait for it: while the main thread is inside of it, it would.

    What was begun goes on by itself, unless the process ends.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _special_tokens(names: Iterable[str] = SPECIAL, mask: str = MASK) -> list[AddedToken]:
    """The blank before a mask is its own: most pieces begin with one, and so does what is guessed in its place."""
    return [AddedToken(name, special=True, normalized=False, lstrip=name == mask) for name in names]


def _learn_wordpiece(texts: Iterable[str], size: int, lowercase: bool) -> Tokenizer:
    def with_model(model: models.WordPiece) -> Tokenizer:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        return tokenizer

    learning = with_model(models.WordPiece(unk_token=UNKNOWN))
    learning.pre_tokenizer = _in_pieces(learning.pre_tokenizer)
    # The trainer numbers inner characters in an order that differs from run to run, and equally good pieces go by that
    # number. Named beforehand, they have one order.
    counts = Counter(chain.from_iterable(map(learning.normalizer.normalize_str, texts)))
    alphabet = sorted(character for character, count in counts.items() if count > 1 and not character.isspace())
    inner = ["##" + character for character in alphabet]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    in_a_thread(lambda: learning.train_from_iterator(texts, trainer))
    tokenizer = with_model(models.WordPiece(learning.get_vocab(), unk_token=UNKNOWN))
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


class Subwords(nn.Module):
    """Text → vectors ``[T, dim]``, one for each subword, one for its start and one for its end.

    Words of a sentence are cut one by one, so that each has a first subword.

    Arguments:
        tokenizer: as the JSON of a `tokenizers.Tokenizer` with the special tokens [UNK], [CLS] and [SEP], or <unk>, <s>
            and </s>.
        dim: width of the vectors out.
        dropout: on the vectors out.
        case: whether a vector for how a subword was written (lower, Capital, UPPER, miXed) is added; it starts as 0.

    Raises:
        ModelError: it is none, or lacks a special token.
    """

    def __init__(self, tokenizer: dict[str, Any], *, dim: int, dropout: float = 0.0, case: bool = False) -> None:
        super().__init__()
        check_tokenizer(tokenizer)
        with named_failures():
            self.tokenizer = Tokenizer.from_str(json.dumps(tokenizer))
        check_numbers(self.tokenizer.get_vocab())
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        names = special_names(self.tokenizer.get_vocab())
        rows = {name: self.tokenizer.token_to_id(theirs) for name, theirs in names.items()}
        self.special = {name: row for name, row in rows.items() if row is not None}
        missing = [name for name in (UNKNOWN, START, END) if name not in self.special]
        if missing:
            raise ModelError(f"tokenizer: it lacks {', '.join(missing)}; only one with BERT's special tokens is taken")
        self.blank = names[MASK]
        self._before_word = " " if needs_blank(tokenizer, names) else ""
        self._known: dict[str, list[int]] = {}  # texts met so far
        self.embedding = nn.Embedding(1 + max(self.tokenizer.get_vocab().values()), dim)
        self.case = nn.Embedding(len(CASES), dim) if case else None
        if self.case is not None:
            nn.init.zeros_(self.case.weight)
        self.dropout = Dropout(dropout)

    @classmethod
    def learn(
        cls, texts: Iterable[str], *, kind: str = "bpe", size: int = 8000, lowercase: bool = False, **options: Any
    ) -> Self:
        """With a tokenizer made of the training texts; see :func:`learn_tokenizer`."""
        tokenizer = learn_tokenizer(texts, kind=kind, size=size, lowercase=lowercase)
        return cls(json.loads(tokenizer.to_str()), **options)

    @classmethod
    def of(cls, tokenizer: Tokenizer, **options: Any) -> Self:
        """With a tokenizer that there is; special tokens that it lacks come last in the table."""
        known = tokenizer.get_vocab()
        names = special_names(known)
        special = _special_tokens(names.values(), names[MASK])
        tokenizer.add_special_tokens([token for token in special if token.content not in known])
        return cls(json.loads(tokenizer.to_str()), **options)

    def vocabulary(self) -> dict[str, Any]:
        """What :meth:`__init__` needs to cut text in the same way again, ready for JSON."""
        return {"tokenizer": json.loads(self.tokenizer.to_str())}

    def tokens(self, text: str) -> list[int]:
        """Rows of the table for a text."""
        known = self._known.get(text)
        return self._remember([text])[text] if known is None else known

    def text(self, tokens: Iterable[int]) -> str:
        """The text that tokens stand for; special ones are left out."""
        with named_failures():
            return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True)).removeprefix(" ")

    def word_numbers(self, text: str) -> list[int]:
        """For each subword of a text which word it belongs to."""
        return [int(word or 0) for word in self._cut(text).word_ids]

    def count(self, sequence: str | Sequence[str]) -> int:
        """How many vectors a text becomes."""
        if isinstance(sequence, str):
            return 2 + len(self.tokens(sequence))
        return 2 + sum(max(1, len(self.tokens(self._before_word + word))) for word in sequence)

    def split(self, text: str, longest: int) -> list[str]:
        """Overlapping parts of at most so many vectors: a word that is cut may give more pieces than it had."""
        places = self._cut(text).offsets
        for most in range(max(1, longest - 2), 0, -1):
            spans = windows(len(places), most)
            parts = [text[places[start][0] : places[stop - 1][1]] if stop else text for start, stop in spans]
            if max(map(self.count, parts)) <= longest:
                break
        return parts

    def names(self, sequence: str | Sequence[str]) -> list[str]:
        """What each vector of a text stands for; where one is a part of a character, as in "é⟨1/2⟩", which."""
        special, names = set(self.special.values()), list[str]()
        rows = self.encode([sequence]).tokens.tolist()
        while len(names) < len(rows):
            left = rows[len(names) :]
            names += [str(self.tokenizer.id_to_token(left[0]))] if left[0] in special else self._shown(left)
        return names

    def _shown(self, rows: list[int]) -> list[str]:
        """The names of the first subwords: of one, or of so many bytes that they are characters together."""
        for count in range(1, 1 + min(MOST_PARTS, len(rows))):
            text = self.text(rows[:count])
            if CUT not in text:
                return [text or BLANK] if count == 1 else [f"{text}⟨{part}/{count}⟩" for part in range(1, count + 1)]
        return [self.text(rows[:1]).replace(CUT, "⟨?⟩")]

    def encode(self, sequences: Sequence[str | Sequence[str]]) -> TokenInputs:
        """Texts, or sentences of words, as integers, on the CPU."""
        start, end = self.special[START], self.special[END]
        if any(isinstance(sequence, str) for sequence in sequences):
            self._remember([str(text) for text in sequences if text not in self._known])
            joined = join_texts([self.tokens(str(text)) for text in sequences], start, end)
            cases = [self._cases_of_text(str(text)) for text in sequences] if self.case is not None else None
            return joined if cases is None else replace(joined, cases=_between(cases))
        as_cut = [[self._before_word + word for word in words] for words in sequences]
        self._remember(list({word for words in as_cut for word in words if word not in self._known}))
        unknown = [self.special[UNKNOWN]]  # of a word that the tokenizer drops, as BERT's does control characters
        sentences = [[self.tokens(word) or unknown for word in words] for words in as_cut]
        joined = join_words(sentences, start, end)
        if self.case is None:
            return joined
        cases = [
            [case_of(word) for word, pieces in zip(words, cut, strict=True) for _ in pieces]
            for words, cut in zip(sequences, sentences, strict=True)
        ]
        return replace(joined, cases=_between(cases))

    def _cases_of_text(self, text: str) -> list[int]:
        places = self._cut(text).offsets
        return [case_of(text[start:stop]) for start, stop in places]

    def _cut(self, text: str) -> Any:
        """The pieces of a text, with their places."""
        with named_failures():
            return self.tokenizer.encode_batch([text], add_special_tokens=False)[0]

    def _remember(self, texts: list[str]) -> dict[str, list[int]]:
        """The rows of texts that are new; another thread may forget them at once."""
        if len(self._known) + len(texts) > MOST_KNOWN:
            self._known.clear()
        with named_failures():
            cut = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False) if texts else []
        new = {text: encoding.ids for text, encoding in zip(texts, cut, strict=True)}
        self._known.update(new)
        return new

    def forward(self, inputs: TokenInputs) -> Ragged:
        """``[T, dim]``, a vector for each token."""
        vectors = self.embedding(inputs.tokens)
        if self.case is not None:
            vectors = vectors + self.case(inputs.cases)
        return Ragged(self.dropout(vectors), inputs.offsets)


def case_of(text: str) -> int:
    """How a word is written, as a place in `CASES`.

    >>> [CASES[case_of(word)] for word in ("the", "The", "THE", "iPhone", "42")]
    ['lower', 'capital', 'upper', 'mixed', 'lower']
    """
    letters = text.strip()
    if letters == letters.lower():
        return CASES.index("lower")
    if letters == letters.upper() and len(letters) > 1:
        return CASES.index("upper")
    return CASES.index("capital" if letters == letters.capitalize() else "mixed")


def _between(cases: Sequence[Sequence[int]]) -> Tensor:
    """Cases of all tokens, those of start and end too."""
    none = CASES.index("none")
    return torch.tensor([case for text in cases for case in (none, *text, none)], dtype=torch.int64)


def learn(texts: Iterable[str | Sequence[str]], options: Options) -> Subwords:
    """With the tokenizer that is given, else with one made of the training texts, or of sentences of words."""
    sizes: dict[str, Any] = {"dim": options.dim, "dropout": options.dropout, "case": options.case}
    if options.tokenizer is not None:
        return Subwords.of(read_tokenizer(Path(options.tokenizer)), **sizes)
    joined = Joined(texts)
    return Subwords.learn(
        joined, kind=options.subword_model, size=options.subwords, lowercase=options.lowercase, **sizes
    )


def restore(vocabulary: dict[str, Any], options: Options) -> Subwords:
    """With the tokenizer of an earlier one."""
    check_vocabulary(vocabulary, tokenizer=("an object", lambda tokenizer: isinstance(tokenizer, dict)))
    return Subwords(**vocabulary, dim=options.dim, dropout=options.dropout, case=options.case)
