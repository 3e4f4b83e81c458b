"""Words of sentences and back: worked examples, the vocabulary's order, and the sentences of Multi30k."""

import gzip

import numpy as np
import pytest

from dl.data.tokenisation import detokenised, encoded, vocabulary_of, words
from dl.errors import UserError
from dl.vocabulary import PAD, RARE, START, STOP, Vocabulary

FIRST = (PAD, START, STOP, RARE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man, in a T-shirt, doesn't run.", ["a", "man", ",", "in", "a", "t-shirt", ",", "doesn't", "run", "."]),
        ("Größe: 3.5 m (1,000)!", ["größe", ":", "3.5", "m", "(", "1,000", ")", "!"]),
        ("at 3:30 in the U.S. -- so...", ["at", "3:30", "in", "the", "u.s.", "-", "-", "so", ".", ".", "."]),
        ("“L’été”\tÀ Noël", ["“", "l’été", "”", "à", "noël"]),
        ("नमस्ते दुनिया।", ["नमस्ते", "दुनिया", "।"]),
        ("The end.Then Vor- und Nachteile", ["the", "end", ".", "then", "vor-", "und", "nachteile"]),
        ("  \n ", []),
    ],
)
def test_words_and_marks(text, expected):
    assert words(text) == expected


def test_case_and_normal_form():
    assert words("Zwei Männer", lower=False) == ["Zwei", "Männer"]
    assert words("Ma\u0308nner") == words("Männer") == ["männer"]  # decomposed and composed


@pytest.mark.parametrize(
    "sentence",
    [
        "A man, in a T-shirt, doesn't run.",
        'He says: "No, never!" (twice) and/or leaves; why?',
        "„Nein“, sagt er.",
        "The sign says “stop”.",
        "The girl's dog costs $5, a 3.5% share of the U.S. market (of Vor- und Nachteile).",
    ],
)
def test_sentences_come_back(sentence):
    assert detokenised(words(sentence, lower=False)) == sentence


def test_quotation_marks_open_and_close_in_turn():
    assert detokenised(['"', "a", '"', "b", '"', "c", '"']) == '"a" b "c"'


def test_the_vocabulary_is_ordered_by_frequency_then_alphabet():
    texts = [["b", "a", "c"], ["b", "c", "d"], ["b", START]]
    assert vocabulary_of(texts, first=FIRST).names == (*FIRST, "b", "c", "a", "d")
    assert vocabulary_of(texts, minimum=2, first=FIRST).names == (*FIRST, "b", "c")
    assert vocabulary_of(texts, most=5, first=FIRST).names == (*FIRST, "b")
    assert vocabulary_of(iter(texts)).names == ("b", "c", START, "a", "d")
    assert not vocabulary_of(["ab"], words=False).words
    with pytest.raises(UserError, match="no room"):
        vocabulary_of(texts, most=4, first=FIRST)


def test_unknown_words_have_the_number_of_unk():
    vocabulary = Vocabulary((*FIRST, "a", "b"))
    numbers = encoded(["b", "never", "a"], vocabulary)
    assert numbers.dtype == np.int32 and numbers.tolist() == [5, 3, 4]
    assert encoded([], vocabulary).tolist() == []
    with pytest.raises(UserError, match="'never' is not in the vocabulary"):
        encoded(["a", "never"], Vocabulary(["a"]))


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_references_of_multi30k_come_back(shared_data, language):
    with gzip.open(shared_data / "multi30k" / f"test_2016_flickr.{language}.gz", "rt", encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    same = sum(detokenised(words(line, lower=False)) == line for line in lines)
    assert len(lines) == 1000 and same >= 995
