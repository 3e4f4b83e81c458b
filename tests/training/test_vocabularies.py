"""A run keeps what its symbols mean, and notices others."""

import pytest
from sentencepiece import SentencePieceProcessor

from dl.data.sentences import learned
from dl.dataset import Feature, Kind
from dl.errors import UserError
from dl.training import vocabularies
from dl.vocabulary import Vocabulary

LINES = ["The cat sits.", "The dog sits!", "A cat runs, a dog sits."]


def features(size=30, names="abc"):
    subwords = Feature(Kind.TOKENS, (None,), vocabulary=learned(LINES, "subword", size))
    characters = Feature(Kind.TOKENS, (), vocabulary=Vocabulary(names))
    return {"source": subwords, "token": characters, "other": Feature(Kind.NUMBER, ())}


def test_they_are_kept_and_compared(tmp_path):
    vocabularies.check(tmp_path, features())  # an older run has none
    vocabularies.keep(tmp_path, features())
    assert sorted(path.name for path in (tmp_path / "vocabularies").iterdir()) == ["source.model", "token.json"]
    processor = SentencePieceProcessor(model_file=str(tmp_path / "vocabularies" / "source.model"))
    assert processor.encode("The cat") == features()["source"].vocabulary.encode("The cat").tolist()
    vocabularies.check(tmp_path, features())
    with pytest.raises(UserError, match="symbols of 'source'"):
        vocabularies.check(tmp_path, features(size=32))
    with pytest.raises(UserError, match="symbols of 'token'"):
        vocabularies.check(tmp_path, features(names="acb"))
