"""Vocabularies with their tokeniser: words, characters, and subwords trained on the text at hand."""

import gzip

import numpy as np
import pytest

from dl.data.sentences import RESERVED, Subwords, learned
from dl.errors import UserError

LINES = ["The cat sits.", "The dog sits!", "A cat runs, a dog sits."]


def test_words_in_and_out():
    vocabulary = learned(LINES, "word", lower=True)
    assert vocabulary.names == (*RESERVED, "sits", ".", "a", "cat", "dog", "the", "!", ",", "runs")
    numbers = vocabulary.encode("The cow sits!")
    assert [vocabulary.names[n] for n in numbers] == ["the", "<unk>", "sits", "!"]
    ended = [vocabulary.start, *numbers.tolist(), vocabulary.stop, vocabulary.numbers["dog"], 0]
    assert vocabulary.decode(ended) == "the <unk> sits!"
    assert learned(LINES, "word", minimum=2).numbers.get("runs") is None
    assert len(learned(LINES, "word", size=6)) == 6


def test_characters_in_and_out():
    vocabulary = learned(LINES, "character")
    assert vocabulary.decode([*vocabulary.encode("A dog.").tolist(), vocabulary.stop]) == "A dog."
    assert vocabulary.encode("A?").tolist()[1] == vocabulary.numbers["<unk>"]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_subwords_in_and_out_and_always_the_same_model(kind):
    size = {"bpe": 30, "unigram": 24}[kind]
    vocabulary = learned(LINES, "subword", size, kind=kind)
    assert len(vocabulary) == size and vocabulary.names[:4] == RESERVED
    numbers = vocabulary.encode("A cat sits, the dog runs!")
    assert vocabulary.decode([vocabulary.start, *numbers.tolist(), vocabulary.stop, 7, 0]) == "A cat sits, the dog runs!"
    assert "".join(vocabulary.symbols("The cat")).replace("▁", " ").strip() == "The cat"
    assert numbers.dtype == np.int32 and 3 in vocabulary.encode("Q")
    again = learned(LINES, "subword", size, kind=kind)
    assert isinstance(again, Subwords) and again == vocabulary and hash(again) == hash(vocabulary)
    assert learned([*LINES, "The cat runs."], "subword", size, kind=kind) != vocabulary


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_short_text_has_fewer_subwords_than_are_asked_for(kind):
    assert 20 < len(learned(LINES, "subword", 5000, kind=kind)) < 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": "letter"}, "unknown dataset.level 'letter'"),
        ({"level": "subword"}, "needs a size"),
        ({"level": "subword", "size": 8}, "dataset.vocabulary_size to at least "),
        ({"level": "subword", "size": 30, "kind": "wordpiece"}, "unknown dataset.subwords 'wordpiece'"),
        ({"level": "word", "size": 3}, "no room"),
    ],
)
def test_mistakes_are_told_in_one_line(settings, message):
    with pytest.raises(UserError, match=message) as raised:
        learned(LINES, **settings)
    assert "\n" not in str(raised.value)


def test_subwords_of_multi30k_give_every_reference_back(shared_data):
    texts = {}
    for split in ("train", "test_2016_flickr"):
        with gzip.open(shared_data / "multi30k" / f"{split}.de.gz", "rt", encoding="utf-8") as file:
            texts[split] = [" ".join(line.split()) for line in file]
    vocabulary = learned(texts["train"], "subword", 6000)
    encoded = [vocabulary.encode(line) for line in texts["test_2016_flickr"]]
    assert [vocabulary.decode(numbers) for numbers in encoded] == texts["test_2016_flickr"]
    assert 12 < np.mean([len(numbers) for numbers in encoded]) < 16
