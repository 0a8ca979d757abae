"""Tokens by distinct words are those of the tokenizer itself, text by text."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest
from lakerec.config import EncoderConfig
from lakerec.language import words
from lakerec.language.chunker import Chunker
from lakerec.language.encoder import Encoder
from lakerec.language.files import resolve_model
from lakerec.language.tokens import load_tokenizer
from lakerec.language.words import WordTokenizer, by_words
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

LONGEST = 16
ODD = [
    "", "   ", "a", "Hello, World!", "naïve café ÉCOLE", "中文 字符abc,def", "a\x0bb \x7f c\x00d", "İstanbul ΣΑΣ ß",
    "a" * 150, "e\u0301 \u0301b", "“quoted”—dash…", "\u2003em\u00a0nbsp", "1" * 600, "字" * 100, "\ufffd x\u200bz", "🎬🎥 x",
    "word " * 300, "x\ty\r\nz", "don't stop_now a.b.c", "\u1680x\u2028y", "[not a mark] [ SEP ]", "ǅ ﬁ ① ½",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(resolve_model("minilm"), LONGEST)


@pytest.fixture(scope="module")
def random_texts():
    random = Random(1)
    letters = [chr(code) for code in range(128)] * 3
    letters += [chr(random.randrange(0x80, 0xD7FF)) for _ in range(400)]
    letters += [chr(random.randrange(0xE000, 0x1FFFF)) for _ in range(200)]
    return ["".join(random.choices(letters, k=random.randrange(120))) for _ in range(2_000)]


def by_itself(tokenizer, texts, cut):
    """(row, ids) of each chunk."""
    found = []
    for row, encoding in enumerate(tokenizer.encode_batch(texts)):
        found += [(row, part.ids) for part in (encoding, *([] if cut else encoding.overflowing))]
    return found


def by_distinct_words(tokenizer, texts, cut):
    chunks, owner, left = tokenizer.encode(texts, LONGEST, cut)
    assert (np.diff(owner) >= 0).all()
    return in_order(chunks, owner), left.tolist()


def in_order(chunks, owner):
    """(row, ids) of each chunk, by rows."""
    ids = np.split(chunks.ids, chunks.starts[1:])
    return [(int(owner[place]), ids[place].tolist()) for place in np.argsort(owner, kind="stable")]


@pytest.mark.parametrize("cut", [False, True], ids=["in chunks", "cut"])
def test_tokens_are_those_of_the_tokenizer(tokenizer, random_texts, cut):
    texts = ODD + random_texts
    assert by_words(tokenizer)
    assert by_distinct_words(WordTokenizer(tokenizer), texts, cut) == (by_itself(tokenizer, texts, cut), [])


def test_small_letters_are_made_where_the_tokenizer_makes_them():
    vocabulary = {
        word: place for place, word in enumerate(["[UNK]", "[CLS]", "[SEP]", "Lamp", "lamp", "##s", "é", "É", ","])
    }
    cased = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    cased.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    cased.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cased.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    cased.enable_truncation(LONGEST)
    assert by_words(cased)
    assert by_distinct_words(WordTokenizer(cased), ["Lamps,lamp É"], False) == ([(0, [1, 3, 5, 8, 4, 7, 2])], [])


def test_what_is_no_text_and_what_holds_the_tokenizers_own_tokens_is_left(tokenizer):
    texts = ["a", None, "b [SEP] c", "x[MASK]", "d", "e [SEP][SEP]", "[sep]"]
    found, left = by_distinct_words(WordTokenizer(tokenizer), texts, False)
    assert left == [1, 2, 3, 5]
    kept = [text if row not in left else "" for row, text in enumerate(texts)]
    assert found == [(row, ids) for row, ids in by_itself(tokenizer, kept, False) if row not in left]
    with pytest.raises((TypeError, ValueError)):
        WordTokenizer(tokenizer).encode(["a", 3], LONGEST, False)


def test_no_words_are_remembered_beyond_what_memory_is_given_to_them(tokenizer, random_texts, monkeypatch):
    monkeypatch.setattr(words, "REMEMBERED", 10_000)
    short, whole = WordTokenizer(tokenizer), by_itself(tokenizer, random_texts[:300], False)
    parts = [by_distinct_words(short, random_texts[row : row + 1], False)[0] for row in range(300)]
    assert [ids for part in parts for _, ids in part] == [ids for _, ids in whole]
    assert len(short.places) < 10_000 / words.WORD + max(map(len, random_texts))
    by_distinct_words(short, ["x" * 20_000, "\u200b"], False)
    assert short.size > 10_000 and len(short.pieces.ids) < 2_000, (
        "long words of one piece, and words of none, take memory too"
    )


def test_threads_share_what_is_remembered(tokenizer, random_texts, monkeypatch):
    monkeypatch.setattr(words, "REMEMBERED", 100_000)
    shared, parts = WordTokenizer(tokenizer), [random_texts[start : start + 50] for start in range(0, 2_000, 50)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: by_distinct_words(shared, part, False)[0], parts))
    assert found == [by_itself(tokenizer, part, False) for part in parts]


def test_other_tokenizers_are_none_whose_words_stand_alone(tokenizer):
    bytewise = Tokenizer(models.BPE())
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert not by_words(bytewise)
    other = Tokenizer.from_str(tokenizer.to_str())
    other.add_tokens(["new york"])
    assert not by_words(other), "its added token is looked for in the text as it is after lowering"
    for template in ("$A", "[CLS] $A [SEP] $A", "[CLS]"):
        other = Tokenizer.from_str(tokenizer.to_str())
        other.post_processor = processors.TemplateProcessing(template, special_tokens=[("[CLS]", 101), ("[SEP]", 102)])
        assert not by_words(other), template
    other.post_processor = None
    assert not by_words(other)


def test_marks_are_those_of_the_template_whatever_their_ids(tokenizer):
    other = Tokenizer.from_str(tokenizer.to_str())
    mark = {"id": "[X]", "ids": [101, 1037, 103], "tokens": ["[CLS]", "a", "[MASK]"]}
    other.post_processor = processors.TemplateProcessing("[X] $A [SEP]", special_tokens=[mark, ("[SEP]", 102)])
    texts = ["a b", "", "word " * 30]
    assert by_words(other) and by_distinct_words(WordTokenizer(other), texts, False) == (by_itself(other, texts, False), [])


def test_a_word_that_is_an_added_token_once_it_is_lowered_is_a_word(tokenizer):
    other = Tokenizer.from_str(tokenizer.to_str())
    other.add_special_tokens([AddedToken("lamp", normalized=False, special=True)])
    texts = ["LAMPé", "Lamp", "Lamp\x00"]
    assert by_words(other) and by_distinct_words(WordTokenizer(other), texts, False) == (by_itself(other, texts, False), [])
    assert by_distinct_words(WordTokenizer(other), ["a lamp"], False) == ([], [0])


def test_what_is_remembered_stays_right_when_a_call_fails(tokenizer, monkeypatch):
    kept, cut = WordTokenizer(tokenizer), WordTokenizer._cut
    by_distinct_words(kept, ["red"], False)

    def stopped(self, word):
        if word == "lamp":
            raise KeyboardInterrupt
        return cut(self, word)

    monkeypatch.setattr(WordTokenizer, "_cut", stopped)
    with pytest.raises(KeyboardInterrupt):
        by_distinct_words(kept, ["new old lamp"], False)
    monkeypatch.undo()
    texts = ["lamp old", "red new"]
    assert by_distinct_words(kept, texts, False) == (by_itself(tokenizer, texts, False), [])


def test_an_encoder_tokenizes_the_same_with_and_without_words(random_texts, monkeypatch):
    monkeypatch.setattr("lakerec.language.chunker.PART", 500)
    encoder = Encoder(EncoderConfig(prompt="title: ", max_tokens=LONGEST), "cpu")
    texts = [*random_texts[:900], None, "[SEP] a", *random_texts[900:]]
    fast, encoder.chunker.words = encoder.tokenize(texts), None
    slow = encoder.tokenize(texts)
    assert fast.errors == slow.errors and fast.errors[900] is not None
    assert in_order(fast.chunks, fast.owner) == in_order(slow.chunks, slow.owner)
    halves = Chunker(encoder.tokenizer, LONGEST, EncoderConfig(), 0).tokenize(["\ud800", "b"])
    assert halves.errors[0] is not None and halves.errors[1] is None and halves.owner.tolist() == [1]
