"""The words of a text, each once: those of the Penn Treebank, of two sonnets, or of a text file of one's own."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data import tokenisation
from dl.data.ragged import RaggedArrays, ragged
from dl.data.sources import text
from dl.data.typing_errors import ALPHABET
from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError

PTB_WORDS, PTB_LETTERS = 9_412, 19  # of at least three letters; the longest


def load_ptb_words(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """The words of the Penn Treebank's vocabulary, one split `train`; see `dictionary`.

    Raises:
        UserError: as of the source `ptb`.
    """
    whole = text.load_ptb(ConfigDict({"name": "ptb", "splits": {"train": "train"}, "level": "word"}), data_dir, manual_dir)
    vocabulary = whole.info.features["token"].vocabulary
    return dictionary("ptb_words", vocabulary.names if vocabulary else (), settings)


def load_sonnet_words(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """The words of two sonnets, one split `train`; see `dictionary`."""
    return dictionary("sonnet_words", _of_text(text.SONNETS), settings)


def load_words(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """The words of the text file `dataset.path`, in `dataset.encoding` (utf-8), one split `train`; see `dictionary`.

    Raises:
        UserError: no such file, one that is no text, or fewer than two words.
    """
    if not settings.get("path", ""):
        raise UserError("the dataset 'words' needs dataset.path, a text file.")
    content = text.read_text(Path(settings.path).expanduser(), settings.get("encoding", "utf-8"))
    return dictionary("words", _of_text(content), settings)


def _of_text(content: str) -> tuple[str, ...]:
    """Its words from the most frequent on."""
    return tokenisation.vocabulary_of([tokenisation.words(content)]).names


def dictionary(name: str, words: Iterable[str], settings: ConfigDict) -> Dataset:
    """Those of the words that have `dataset.least` (3) letters or more, a to z and nothing else, in the order given.

    The feature `target` is the letters of a word, numbered from 1, ragged.

    Raises:
        UserError: fewer than two such words, or a least length that is none.
    """
    least = settings.get("least", 3)
    if not isinstance(least, int) or least < 1:
        raise UserError(f"dataset.least is the least number of letters of a word, 1 or more, not {least!r}.")
    kept = [word for word in dict.fromkeys(words) if len(word) >= least and re.fullmatch("[a-z]+", word)]
    if len(kept) < 2:
        raise UserError(f"the dataset {name!r} has {len(kept)} words of at least {least} letters a to z: give a longer text.")
    letters = ragged([ALPHABET.encode(word).astype(np.uint8) for word in kept])
    info = Info(name, {"target": Feature(Kind.TOKENS, (None,), vocabulary=ALPHABET)})
    return Dataset(info, {"train": RaggedArrays({"target": letters})})


def _known_ptb_words(settings: ConfigDict) -> Dataset:
    """Which words they are is not known without the files."""
    letters = ((chr(97 + number // 26**place % 26) for place in range(3)) for number in range(PTB_WORDS))
    words = ["".join(word) for word in letters]
    return dictionary("ptb_words", ["a" * PTB_LETTERS, *words[1:]], settings)


PUBLIC = {"ptb_words": load_ptb_words, "sonnet_words": load_sonnet_words, "words": load_words}
SETTINGS = {"ptb_words": {"least": 3}, "sonnet_words": {"least": 3}, "words": {"least": 3, "encoding": "utf-8"}}
KNOWN = {"ptb_words": _known_ptb_words}
